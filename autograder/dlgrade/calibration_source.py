"""What a calibration rests on, as keys: with other keys its figures say nothing.

The answer's part and what it uses, the check's function with its recipe, and the version of the kit's
training. Comments, docstrings, titles and points do not count, nor do other parts and other checks.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dlgrade import datasets
from dlgrade.checks import Check
from dlgrade.datasets import registry, standins
from dlgrade.datasets.records import Dataset
from dlgrade.exercise import Exercise
from dlgrade.units import SourceFile, free_names, split

# Of the kit's own trainings, by kind of data; raise one when the same arguments train another way.
TRAINERS: Final = {"images": 1, "text": 1, "sentences": 1}
KEY_LENGTH: Final = 16
GPU_RECIPE: Final = "gpu"  # arguments of `contest.decide`
STAND_IN_RECIPE: Final = "stand_in"


@dataclass(frozen=True)
class DataInUse:
    """The data set, and encoder, that a check of this name trains on here.

    checksum: of a stand-in, of its recipe, whatever the seed of a run.
    varies: with the version of Python, as prose from its documentation does.
    """

    title: str
    checksum: str
    stand_in: bool
    varies: bool = False


def data_in_use(name: str) -> DataInUse:
    """What the name of a check's data stands for here: stored data, or stand-ins."""
    return _described([datasets.open_(part, seed=0) for part in name.split("+")])


def stand_in(name: str) -> DataInUse:
    """What the name stands for where nothing was imported."""
    entries = [registry.entry(part) for part in name.split("+")]
    return _described([standins.open_standin(entry.name, entry.standin, seed=0) for entry in entries])


def _described(opened: Sequence[Dataset]) -> DataInUse:
    return DataInUse(
        " with ".join(dataset.title for dataset in opened),
        "+".join(dataset.checksum for dataset in opened),
        any(dataset.is_standin for dataset in opened),
        any(dataset.is_standin and registry.entry(dataset.name).kind == "text" for dataset in opened),
    )


def source_key(exercise: Exercise, check: Check, data: DataInUse, *, on_gpu: bool = False) -> str:
    """The key of the answer, the check and the training behind a figure.

    A check's recipe for GPUs counts on a GPU only, and that for stand-ins on a stand-in only.
    """
    assert check.data is not None  # an accuracy check names its data
    folder = exercise.hidden_checks if check.hidden and exercise.hidden_checks else exercise.visible_checks
    answer, checks = _read(exercise.folder / f"{exercise.id}.py"), _read(folder / check.file)
    kind = registry.entry(check.data.partition("+")[0]).kind
    needless = {GPU_RECIPE: on_gpu, STAND_IN_RECIPE: data.stand_in}
    recipe = reached(checks, check.id, without=[name for name, counts in needless.items() if not counts])
    return digest([reached(answer, check.part), recipe, TRAINERS[kind]])


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]


def reached(file: SourceFile, name: str, *, without: Collection[str] = ()) -> list[str]:
    """Code of a definition and of everything in its file that it uses, and where imported names come from.

    Keyword arguments of the names `without` are left out, and what only they use.
    """
    todo, seen = {name}, set[str]()
    while todo:
        unit = file.unit(current := todo.pop())
        seen.add(current)
        todo |= (set(free_names(_trimmed(unit.node, without))) if unit is not None else set()) - seen
    units = [_plain(unit.node, without) for unit in file.units if seen.intersection(unit.names)]
    imports = {found.origin for found in file.imports if found.name in seen}
    return [*sorted(f"{module}:{member or ''}" for module, member in imports), *units]


def _trimmed(node: ast.stmt, without: Collection[str]) -> str:
    """Code without comments and without keyword arguments of some names."""
    copy = ast.parse(ast.unparse(node))
    for call in ast.walk(copy):
        if isinstance(call, ast.Call):
            call.keywords = [keyword for keyword in call.keywords if keyword.arg not in without]
    return ast.unparse(copy)


def _plain(node: ast.stmt, without: Collection[str]) -> str:
    """The same without docstrings and decorators of checks."""
    copy = ast.parse(_trimmed(node, without)).body[0]
    for part in ast.walk(copy):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            part.decorator_list = [d for d in part.decorator_list if not _marks_check(d)]
            if ast.get_docstring(part) is not None:
                part.body = part.body[1:] or [ast.Pass()]
    return ast.unparse(copy)


def _marks_check(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func).rpartition(".")[2] == "check"


def _read(file: Path) -> SourceFile:
    return split(file.read_text(encoding="utf-8"), str(file))
