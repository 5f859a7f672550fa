"""Write an exercise as a plain notebook of format 4.5: for each part its task, its code and a check."""

import ast
import itertools
import json
import re
from typing import Any

from dlgrade.assembly import Assembly
from dlgrade.units import Unit, join_units

CHECK_CELL = 'import dlgrade.notebook\n\ndlgrade.notebook.check("{part}")'


def exercise_notebook(assembly: Assembly, *, filled: bool) -> str:
    """The exercise as a notebook, with stubs or, if `filled`, the full answer; the same bytes each time."""
    exercise = assembly.exercise
    cells = [
        _markdown("intro", f"# {exercise.title}\n\n{exercise.summary}"),
        _code("imports", assembly.import_lines),
    ]
    parts = list(assembly.parts.values())
    shown = assembly.units if filled else assembly.released
    for is_part, run in itertools.groupby(shown, parts.__contains__):
        units = list(run)
        if is_part:
            cells += [cell for unit in units for cell in _part_cells(assembly, unit, filled)]
        else:
            code = join_units(units, map(assembly.answer_of, units))
            cells.append(_code(f"given-{units[0].names[0]}", code))
    return json.dumps(_notebook(cells), indent=1, ensure_ascii=False) + "\n"


def _part_cells(assembly: Assembly, unit: Unit, filled: bool) -> list[dict[str, Any]]:
    name = unit.names[0]
    return [
        _markdown(f"{name}-text", _heading(unit)),
        _code(name, assembly.answer_of(unit) if filled else assembly.stub_of(unit)),
        _code(f"{name}-check", CHECK_CELL.format(part=name)),
    ]


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


def _markdown(cell_id: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": _cell_id(cell_id), "metadata": {}, "source": _lines(text)}


def _code(cell_id: str, text: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": _cell_id(cell_id),
        "metadata": {},
        "outputs": [],
        "source": _lines(text),
    }


def _cell_id(text: str) -> str:
    """Format 4.5 allows 64 letters, digits, hyphens and underscores."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)[:64]


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
