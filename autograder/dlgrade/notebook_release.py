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
from dlgrade.exercise import Exercise
from dlgrade.stub import without_marks
from dlgrade.units import Unit, join_units
from dlgrade.worth import points_by_part

CHECK_CELL = 'import dlgrade.notebook\n\ndlgrade.notebook.check("{part}")'
CHECK_SUFFIX = "-check"
SUPPORT_TAG = "support"
SCHEMA_VERSION = 3  # of nbgrader's metadata
_SOLUTION = {"grade": False, "locked": False, "solution": True}


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
    worth = points_by_part(exercise)
    cells = [
        _markdown("intro", f"# {exercise.title}\n\n{exercise.summary}"),
        _code("imports", assembly.import_lines),
    ]
    parts = list(assembly.parts.values())
    for is_part, run in itertools.groupby(assembly.units, parts.__contains__):
        units = list(run)
        if is_part:
            cells += [cell for unit in units for cell in _part_cells(unit, worth[unit.names[0]])]
        else:
            cells += _other_cells(assembly, units)
    return cells


def _part_cells(unit: Unit, points: float) -> list[dict[str, Any]]:
    """A part's task, the answer with its `# given` marks, from which the stub is cut, and its check."""
    name = unit.names[0]
    graded = {"grade": True, "locked": True, "points": _whole(points), "solution": False}
    return [
        _markdown(f"{name}-text", _heading(unit)),
        _code(name, unit.code, nbgrader=_SOLUTION),
        _code(name + CHECK_SUFFIX, CHECK_CELL.format(part=name), nbgrader=graded),
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


def _heading(unit: Unit) -> str:
    docstring = ast.get_docstring(unit.node) if unit.is_definition else None  # type: ignore[arg-type]
    paragraph = (docstring or "").partition("\n\n")[0]
    return f"## `{unit.names[0]}`" + (f"\n\n{paragraph}" if paragraph else "")


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


def _markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": cell_id(name), "metadata": {}, "source": _lines(text)}


def _code(
    name: str, text: str, nbgrader: dict[str, Any] | None = None, tags: list[str] | None = None
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"tags": tags} if tags else {}
    if nbgrader is not None:
        common = {"grade_id": cell_id(name), "schema_version": SCHEMA_VERSION, "task": False}
        metadata["nbgrader"] = common | nbgrader
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": cell_id(name),
        "metadata": metadata,
        "outputs": [],
        "source": _lines(text),
    }


def _whole(points: float) -> float:
    """2 for 2.0, as people write it."""
    return int(points) if points == int(points) else points


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
