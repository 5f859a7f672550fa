"""Write an exercise as the notebook that an instructor keeps, and as the one that students receive.

The instructor's has the full answer and nbgrader's metadata. The students' is what nbgrader's own
`generate_assignment` makes of it, so a notebook handed out by nbgrader and one from `dlgrade start` are the
same bytes.
"""

import ast
import itertools
import json
import re
from typing import Any

from dlgrade.assembly import Assembly
from dlgrade.exercise import Exercise, Written
from dlgrade.narrative import Section, introduction, question, read_sections
from dlgrade.stub import without_marks
from dlgrade.units import Unit, join_units
from dlgrade.worth import points_by_part

CHECK_CELL = 'import dlgrade.notebook\n\ndlgrade.notebook.check("{part}")'
CHECK_SUFFIX = "-check"
SUPPORT_TAG = "support"
SCHEMA_VERSION = 3  # of nbgrader's metadata
_SOLUTION = {"grade": False, "locked": False, "solution": True}
_READ_ONLY = {"grade": False, "locked": True, "solution": False}


def exercise_notebook(assembly: Assembly, *, filled: bool) -> str:
    """The exercise as a notebook, with stubs or, if `filled`, the full answer; the same bytes each time."""
    source = json.dumps(_notebook(_cells(assembly)), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if filled:
        return source
    from dlgrade.classroom.release import released  # needs nbgrader

    return released(source, assembly.exercise.id)


def check_cells(exercise: Exercise) -> dict[str, str]:
    """The id of each part's check cell, which is also its name in the gradebook, to the part."""
    return {cell_id(part.name + CHECK_SUFFIX): part.name for part in exercise.parts}


def cell_id(text: str) -> str:
    """Letters, digits, hyphens and underscores, at most 64: what notebooks and nbgrader both accept."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)[:64]


def _cells(assembly: Assembly) -> list[dict[str, Any]]:
    exercise = assembly.exercise
    worth, sections = points_by_part(exercise), read_sections(exercise)
    cells = [
        _markdown("intro", introduction(exercise)),
        _code("imports", assembly.import_lines),
    ]
    parts = list(assembly.parts.values())
    for is_part, run in itertools.groupby(assembly.units, parts.__contains__):
        units = list(run)
        if not is_part:
            cells += _other_cells(assembly, units)
            continue
        for unit in units:
            section = sections.get(unit.names[0])
            cells += _part_cells(unit, section, worth[unit.names[0]])
            cells += _cells_after(unit.names[0], section)
    for answer in exercise.written:
        cells += _written_cells(exercise, answer, sections.get(answer.name, Section()))
    return cells


def _part_cells(unit: Unit, section: Section | None, points: float) -> list[dict[str, Any]]:
    """A part's idea, the answer with its `# given` marks, from which the stub is cut, and its check."""
    name = unit.names[0]
    graded = {"grade": True, "locked": True, "points": _whole(points), "solution": False}
    text = section.before if section and section.before else _first_paragraph(unit)
    return [
        _markdown(f"{name}-text", f"## `{name}`" + (f"\n\n{text}" if text else "")),
        _code(name, unit.code, nbgrader=_SOLUTION),
        _code(name + CHECK_SUFFIX, CHECK_CELL.format(part=name), nbgrader=graded),
    ]


def _cells_after(name: str, section: Section | None) -> list[dict[str, Any]]:
    """What there is to see once the part works: read-only cells, and text between them."""
    cells = []
    for number, passage in enumerate(section.after if section else (), 1):
        place = f"{name}-look-{number}"
        if passage.is_code:
            cells.append(_code(place, passage.text, nbgrader=_READ_ONLY))
        else:
            cells.append(_markdown(place, passage.text))
    return cells


def _written_cells(exercise: Exercise, answer: Written, section: Section) -> list[dict[str, Any]]:
    """The question, and the cell for the answer; what graders look for is in it until the release."""
    graded = {"grade": True, "locked": False, "points": _whole(answer.points), "solution": True}
    return [
        _markdown(f"{answer.name}-text", question(exercise, answer.question)),
        _markdown(answer.name, section.before, nbgrader=graded),
    ]


def _other_cells(assembly: Assembly, units: list[Unit]) -> list[dict[str, Any]]:
    """What students are given, in one cell; what only the answer uses, in others that no release has."""
    cells = []
    for is_support, run in itertools.groupby(units, lambda u: bool(assembly.support.intersection(u.names))):
        group = list(run)
        code = join_units(group, (without_marks(unit.code) for unit in group))
        name = group[0].names[0]
        if is_support:
            cells.append(_code(f"support-{name}", code, nbgrader=_SOLUTION, tags=[SUPPORT_TAG]))
        else:
            cells.append(_code(f"given-{name}", code))
    return cells


def _first_paragraph(unit: Unit) -> str:
    docstring = ast.get_docstring(unit.node) if unit.is_definition else None  # type: ignore[arg-type]  # is_definition says it
    return (docstring or "").partition("\n\n")[0]


def _notebook(cells: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _markdown(name: str, text: str, nbgrader: dict[str, Any] | None = None) -> dict[str, Any]:
    metadata = _metadata(name, nbgrader)
    return {"cell_type": "markdown", "id": cell_id(name), "metadata": metadata, "source": _lines(text)}


def _code(
    name: str, text: str, nbgrader: dict[str, Any] | None = None, tags: list[str] | None = None
) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": cell_id(name),
        "metadata": ({"tags": tags} if tags else {}) | _metadata(name, nbgrader),
        "outputs": [],
        "source": _lines(text),
    }


def _metadata(name: str, nbgrader: dict[str, Any] | None) -> dict[str, Any]:
    if nbgrader is None:
        return {}
    common = {"grade_id": cell_id(name), "schema_version": SCHEMA_VERSION, "task": False}
    return {"nbgrader": common | nbgrader}


def _whole(points: float) -> float:
    """2 for 2.0, as people write it."""
    return int(points) if points == int(points) else points


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
