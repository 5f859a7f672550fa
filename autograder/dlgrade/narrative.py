"""What a notebook says and shows around its parts: an exercise's README.md and its notebook.md.

notebook.md has a section for each part, and for each written answer:

    ## convolve2d
    The lesson's idea, in front of the part.
    ```python
    import dlgrade.notebook

    with dlgrade.notebook.look():
        ...                        a cell after the part's check, for what one would rather look at
    ```
    Text after it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dlgrade.errors import CourseError
from dlgrade.exercise import Exercise
from dlgrade.notebook_source import is_look
from dlgrade.source import SyntaxProblem, parse

FILE: Final = "notebook.md"
_HEADING: Final = re.compile(r"## +(.+?)\s*$")
_FENCE: Final = "```"
_OPEN: Final = re.compile(r"^```python$", re.MULTILINE)
_CELL: Final = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Passage:
    """A text, or the code of a cell."""

    text: str
    is_code: bool = False


@dataclass(frozen=True)
class Section:
    """What stands before a part's cells, and what after them."""

    before: str = ""
    after: tuple[Passage, ...] = ()


def read_sections(exercise: Exercise) -> dict[str, Section]:
    """The sections of notebook.md by name; none where there is no such file.

    Raises:
        CourseError: a section is of no part or written answer, or a cell could count as an answer.
    """
    file = exercise.folder / FILE
    if not file.is_file():
        return {}
    names = [part.name for part in exercise.parts] + [answer.name for answer in exercise.written]
    sections: dict[str, Section] = {}
    for name, lines in _split(file.read_text(encoding="utf-8").splitlines()):
        if name not in names or name in sections:
            what = "there twice" if name in sections else f"none of {exercise.id}'s: {', '.join(names)}"
            raise CourseError(f"{file}: section '{name}' is {what}")
        passages = list(_passages(lines))
        for passage in passages:
            if problem := _unfit(passage):
                raise CourseError(f"{file}: a cell of section '{name}' {problem}")
        before = passages.pop(0).text if passages and not passages[0].is_code else ""
        sections[name] = Section(before, tuple(passages))
    return sections


def introduction(exercise: Exercise) -> str:
    """The statement up to its first section; without a statement title and summary."""
    readme = exercise.folder / "README.md"
    if not readme.is_file():
        return f"# {exercise.title}\n\n{exercise.summary}"
    opening = "\n".join(next(_split(readme.read_text(encoding="utf-8").splitlines(), leading=True))[1])
    return opening.strip()


def question(exercise: Exercise, heading: str) -> str:
    """The section of the statement that asks for a written answer, its heading included.

    Raises:
        CourseError: the statement has no such section.
    """
    readme = exercise.folder / "README.md"
    for name, lines in _split(readme.read_text(encoding="utf-8").splitlines()):
        if name == heading:
            return f"## {heading}\n\n" + "\n".join(lines).strip()
    raise CourseError(f"{readme} has no section '## {heading}', which asks for a written answer")


def _split(lines: list[str], *, leading: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Sections with their lines; what stands before the first is left out unless `leading`."""
    name, section, fenced = "", list[str](), False
    for line in lines:
        if line.startswith(_FENCE):
            fenced = not fenced
        if not fenced and (heading := _HEADING.match(line)):
            if name or leading:
                yield name, section
            name, section = heading[1].strip("`"), []
        else:
            section.append(line)
    if name or leading:
        yield name, section


def _passages(lines: list[str]) -> Iterator[Passage]:
    """Texts and cells in turn."""
    for number, piece in enumerate(_CELL.split("\n".join(lines))):  # every second piece is a cell's code
        if text := piece.strip():
            yield Passage(text, is_code=number % 2 == 1)


def _unfit(passage: Passage) -> str | None:
    """Why a passage may not be a cell: code must never count as what a student wrote."""
    if not passage.is_code:
        return "never ends: close it with a line of ```" if _OPEN.search(passage.text) else None
    code = passage.text
    tree = parse(code)
    if isinstance(tree, SyntaxProblem):
        return f"is no Python: {tree}"
    for statement in tree.body:
        if not isinstance(statement, ast.Import | ast.ImportFrom) and not is_look(statement):
            first = code.split("\n")[statement.lineno - 1].strip()
            return f"has '{first}' outside of 'with dlgrade.notebook.look():'"
    return None
