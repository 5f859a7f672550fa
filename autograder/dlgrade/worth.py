"""What each part of an exercise is worth, read from its checks without running them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlgrade.errors import CourseError
from dlgrade.exercise import TIERS, Exercise


def points_by_part(exercise: Exercise) -> dict[str, float]:
    """Points of each part's visible and hidden checks at the exercise's graded tier: a check cell's maximum.

    Raises:
        CourseError: a check does not say in plain text what it is about.
    """
    points = {part.name: 0.0 for part in exercise.parts}
    folders = [folder for folder in (exercise.visible_checks, exercise.hidden_checks) if folder]
    for file in (file for folder in folders for file in sorted(folder.rglob("*.py"))):
        for call in _checks_in(file):
            part, worth = _literal(call, "part", file), _literal(call, "points", file)
            if part not in points:
                raise CourseError(
                    f"{file}:{call.lineno}: part {part!r} is none of {exercise.id}'s; it has"
                    f" {', '.join(points)}"
                )
            if TIERS.index(_literal(call, "tier", file, "quick")) <= TIERS.index(exercise.graded_tier):
                points[part] += worth
    return points


def _checks_in(file: Path) -> Iterator[ast.Call]:
    """The `@check(...)` and `@something.check(...)` of a file's functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), filename=str(file))):
        for decorator in getattr(node, "decorator_list", []):
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).split(".")[-1] == "check":
                yield decorator


def _literal(call: ast.Call, name: str, file: Path, default: Any = None) -> Any:
    for keyword in call.keywords:
        if keyword.arg == name and isinstance(keyword.value, ast.Constant):
            return keyword.value.value
        if keyword.arg == name:
            raise CourseError(f"{file}:{call.lineno}: write {name} of a check as a plain value")
    if default is None:
        raise CourseError(f"{file}:{call.lineno}: a check needs {name}=...")
    return default
