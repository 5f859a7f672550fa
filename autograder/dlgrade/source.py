"""Read a submission's source without running it: decode, outline, and find the parts never filled in.

The text is hostile until proven otherwise, so each limit comes before the work it bounds: bytes before
decoding, tokens before parsing (a megabyte of `a;` costs the parser 900 MB and four seconds, 200,000 tokens
under a second), and no function here recurses over the tree.
"""

import ast
import codecs
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from dlgrade.display import printable
from dlgrade.errors import SubmissionError
from dlgrade.stub import first_line, last_line, unfilled

MAX_BYTES = 1_000_000
MAX_TOKENS = 200_000
_TOKEN = re.compile(r"\w+|[^\w\s]")
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_ENCODINGS = ("utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252", "cp1251", "mac-roman")

Kind = Literal["function", "class", "assignment", "import"]


@dataclass(frozen=True)
class Definition:
    """A name bound at top level, on `line` to `end_line` (1-based, decorators included).

    `function` and `class` are plain definitions; inside an if, try, with or loop, and however else a name
    can be bound, it is an `assignment`, which counts but is not looked into.
    """

    name: str
    kind: Kind
    line: int
    end_line: int
    node: ast.stmt


@dataclass(frozen=True)
class SyntaxProblem:
    """Why Python cannot read the text, and the line it stopped at."""

    line: int
    message: str
    shown: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" + (f": {self.shown}" if self.shown else "")


@dataclass(frozen=True)
class Outline:
    """What a source text defines at top level. With an `error` nothing else is known."""

    text: str
    definitions: tuple[Definition, ...] = ()
    error: SyntaxProblem | None = None

    def find(self, name: str) -> Definition | None:
        """The definition Python ends up with, which is the last one."""
        return next((found for found in reversed(self.definitions) if found.name == name), None)

    @property
    def duplicates(self) -> dict[str, tuple[int, ...]]:
        """Functions and classes written more than once, with their lines; only the last one counts."""
        lines: dict[str, list[int]] = {}
        for found in self.definitions:
            if found.kind in ("function", "class"):
                lines.setdefault(found.name, []).append(found.line)
        return {name: tuple(at) for name, at in lines.items() if len(at) > 1}


class _HasName(Protocol):
    @property
    def name(self) -> str: ...


class HasParts(Protocol):
    """An exercise, as far as this module needs one."""

    @property
    def parts(self) -> Sequence[_HasName]: ...


def decode_source(data: bytes, name: str, *, limit: int = MAX_BYTES) -> str:
    """Bytes of a submitted file as text with `\\n` line ends.

    UTF-8 unless a byte order mark or a coding comment says otherwise.

    Raises:
        SubmissionError: too large, binary, or not in the encoding it should be in.
    """
    if len(data) > limit:
        raise SubmissionError(f"{name} has {len(data)} bytes, expected at most {limit}; is it source code?")
    encoding, body = _encoding(data, name)
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise SubmissionError(
            f"{name} is not valid {encoding} at byte {error.start + len(data) - len(body)}"
            f" (0x{body[error.start]:02x}); save it again as UTF-8"
        ) from None
    _refuse_binary(text, name)
    return _newlines(text)


def outline(text: str, name: str = "source") -> Outline:
    """List what `text` binds at top level; what Python cannot read becomes `Outline.error`.

    Raises:
        SubmissionError: larger than any honest submission, or not text.
    """
    refuse_oversize(text, name)
    text = _newlines(text)
    tree = parse(text)
    if isinstance(tree, SyntaxProblem):
        return Outline(text, error=tree)
    return Outline(text, tuple(_definitions(tree.body)))


def refuse_oversize(text: str, name: str) -> None:
    """Refuse text that is no text, or that would cost the parser more than an honest submission does."""
    _refuse_binary(text, name)
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise SubmissionError(
            f"{name} has half a surrogate pair at position {error.start}: it is no text; save it as UTF-8"
        ) from None
    if size > MAX_BYTES:
        raise SubmissionError(f"{name} has {size} bytes of source, expected at most {MAX_BYTES}")
    tokens = sum(1 for _ in _TOKEN.finditer(text))
    if tokens > MAX_TOKENS:
        raise SubmissionError(
            f"{name} has {tokens} tokens, expected at most {MAX_TOKENS}; is data pasted in it?"
        )


def missing_parts(found: Outline, exercise: HasParts) -> dict[str, str]:
    """Parts that are absent or still a stub, each with the reason; empty if the text has a syntax error.

    A part with one method of several still unfilled is missing as a whole. A name that is bound in any
    other way than by a plain `def` or `class` counts as present.
    """
    if found.error is not None:
        return {}
    reasons = ((part.name, _why_missing(found, part.name)) for part in exercise.parts)
    return {name: reason for name, reason in reasons if reason}


def parse(text: str) -> ast.Module | SyntaxProblem:
    """`ast.parse` whose every failure is a value. The caller bounds the size."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape sequence is no error of the grader's
            return ast.parse(text)
    except SyntaxError as error:
        return _problem(text, error)
    except (MemoryError, RecursionError):
        return SyntaxProblem(1, "nested too deeply for Python to read", "")
    except ValueError as error:
        return SyntaxProblem(1, str(error), "")


def bound_names(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement binds in its own scope, in no particular order."""
    todo: list[ast.AST] = [statement]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
            continue
        if isinstance(node, ast.Lambda):
            continue
        yield from _names_of(node)
        todo.extend(ast.iter_child_nodes(node))


def _names_of(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.alias(name=name, asname=asname) if name != "*":
            yield asname or name.partition(".")[0]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name


def _newlines(text: str) -> str:
    """Line ends as the parser counts them, so that its line numbers index `split("\\n")`."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _encoding(data: bytes, name: str) -> tuple[str, bytes]:
    """The encoding, and the data without its byte order mark."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return encoding, data[len(mark) :]
    for line in data.split(b"\n", 2)[:2]:
        if cookie := _COOKIE.match(line):
            return _known_encoding(cookie[1].decode("ascii", "replace"), name), data
    return "utf-8", data


def _known_encoding(label: str, name: str) -> str:
    """Python has codecs that decompress or import; only plain text encodings are taken from a submission."""
    try:
        known = codecs.lookup(label).name
    except (LookupError, ValueError):
        known = ""
    if known not in _ENCODINGS:
        raise SubmissionError(f"{name} declares the encoding '{label[:40]}'; save it as UTF-8")
    return known


def _refuse_binary(text: str, name: str) -> None:
    if (at := text.find("\0")) >= 0:
        raise SubmissionError(
            f"{name} has a NUL character at position {at}: it is binary, expected source code"
        )


def _problem(text: str, error: SyntaxError) -> SyntaxProblem:
    lines = text.split("\n")
    line = min(max(error.lineno or 1, 1), len(lines))
    return SyntaxProblem(line, printable(str(error.msg), 200), printable(lines[line - 1].strip(), 80))


def _definitions(body: Iterable[ast.stmt]) -> Iterator[Definition]:
    for node in body:
        line, end = first_line(node), last_line(node)
        match node:
            case ast.ClassDef(name=name):
                yield Definition(name, "class", line, end, node)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield Definition(name, "function", line, end, node)
            case ast.Import() | ast.ImportFrom():
                yield from (Definition(name, "import", line, end, node) for name in bound_names(node))
            case _:
                names = sorted(set(bound_names(node)))
                yield from (Definition(name, "assignment", line, end, node) for name in names)


def _why_missing(found: Outline, name: str) -> str | None:
    definition = found.find(name)
    if definition is None:
        return f"{name} is not defined"
    node = definition.node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return None
    stubs = unfilled(node, found.text.split("\n"))
    if not stubs:
        return None
    reason = f"{stubs[0]} is still the stub"
    if lines := found.duplicates.get(name):
        at = ", ".join(str(line) for line in lines)
        reason += f"; {name} is defined on lines {at}, and Python uses the last"
    return reason
