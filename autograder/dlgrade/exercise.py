"""One exercise as its author declared it: parts, hints, limits, mistakes and variants.

Staff declare it in `solutions/<exercise>/exercise.toml`; students receive the public part, which
`build.py` writes to `assignments/<exercise>/exercise.toml`. Both load into the same record.
"""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from dlgrade.errors import CourseError
from dlgrade.source import Outline, outline
from dlgrade.tomlfile import Table, read_toml
from dlgrade.units import overlay, split

Kind = Literal["function", "class"]
TIERS = ("quick", "cpu", "gpu")
FINGERPRINTS = "fingerprints.json"
_MEBI = 2**20


@dataclass(frozen=True)
class Limits:
    """What a submission may use; `applied` limits are stamped into every report.

    Seconds of `training_seconds` are CPU time, all others wall clock: a busy machine slows the clock,
    not the training. `memory_bytes` is a budget on top of what the worker maps before student code runs.
    """

    quick_seconds: float = 60
    request_seconds: float = 20
    training_seconds: float = 300
    submission_seconds: float = 900
    memory_bytes: int = 4096 * _MEBI
    scratch_bytes: int = 256 * _MEBI
    output_bytes: int = 1 * _MEBI
    threads: int = 64
    open_files: int = 256


# Keys of [limits], which are in the units people write: the record's field, and its size in the field's unit.
_LIMIT_KEYS: dict[str, tuple[str, int]] = {
    "quick_seconds": ("quick_seconds", 1),
    "request_seconds": ("request_seconds", 1),
    "training_seconds": ("training_seconds", 1),
    "submission_seconds": ("submission_seconds", 1),
    "memory_gb": ("memory_bytes", 1024 * _MEBI),
    "scratch_mb": ("scratch_bytes", _MEBI),
    "output_mb": ("output_bytes", _MEBI),
    "threads": ("threads", 1),
    "open_files": ("open_files", 1),
}


@dataclass(frozen=True)
class Part:
    """One function or class the student writes. `source` is empty in a student's course."""

    name: str
    kind: Kind
    hints: tuple[str, ...]
    source: str = ""
    layouts: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Given:
    """A definition that students receive whole."""

    name: str
    source: str


@dataclass(frozen=True)
class CheckCount:
    """How many checks there are and what they are worth: all that students learn of hidden ones."""

    count: int = 0
    points: float = 0


@dataclass(frozen=True)
class Exercise:
    """An exercise and where its files are; paths that this course does not have are None."""

    id: str
    title: str
    summary: str
    graded_tier: str
    preload: tuple[str, ...]
    data: tuple[str, ...]
    limits: Limits
    parts: tuple[Part, ...]
    given: tuple[Given, ...]
    thresholds: Mapping[str, Any]
    hidden: CheckCount
    root: Path
    folder: Path
    release: Path
    visible_checks: Path
    hidden_checks: Path | None
    fingerprints: Path | None
    mistakes_file: Path | None
    variants_folder: Path | None

    @property
    def staff(self) -> bool:
        return self.hidden_checks is not None

    def part(self, name: str) -> Part:
        for part in self.parts:
            if part.name == name:
                return part
        names = ", ".join(part.name for part in self.parts)
        raise CourseError(f"exercise '{self.id}' has no part '{name}'; its parts are {names}")

    @cached_property
    def released_source(self) -> str | None:
        """The stub as students received it, or None before the first `dlgrade build`."""
        file = self.release / f"{self.id}.py"
        return file.read_text(encoding="utf-8") if file.is_file() else None


@dataclass(frozen=True)
class Mistake:
    """A named wrong variant of a part: the check that must catch it and the sentence a student reads."""

    name: str
    part: str
    caught_by: str
    sentence: str
    edits: tuple[tuple[str, str], ...] = ()
    code: str | None = None
    near_miss: bool = False

    def source(self, answer_text: str) -> str:
        """The full answer with this mistake in it.

        Raises:
            CourseError: an edit's old text is not exactly once in the part, or the result is no Python.
        """
        if self.code is not None:
            return _parsed(overlay(answer_text, self.code), f"mistake '{self.name}'")
        found = outline(answer_text).find(self.part)
        if found is None:
            raise CourseError(f"mistake '{self.name}': the answer does not define part '{self.part}'")
        lines = answer_text.split("\n")
        part = "\n".join(lines[found.line - 1 : found.end_line])
        for old, new in self.edits:
            if (times := part.count(old)) != 1:
                raise CourseError(
                    f"mistake '{self.name}': {old!r} occurs {times} times in part '{self.part}', expected"
                    " once; widen or narrow the edit"
                )
            part = part.replace(old, new)
        edited = [*lines[: found.line - 1], part, *lines[found.end_line :]]
        return _parsed("\n".join(edited), f"mistake '{self.name}'")


@dataclass(frozen=True)
class Variant:
    """An independent correct solution; `unusual` says what a style-bound check would trip over."""

    name: str
    unusual: str
    text: str

    def source(self, answer_text: str) -> str:
        """The full answer with this variant's definitions in place of the reference's."""
        return _parsed(overlay(answer_text, self.text), f"variant '{self.name}'")


def load_staff(root: Path, name: str) -> Exercise:
    """The exercise in `solutions/<name>/`, with hidden checks, mistakes and calibration."""
    folder = root / "solutions" / name
    top = read_toml(folder / "exercise.toml")
    given = tuple(_given(table) for table in top.tables("given"))
    calibration = folder / "calibration.json"
    return _exercise(
        top,
        root,
        folder,
        parts=tuple(_staff_part(table, root, folder) for table in top.tables("parts", at_least=1)),
        given=given,
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


def load_mistakes(exercise: Exercise) -> tuple[Mistake, ...]:
    """The exercise's mistakes; none where the course has no mistakes.toml, as a student's has not."""
    if exercise.mistakes_file is None:
        return ()
    top = read_toml(exercise.mistakes_file)
    mistakes = tuple(_mistake(table, exercise) for table in top.tables("mistake"))
    top.done()
    names = [mistake.name for mistake in mistakes]
    if twice := _first_repeated(names):
        raise CourseError(f"{exercise.mistakes_file}: mistake '{twice}' is declared twice; rename one")
    return mistakes


def load_variants(exercise: Exercise) -> tuple[Variant, ...]:
    """The exercise's independent correct solutions, by file name."""
    if exercise.variants_folder is None:
        return ()
    return tuple(_variant(file) for file in sorted(exercise.variants_folder.glob("*.py")))


def count_checks(folder: Path) -> CheckCount:
    """Count `@check(points=...)` functions without running them: students' builds have no torch loaded."""
    count, points = 0, 0.0
    for file in sorted(folder.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
        for node in ast.walk(tree):
            for call in _check_decorators(node):
                count, points = count + 1, points + _points(call, file)
    return CheckCount(count, points)


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
    names = [part.name for part in exercise.parts] + [given.name for given in exercise.given]
    if twice := _first_repeated(names):
        raise CourseError(f"{top.file}: '{twice}' is declared twice among parts and given; keep one")
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


def source_file(root: Path, folder: Path, source: str) -> Path:
    """The file a part or given definition is cut from: in the exercise's own folder, else in the course."""
    for base in (folder, root):
        file = base / source
        if file.is_file() and file.resolve().is_relative_to(root.resolve()):
            return file
    raise CourseError(
        f"{folder / 'exercise.toml'}: source '{source}' not found; expected a file of {folder} or of {root}"
    )


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


def _mistake(table: Table, exercise: Exercise) -> Mistake:
    mistake = Mistake(
        name=table.text("name"),
        part=table.choice("part", tuple(part.name for part in exercise.parts)),
        caught_by=table.text("caught_by"),
        sentence=table.text("sentence"),
        edits=_edits(table),
        code=table.text("code", "") or None,
        near_miss=table.flag("near_miss"),
    )
    table.done()
    if bool(mistake.edits) == (mistake.code is not None):
        raise CourseError(f"{table.file}: mistake '{mistake.name}' needs either 'edits' or 'code'")
    if mistake.code is not None and not any(unit.binds(mistake.part) for unit in _code_units(mistake, table)):
        raise CourseError(f"{table.file}: 'code' of mistake '{mistake.name}' does not define {mistake.part}")
    return mistake


def _code_units(mistake: Mistake, table: Table) -> Any:
    return split(mistake.code or "", f"{table.file} (mistake '{mistake.name}')").units


def _edits(table: Table) -> tuple[tuple[str, str], ...]:
    value = table.raw("edits", [])
    pairs = isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair) and pair[0]
        for pair in value
    )
    if not pairs:
        raise table.wrong("edits", value, "a list of [old text, new text]")
    return tuple((old, new) for old, new in value)


def _variant(file: Path) -> Variant:
    text = file.read_text(encoding="utf-8")
    docstring = split(text, str(file)).docstring
    if not docstring:
        raise CourseError(f"{file}: no module docstring; say in one what is unusual about this solution")
    return Variant(file.stem, docstring.strip(), text)


def _parsed(text: str, what: str) -> str:
    error = outline(text).error
    if error is not None:
        raise CourseError(f"{what} gives no valid Python: {error}")
    return text


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


def _first_repeated(names: list[str]) -> str | None:
    return next((name for i, name in enumerate(names) if name in names[:i]), None)


def _whole(value: float) -> float:
    """2 for 2.0: generated files show whole numbers as people write them."""
    return int(value) if value == int(value) else value
