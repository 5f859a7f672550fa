"""The table in docs/lesson.md against the tree: every row has a reference, checks, and caught mistakes."""

import ast
import re
from pathlib import Path

import pytest

from dlgrade.course import Course
from dlgrade.declaration import load_staff
from dlgrade.exercise import Exercise, load_mistakes, load_variants

ROOT = Path(__file__).resolve().parent.parent
COURSE = Course(ROOT)


def rows() -> list[tuple[str, Path, str, list[str]]]:
    """Component, reference file, exercise and parts of each row."""
    lines = (ROOT / "docs" / "lesson.md").read_text().partition("\n## ")[0].splitlines()
    table = [line.strip("|").split("|") for line in lines if line.startswith("|")][2:]
    return [
        (name.strip(), ROOT / file.strip(" `"), exercise.strip(" `"), re.findall(r"`(\w+)`", parts))
        for name, file, exercise, parts in table
    ]


def checks_of(exercise: Exercise) -> dict[str, set[str]]:
    """Names of the checks about each part, read from the source."""
    found: dict[str, set[str]] = {part.name: set() for part in exercise.parts}
    for file in (exercise.folder / "checks").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            for call in getattr(node, "decorator_list", ()):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "check":
                    [part] = [k.value.value for k in call.keywords if k.arg == "part"]
                    found[part].add(node.name)
    return found


def test_the_table_has_every_component_of_the_lesson():
    """Fifteen rows, none twice."""
    names = [name for name, *_ in rows()]
    assert len(names) == len(set(names)) == 15


@pytest.mark.parametrize(("name", "file", "exercise", "parts"), rows(), ids=lambda value: str(value)[:30])
def test_a_row_has_a_reference_checks_and_caught_mistakes(name, file, exercise, parts):
    """The file exists, each part is graded, and a mistake of each part is named for one of its checks."""
    assert file.is_file()
    declared = COURSE.exercise(exercise)
    checks = checks_of(declared)
    every = set().union(*checks.values())
    mistakes = load_mistakes(declared)
    assert parts
    for part in parts:
        assert checks[part], f"{part} has no check"
        caught = [mistake for mistake in mistakes if mistake.part == part and mistake.caught_by in every]
        assert caught, f"no mistake of {part} is caught"


def test_every_part_of_every_exercise_is_graded_and_has_mistakes():
    """No part is left without a check or without a mistake."""
    for exercise in COURSE.exercises():
        declared = load_staff(ROOT, exercise)
        with_mistakes = {mistake.part for mistake in load_mistakes(declared)}
        for part, checks in checks_of(declared).items():
            assert checks, (exercise, part)
            assert part in with_mistakes, (exercise, part)


def test_the_readme_counts_what_there_is():
    """Parts, checks, known mistakes and correct variants of each exercise, in its table."""
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if re.match(r"\| `\w+` \|", line)]
    told = {}
    for line in lines:
        name, _title, *counts = (cell.strip(" `") for cell in line.strip("|").split("|"))
        told[name] = tuple(map(int, counts))
    assert told == {
        name: (
            len(exercise.parts),
            sum(map(len, checks_of(exercise).values())),
            len(load_mistakes(exercise)),
            len(load_variants(exercise)),
        )
        for name, exercise in ((name, COURSE.exercise(name)) for name in told)
    }
    assert len(told) == 4
