"""Course files in TOML: read with one-sentence errors, and write the few shapes generated files need."""

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlgrade.errors import CourseError


@dataclass
class Table:
    """One table of a course file; each read names the file, key, value and expectation when it is wrong.

    `done()` refuses the keys nobody asked for, so a misspelt key is never silently ignored.
    """

    file: Path
    values: Mapping[str, Any]
    where: str = ""
    _asked: set[str] = field(default_factory=set)

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str) or (default is None and not value.strip()):
            raise self.wrong(key, value, "a non-empty string")
        return value

    def texts(self, key: str, *, at_least: int = 0) -> tuple[str, ...]:
        value = self._get(key, None if at_least else [])
        if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
            raise self.wrong(key, value, "a list of non-empty strings")
        if len(value) < at_least:
            raise self.wrong(key, value, f"at least {at_least} strings")
        return tuple(value)

    def choice(self, key: str, options: tuple[str, ...], default: str | None = None) -> str:
        value = self._get(key, default)
        if value not in options:
            raise self.wrong(key, value, "one of " + ", ".join(options))
        return str(value)

    def flag(self, key: str) -> bool:
        value = self._get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return value

    def number(self, key: str, default: float) -> float:
        """A number above zero."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise self.wrong(key, value, "a number above 0")
        return value

    def count(self, key: str, default: int = 0) -> int:
        """A whole number, zero included."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.wrong(key, value, "a whole number, 0 or more")
        return value

    def table(self, key: str) -> "Table":
        value = self._get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, value, f"a table [{key}]")
        return Table(self.file, value, f"[{key}]")

    def tables(self, key: str, *, at_least: int = 0) -> list["Table"]:
        value = self._get(key, None if at_least else [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.wrong(key, value, f"tables [[{key}]]")
        if len(value) < at_least:
            raise self.wrong(key, value, f"at least {at_least} table [[{key}]]")
        return [Table(self.file, v, f"[[{key}]] number {i}") for i, v in enumerate(value, 1)]

    def raw(self, key: str, default: Any = None) -> Any:
        """The value as TOML gave it, for a key with a shape of its own."""
        return self._get(key, default)

    def done(self) -> None:
        for key in self.values:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, n=1)
                hint = f"did you mean '{near[0]}'?" if near else "known: " + ", ".join(sorted(self._asked))
                raise CourseError(f"{self._place()}: unknown key '{key}'; {hint}")

    def wrong(self, key: str, value: object, expected: str) -> CourseError:
        shown = "missing" if value is None else json.dumps(value, ensure_ascii=False, default=str)[:80]
        return CourseError(f"{self._place()}: '{key}' is {shown}, expected {expected}")

    def _get(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        return self.values.get(key, default)

    def _place(self) -> str:
        return f"{self.file} {self.where}".rstrip()


def read_toml(file: Path) -> Table:
    try:
        return Table(file, tomllib.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise CourseError(f"{file} not found; every exercise folder needs one") from None
    except OSError as error:
        raise CourseError(f"{file} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{file} is not valid TOML: {error}") from None


def first_repeated(names: list[str]) -> str | None:
    return next((name for i, name in enumerate(names) if name in names[:i]), None)


def toml_text(values: Mapping[str, Any], prefix: str = "") -> str:
    """TOML of nested tables, lists of tables, lists of scalars and scalars; None and empty ones are left out.

    Same values, same bytes: the order is the mapping's own.
    """
    kept = {k: v for k, v in values.items() if v is not None and v != [] and v != {}}
    lines = [f"{_key(k)} = {_scalar(v)}" for k, v in kept.items() if not _is_table(v) and not _is_tables(v)]
    blocks = ["\n".join(lines)] if lines else []
    for key, value in kept.items():
        name = prefix + _key(key)
        if _is_table(value):
            blocks.append(f"[{name}]\n{toml_text(value, name + '.')}")
        elif _is_tables(value):
            blocks.extend(f"[[{name}]]\n{toml_text(item, name + '.')}" for item in value)
    return "\n\n".join(block.rstrip("\n") for block in blocks) + "\n"


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("-", "_").isidentifier()
    return key if bare else _scalar(key)


def _scalar(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_scalar(v) for v in value) + "]"
    if isinstance(value, str | bool | int | float):
        # JSON's strings, booleans and finite numbers are TOML's too, but for the DEL character.
        return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
    raise TypeError(f"no TOML form for {type(value).__name__} {value!r}")
