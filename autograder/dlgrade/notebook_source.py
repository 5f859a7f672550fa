"""Turn a submitted notebook into the text of a module, without running it.

A module must not download a data set or train a model when it is imported, and students try things out in
their notebooks. So only imports, definitions and assignments count, and of those only what the exercise's
parts need. They stay in order, each cell's under a `# cell N` comment; what is left out is listed.
"""

import ast
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from dlgrade.display import printable
from dlgrade.errors import SubmissionError
from dlgrade.source import SyntaxProblem, bound_names, decode_source, parse, refuse_oversize
from dlgrade.stub import first_line, last_line
from dlgrade.units import free_names

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


def notebook_text(data: bytes, name: str, parts: Iterable[str]) -> NotebookText:
    """The module that a submitted notebook defines, as far as `parts` need it.

    Raises:
        SubmissionError: not a notebook of format 4, or larger than any honest one.
    """
    cells = [(n, cell) for n, cell in _code_cells(_load(data, name), name) if not _is_read_only(cell)]
    sources = [(number, _source(cell, name)) for number, cell in cells]
    refuse_oversize("\n".join(source for _, source in sources), name)
    notes: list[str] = []
    found = [statement for number, source in sources for statement in _statements(number, source, notes)]
    needed = _reached(found, parts)
    notes += [s.left_out("no part needs it") for s in found if s not in needed and not s.is_import]
    return NotebookText(_module(needed), tuple(notes[:MAX_NOTES]))


@dataclass(frozen=True, eq=False)
class _Statement:
    """An import, definition or assignment of a cell."""

    cell: int
    code: str
    node: ast.stmt

    @property
    def is_import(self) -> bool:
        return isinstance(self.node, ast.Import | ast.ImportFrom)

    @property
    def always_counts(self) -> bool:
        """What a future or star import brings cannot be told from its names."""
        return isinstance(self.node, ast.ImportFrom) and (
            self.node.module == "__future__" or self.node.names[0].name == "*"
        )

    @property
    def binds(self) -> set[str]:
        """Names it binds, or changes as in `SimpleCNN.forward = forward`."""
        single = [self.node.target] if isinstance(self.node, ast.AugAssign | ast.AnnAssign) else []
        targets: list[ast.expr] = getattr(self.node, "targets", single)
        changed = {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
        return changed | set(bound_names(self.node))

    @property
    def needs(self) -> Iterable[str]:
        try:
            return free_names(self.code)
        except (SyntaxError, RecursionError, MemoryError, ValueError):
            # No compiler takes it: the worker says why, so let everything come along that it names.
            return {part.id for part in ast.walk(self.node) if isinstance(part, ast.Name)}

    def left_out(self, reason: str) -> str:
        first = self.code.partition("\n")[0].strip()
        return f"cell {self.cell}: left out {printable(first, 60)} ({reason})"


def _statements(number: int, source: str, notes: list[str]) -> Iterator[_Statement]:
    """What a cell may contribute; everything else is noted and left out."""
    source, magics = _without_cell_magic(source)
    tree = parse(source)
    if isinstance(tree, SyntaxProblem):
        source, more = _without_magics(source)
        magics, tree = magics + more, parse(source)
    notes += [f"cell {number}: left out {printable(magic.strip(), 60)}" for magic in magics]
    if isinstance(tree, SyntaxProblem):
        notes.append(f"cell {number} has a syntax error and was left out: {tree}")
        return
    lines = source.split("\n")
    for node in tree.body:
        statement = _Statement(number, _segment(lines, node), node)
        if _is_kept(node):
            yield statement
        elif not _is_kit(node):
            notes.append(statement.left_out("only imports, definitions and assignments count"))


def _reached(statements: Sequence[_Statement], parts: Iterable[str]) -> list[_Statement]:
    """Statements that the parts need, directly or through others, in their own order."""
    by_name: dict[str, list[_Statement]] = {}
    for statement in statements:
        for name in statement.binds:
            by_name.setdefault(name, []).append(statement)
    reached = {statement for statement in statements if statement.always_counts}
    names, todo = set(parts), list(parts)
    while todo:
        for statement in by_name.get(todo.pop(), []):
            if statement not in reached:
                reached.add(statement)
                new = set(statement.needs) - names
                names |= new
                todo += new
    return [statement for statement in statements if statement in reached]


def _module(statements: Sequence[_Statement]) -> str:
    """The statements under a comment for each cell; future imports first, where Python wants them."""
    is_future = [isinstance(s.node, ast.ImportFrom) and s.node.module == "__future__" for s in statements]
    chunks = [s.code for s, future in zip(statements, is_future, strict=True) if future]
    rest = [s for s, future in zip(statements, is_future, strict=True) if not future]
    for cell, group in itertools.groupby(rest, lambda statement: statement.cell):
        chunks.append("\n".join([f"# cell {cell}", *(statement.code for statement in group)]))
    return "\n\n\n".join(chunks) + "\n"


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


def _is_read_only(cell: dict[str, Any]) -> bool:
    """The release's check cells and pictures; what is graded by hand is a solution as well and counts."""
    metadata = cell.get("metadata")
    mark = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    if not isinstance(mark, dict) or mark.get("solution") is True:
        return False
    return mark.get("grade") is True or mark.get("locked") is True


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
    """The release's own cells: calling the kit, which is not there when grading."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="check", value=owner))):
            return getattr(owner, "attr", getattr(owner, "id", "")) == "notebook"
        case ast.Pass():
            return True
    return is_look(statement)


def is_look(statement: ast.stmt) -> bool:
    """Whether a statement is a `with dlgrade.notebook.look():`."""
    match statement:
        case ast.With(items=[ast.withitem(ast.Call(func=ast.Attribute(attr="look", value=owner)))]):
            return getattr(owner, "attr", getattr(owner, "id", "")) == "notebook"
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
