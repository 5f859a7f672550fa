"""Read an exercise from its exercise.toml: the staff's in `solutions/`, the public part in `assignments/`."""

import ast
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from dlgrade.errors import CourseError
from dlgrade.exercise import (
    FINGERPRINTS,
    MEBI,
    TIERS,
    CheckCount,
    Exercise,
    Given,
    Kind,
    Limits,
    Part,
    Written,
)
from dlgrade.source import Outline, outline
from dlgrade.tomlfile import Table, first_repeated, read_toml

# Keys of [limits], which are in the units people write: the record's field, and its size in the field's unit.
_LIMIT_KEYS: dict[str, tuple[str, int]] = {
    "quick_seconds": ("quick_seconds", 1),
    "request_seconds": ("request_seconds", 1),
    "training_seconds": ("training_seconds", 1),
    "submission_seconds": ("submission_seconds", 1),
    "memory_gb": ("memory_bytes", 1024 * MEBI),
    "scratch_mb": ("scratch_bytes", MEBI),
    "output_mb": ("output_bytes", MEBI),
    "threads": ("threads", 1),
    "open_files": ("open_files", 1),
}


def load_staff(root: Path, name: str) -> Exercise:
    """The exercise in `solutions/<name>/`, with hidden checks, mistakes and calibration."""
    folder = root / "solutions" / name
    top = read_toml(folder / "exercise.toml")
    calibration = folder / "calibration.json"
    return _exercise(
        top,
        root,
        folder,
        parts=tuple(_staff_part(table, root, folder) for table in top.tables("parts", at_least=1)),
        given=tuple(_given(table) for table in top.tables("given")),
        support=tuple(_given(table) for table in top.tables("support")),
        written=tuple(_written(table) for table in top.tables("written")),
        thresholds=_read_thresholds(calibration) if calibration.is_file() else {},
        hidden=count_checks(folder / "checks" / "hidden"),
        visible_checks=folder / "checks" / "visible",
        hidden_checks=folder / "checks" / "hidden",
        mistakes_file=_if_exists(folder / "mistakes.toml"),
        variants_folder=_if_exists(folder / "variants"),
    )


def load_public(root: Path, name: str) -> Exercise:
    """The exercise in `assignments/<name>/`, as students received it."""
    folder = root / "assignments" / name
    top = read_toml(folder / "exercise.toml")
    hidden = top.table("hidden")
    count = CheckCount(hidden.count("count"), hidden.number("points", 0) if hidden.raw("points") else 0)
    hidden.done()
    return _exercise(
        top,
        root,
        folder,
        parts=tuple(_public_part(table) for table in top.tables("parts", at_least=1)),
        given=(),
        thresholds=top.table("thresholds").values,
        hidden=count,
        visible_checks=folder / "checks",
        hidden_checks=None,
        mistakes_file=None,
        variants_folder=None,
    )


def public_values(exercise: Exercise) -> dict[str, Any]:
    """What students may know of an exercise, as the values of its public exercise.toml."""
    defaults = Limits()
    changed = {
        key: _whole(getattr(exercise.limits, name) / unit)
        for key, (name, unit) in _LIMIT_KEYS.items()
        if getattr(exercise.limits, name) != getattr(defaults, name)
    }
    return {
        "id": exercise.id,
        "title": exercise.title,
        "summary": exercise.summary,
        "graded_tier": exercise.graded_tier,
        "preload": list(exercise.preload),
        "data": list(exercise.data),
        "limits": changed,
        "hidden": {"count": exercise.hidden.count, "points": _whole(exercise.hidden.points)},
        "thresholds": exercise.thresholds,
        "parts": [
            {"name": p.name, "kind": p.kind, "hints": list(p.hints), "layouts": list(p.layouts)}
            for p in exercise.parts
        ],
    }


def count_checks(folder: Path) -> CheckCount:
    """Count `@check(points=...)` functions without running them: students' builds have no torch loaded."""
    count, points = 0, 0.0
    for file in sorted(folder.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
        for node in ast.walk(tree):
            for call in _check_decorators(node):
                count, points = count + 1, points + _points(call, file)
    return CheckCount(count, points)


def source_file(root: Path, folder: Path, source: str) -> Path:
    """The file a part or given definition is cut from: in the exercise's own folder, else in the course."""
    for base in (folder, root):
        file = base / source
        if file.is_file() and file.resolve().is_relative_to(root.resolve()):
            return file
    raise CourseError(
        f"{folder / 'exercise.toml'}: source '{source}' not found; expected a file of {folder} or of {root}"
    )


def _exercise(top: Table, root: Path, folder: Path, **more: Any) -> Exercise:
    """The fields that staff's and students' files share, and the check that no key is left over."""
    release = root / "assignments" / folder.name
    exercise = Exercise(
        id=top.text("id"),
        title=top.text("title"),
        summary=top.text("summary"),
        graded_tier=top.choice("graded_tier", TIERS, "cpu"),
        preload=top.texts("preload"),
        data=top.texts("data"),
        limits=_limits(top.table("limits")),
        root=root,
        folder=folder,
        release=release,
        fingerprints=_if_exists(release / FINGERPRINTS),
        **more,
    )
    top.done()
    if exercise.id != folder.name:
        raise top.wrong("id", exercise.id, f"the folder's name '{folder.name}'")
    names = [part.name for part in exercise.parts]
    names += [item.name for item in (*exercise.given, *exercise.support)]
    names += [answer.name for answer in exercise.written]
    if twice := first_repeated(names):
        kinds = "parts, given, support and written"
        raise CourseError(f"{top.file}: '{twice}' is declared twice among {kinds}; keep one")
    return exercise


def _limits(table: Table) -> Limits:
    values: dict[str, Any] = {}
    integers = {f.name for f in fields(Limits) if f.type in (int, "int")}
    for key, (name, unit) in _LIMIT_KEYS.items():
        if table.raw(key) is not None:
            value = table.number(key, 1) * unit
            values[name] = int(value) if name in integers else value
    table.done()
    return Limits(**values)


def _staff_part(table: Table, root: Path, folder: Path) -> Part:
    name, source = _name(table), table.text("source")
    part = Part(
        name, _kind_in(source_file(root, folder, source), name), _hints(table), source, _layouts(table)
    )
    table.done()
    return part


def _public_part(table: Table) -> Part:
    kind: Kind = "class" if table.choice("kind", ("function", "class")) == "class" else "function"
    part = Part(_name(table), kind, _hints(table), layouts=_layouts(table))
    table.done()
    return part


def _given(table: Table) -> Given:
    given = Given(_name(table), table.text("source"))
    table.done()
    return given


def _written(table: Table) -> Written:
    written = Written(_name(table), table.text("question"), table.number("points", 0))
    table.done()
    return written


def _name(table: Table) -> str:
    name = table.text("name")
    if not name.isidentifier():
        raise table.wrong("name", name, "the name of a top-level definition")
    return name


def _hints(table: Table) -> tuple[str, ...]:
    return table.texts("hints", at_least=2)


def _layouts(table: Table) -> tuple[Mapping[str, Any], ...]:
    value = table.raw("layouts", [])
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        raise table.wrong("layouts", value, "a list of tables {reference name = submission name}")
    return tuple(value)


def _kind_in(file: Path, name: str) -> Kind:
    found = _outline_of(file).find(name)
    if found is not None and found.kind == "class":
        return "class"
    if found is not None and found.kind == "function":
        return "function"
    raise CourseError(f"part '{name}': {file} has no top-level function or class of that name")


def _outline_of(file: Path) -> Outline:
    found = outline(file.read_text(encoding="utf-8"))
    if found.error is not None:
        raise CourseError(f"{file}: {found.error}")
    return found


def _read_thresholds(file: Path) -> Mapping[str, Any]:
    try:
        calibration = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CourseError(f"{file} is not valid JSON: {error}; run 'dlgrade calibrate' again") from None
    thresholds = calibration.get("thresholds") if isinstance(calibration, dict) else None
    if not isinstance(thresholds, dict):
        raise CourseError(f"{file}: 'thresholds' is missing; run 'dlgrade calibrate' again")
    return thresholds


def _check_decorators(node: ast.AST) -> list[ast.Call]:
    """`@check(...)` and `@something.check(...)` of a function."""
    if not isinstance(node, ast.FunctionDef):
        return []
    calls = [decorator for decorator in node.decorator_list if isinstance(decorator, ast.Call)]
    return [call for call in calls if ast.unparse(call.func).rpartition(".")[2] == "check"]


def _points(call: ast.Call, file: Path) -> float:
    for keyword in call.keywords:
        match keyword:
            case ast.keyword(arg="points", value=ast.Constant(value=int() | float() as points)):
                return points
    raise CourseError(
        f"{file}:{call.lineno}: write the points of a check as a number, as in @check(points=2)"
    )


def _if_exists(path: Path) -> Path | None:
    return path if path.exists() else None


def _whole(value: float) -> float:
    """2 for 2.0: generated files show whole numbers as people write them."""
    return int(value) if value == int(value) else value
