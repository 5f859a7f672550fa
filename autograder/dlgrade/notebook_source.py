"""Turn a submitted notebook into the text of a module, without running it.

Kept are the imports, definitions and assignments of its code cells, in order, each cell under
a `# cell N` comment. Everything else at top level (calls, loops, magics) is left out and listed, because
grading imports the text and must not train a model by doing so.
"""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from dlgrade.display import printable
from dlgrade.errors import SubmissionError
from dlgrade.source import SyntaxProblem, decode_source, parse, refuse_oversize
from dlgrade.stub import first_line, last_line

MAX_NOTEBOOK_BYTES = 10_000_000
MAX_CELLS = 2_000
MAX_NOTES = 50
# A magic starts right after its sign; a continuation line such as `% 7` has a space there.
_MAGIC = re.compile(r"^(\s*+)(%{1,2}[A-Za-z]|!|\?|[\w.]++\?{1,2}\s*$|[\w ,.]++=\s*+(%[A-Za-z]|!))")
_TRANSPARENT = ("%%time", "%%capture", "%%timeit", "%%prun")


@dataclass(frozen=True)
class NotebookText:
    """A notebook's definitions as one module, and what was left out of it."""

    text: str
    notes: tuple[str, ...]


def notebook_text(data: bytes, name: str) -> NotebookText:
    """The module that a submitted notebook defines.

    Raises:
        SubmissionError: not a notebook of format 4, or larger than any honest one.
    """
    cells = [(n, cell) for n, cell in _code_cells(_load(data, name), name) if not _is_graded_check(cell)]
    sources = [(number, _source(cell, name)) for number, cell in cells]
    refuse_oversize("\n".join(source for _, source in sources), name)
    collected = _Collected()
    for number, source in sources:
        collected.add_cell(number, source)
    return NotebookText(collected.text(), tuple(collected.notes))


@dataclass
class _Collected:
    """What has been kept and left out so far, cell by cell."""

    future: list[str] = field(default_factory=list)
    chunks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_cell(self, number: int, source: str) -> None:
        source, magics = _without_cell_magic(source)
        tree = parse(source)
        if isinstance(tree, SyntaxProblem):
            source, more = _without_magics(source)
            magics += more
            tree = parse(source)
        for magic in magics:
            self._note(f"cell {number}: left out {printable(magic.strip(), 60)}")
        if isinstance(tree, SyntaxProblem):
            self._note(f"cell {number} has a syntax error and was left out: {tree}")
            return
        self._add_statements(number, source.split("\n"), tree.body)

    def _add_statements(self, number: int, lines: list[str], statements: Sequence[ast.stmt]) -> None:
        kept = []
        for statement in statements:
            code = lines[first_line(statement) - 1 : last_line(statement)]
            if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
                self.future += [alias.name for alias in statement.names]
            elif _is_kit(statement):
                continue
            elif _is_kept(statement):
                kept.append(_segment(lines, statement))
            else:
                self._note(f"cell {number}: left out {printable(code[0].strip(), 60)}")
        if kept:
            self.chunks.append("\n".join([f"# cell {number}", *kept]))

    def _note(self, note: str) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append(note)

    def text(self) -> str:
        future = [f"from __future__ import {', '.join(sorted(set(self.future)))}"] if self.future else []
        return "\n\n\n".join([*future, *self.chunks]) + "\n"


def _load(data: bytes, name: str) -> dict[str, Any]:
    if len(data) > MAX_NOTEBOOK_BYTES:
        raise SubmissionError(
            f"{name} has {len(data)} bytes, expected at most {MAX_NOTEBOOK_BYTES};"
            " clear its outputs and save it"
        )
    try:
        notebook = json.loads(
            decode_source(data, name, limit=MAX_NOTEBOOK_BYTES), parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else printable(str(error), 120)
        raise SubmissionError(
            f"{name} is not a valid notebook: {reason}; open it in Jupyter and save it"
        ) from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise SubmissionError(
            f"{name} has no list of cells, expected a notebook of format 4; save it with Jupyter"
        )
    return notebook


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _code_cells(notebook: dict[str, Any], name: str) -> list[tuple[int, dict[str, Any]]]:
    """Code cells with their place among all cells, counted from 1."""
    cells = notebook["cells"]
    if len(cells) > MAX_CELLS:
        raise SubmissionError(f"{name} has {len(cells)} cells, expected at most {MAX_CELLS}")
    if not all(isinstance(cell, dict) for cell in cells):
        raise SubmissionError(f"{name} has a cell that is no JSON object; open it in Jupyter and save it")
    return [(number, cell) for number, cell in enumerate(cells, 1) if cell.get("cell_type") == "code"]


def _source(cell: dict[str, Any], name: str) -> str:
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise SubmissionError(
            f"{name} has a code cell whose source is no text; open it in Jupyter and save it"
        )
    return source.replace("\r\n", "\n").replace("\r", "\n")


def _is_graded_check(cell: dict[str, Any]) -> bool:
    """nbgrader's test cells; a cell that is graded by hand is a solution as well and counts."""
    metadata = cell.get("metadata")
    mark = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return isinstance(mark, dict) and mark.get("grade") is True and mark.get("solution") is not True


def _without_cell_magic(source: str) -> tuple[str, list[str]]:
    """A cell in another language is left out whole; those that time or capture Python keep their body."""
    first, _, rest = source.lstrip().partition("\n")
    if not first.startswith("%%"):
        return source, []
    return (rest if first.startswith(_TRANSPARENT) else ""), [first]


def _without_magics(source: str) -> tuple[str, list[str]]:
    magics, lines = [], []
    for line in source.split("\n"):
        found = _MAGIC.match(line)
        lines.append(f"{found[1]}pass" if found else line)
        magics += [line] if found else []
    return "\n".join(lines), magics


def _is_kit(statement: ast.stmt) -> bool:
    """The release's own check cells: they import and call the kit, which is not there when grading."""
    match statement:
        case ast.Import(names=[ast.alias(name=module)]) | ast.ImportFrom(module=str(module)):
            return module.partition(".")[0] == "dlgrade"
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="check", value=owner))):
            return getattr(owner, "attr", getattr(owner, "id", "")) == "notebook"
        case ast.Pass():
            return True
    return False


def _is_kept(statement: ast.stmt) -> bool:
    definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    if isinstance(
        statement, definition | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.AugAssign
    ):
        return True
    if isinstance(statement, ast.If | ast.Try):
        blocks = [
            child for child in ast.walk(statement) if isinstance(child, ast.stmt) and child is not statement
        ]
        return all(isinstance(child, ast.Import | ast.ImportFrom | ast.Assign | ast.Pass) for child in blocks)
    return False


def _segment(lines: list[str], statement: ast.stmt) -> str:
    """A statement's text with its comments; one that shares its lines with others is cut at its columns."""
    first, last = first_line(statement), last_line(statement)
    code = lines[first - 1 : last]
    end = code[-1].encode()[statement.end_col_offset :].decode().strip()
    if end and not end.startswith("#"):
        code[-1] = code[-1].encode()[: statement.end_col_offset].decode()
    start = 0 if first != statement.lineno else statement.col_offset
    code[0] = code[0].encode()[start:].decode()
    return "\n".join(code)
