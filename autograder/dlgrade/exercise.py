"""The record of one exercise: its parts, its limits and where its files are; and its mistakes and variants.

`declaration.py` reads it from a course's exercise.toml.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from dlgrade.errors import CourseError
from dlgrade.source import outline
from dlgrade.tomlfile import Table, first_repeated, read_toml
from dlgrade.units import overlay, split

Kind = Literal["function", "class"]
TIERS = ("quick", "cpu", "gpu")
FINGERPRINTS = "fingerprints.json"
MEBI = 2**20


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
    memory_bytes: int = 4096 * MEBI
    scratch_bytes: int = 256 * MEBI
    output_bytes: int = 1 * MEBI
    threads: int = 64
    open_files: int = 256


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
    """A definition besides the parts: students receive it whole, or, as `support`, not at all."""

    name: str
    source: str


@dataclass(frozen=True)
class Written:
    """An answer in words that a person grades; `question` is the statement's section that asks for it."""

    name: str
    question: str
    points: float


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
    support: tuple[Given, ...] = ()
    written: tuple[Written, ...] = ()

    @property
    def staff(self) -> bool:
        return self.hidden_checks is not None

    def part(self, name: str) -> Part:
        for part in self.parts:
            if part.name == name:
                return part
        names = ", ".join(part.name for part in self.parts)
        raise CourseError(f"exercise '{self.id}' has no part '{name}'; its parts are {names}")

    @property
    def layouts(self) -> dict[str, tuple[Mapping[str, Any], ...]]:
        """How answers may arrange the parameters of each part."""
        return {part.name: part.layouts for part in self.parts}

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


def load_mistakes(exercise: Exercise) -> tuple[Mistake, ...]:
    """The exercise's mistakes; none where the course has no mistakes.toml, as a student's has not."""
    if exercise.mistakes_file is None:
        return ()
    top = read_toml(exercise.mistakes_file)
    mistakes = tuple(_mistake(table, exercise) for table in top.tables("mistake"))
    top.done()
    names = [mistake.name for mistake in mistakes]
    if twice := first_repeated(names):
        raise CourseError(f"{exercise.mistakes_file}: mistake '{twice}' is declared twice; rename one")
    return mistakes


def load_variants(exercise: Exercise) -> tuple[Variant, ...]:
    """The exercise's independent correct solutions, by file name."""
    if exercise.variants_folder is None:
        return ()
    return tuple(_variant(file) for file in sorted(exercise.variants_folder.glob("*.py")))


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
    where = f"{table.file}: mistake '{mistake.name}'"
    if mistake.code is not None and split(mistake.code, where).unit(mistake.part) is None:
        raise CourseError(f"{where} has a 'code' that does not define {mistake.part}")
    return mistake


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
