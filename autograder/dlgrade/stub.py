"""The stub of a definition: cut the bodies out of an answer, and find those a student left as they were.

Both sides share one rule. What an author marks with a trailing `# given` comment stays: a statement, with
all of its block, or a whole method. Signatures, decorators, docstrings and class attributes stay too. The
rest of each body is one `raise NotImplementedError("Part.method")`.
"""

import ast
import re
from collections.abc import Iterator, Sequence

# The look-behind and the possessive quantifiers keep the search linear on a line of a million spaces.
_GIVEN = re.compile(r"(?<![ \t])[ \t]++#[ \t]*+given[ \t]*+$")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def first_line(statement: ast.stmt) -> int:
    """The line a statement starts on, its decorators included."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def last_line(statement: ast.stmt) -> int:
    return statement.end_lineno or statement.lineno


def without_marks(code: str) -> str:
    """`code` without its trailing `# given` comments, as the full answer shows it."""
    return "\n".join(_GIVEN.sub("", line) for line in code.split("\n"))


def cut(code: str) -> str:
    """The stub of one top-level definition. Comments in a cut body go with it: they explain the answer."""
    lines = code.split("\n")
    (node,) = ast.parse(code).body
    assert isinstance(node, Function | ast.ClassDef)
    for name, function in reversed(list(_functions(node, node.name))):
        lines = _cut_body(lines, function, name)
    return "\n".join(lines)


def unfilled(node: Function | ast.ClassDef, lines: Sequence[str]) -> list[str]:
    """Names (`SelfAttention.forward`) of the functions in `node` whose body is still the stub's."""
    names = []
    for name, function in _functions(node, node.name):
        own = [statement for statement in _after_docstring(function) if not _is_given(statement, lines)]
        if len(own) == 1 and _raises(own[0], name):
            names.append(name)
    return names


def _functions(node: Function | ast.ClassDef, name: str) -> Iterator[tuple[str, Function]]:
    """The definition itself, or the methods of the class and of classes nested in it, top to bottom."""
    todo: list[tuple[str, Function | ast.ClassDef]] = [(name, node)]
    while todo:
        name, node = todo.pop()
        if isinstance(node, ast.ClassDef):
            inner = [child for child in node.body if isinstance(child, Function | ast.ClassDef)]
            todo.extend((f"{name}.{child.name}", child) for child in reversed(inner))
        else:
            yield name, node


def _cut_body(lines: list[str], function: Function, name: str) -> list[str]:
    body = _after_docstring(function)
    if _is_given(function, lines) or all(_is_given(s, lines) or _says_nothing(s) for s in body):
        return lines
    indent = " " * (function.col_offset + 4)
    number, header = _header(lines, function)
    stub = [f'{indent}raise NotImplementedError("{name}")']
    kept: list[str] = []
    for statement in body:
        if _is_given(statement, lines):
            kept += lines[first_line(statement) - 1 : last_line(statement)]
        elif stub:
            kept, stub = kept + stub, []
    end = _end_with_comments(lines, function)
    return [*lines[: number - 1], header, *kept, *lines[end:]]


def _header(lines: list[str], function: Function) -> tuple[int, str]:
    """Number and text of the last line to keep in front of the body: the signature's or the docstring's."""
    first = function.body[0]
    before = lines[first.lineno - 1].encode()[: first.col_offset].decode()
    if before.strip():  # def f(x): return x
        return first.lineno, before.rstrip()
    if ast.get_docstring(function, clean=False) is not None:
        number = last_line(first)
    else:
        number = first_line(first) - 1
        while not lines[number - 1].strip() or lines[number - 1].lstrip().startswith("#"):
            number -= 1
    return number, lines[number - 1]


def _end_with_comments(lines: list[str], function: Function) -> int:
    """Last line of the body, with comments after it that are indented as the body is."""
    end = last_line(function)
    for number in range(end, len(lines)):
        line = lines[number]
        if line.strip() and not (line.lstrip().startswith("#") and _indent(line) > function.col_offset):
            break
        if line.strip():
            end = number + 1
    return end


def _after_docstring(function: Function) -> list[ast.stmt]:
    return function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body


def _is_given(statement: ast.stmt, lines: Sequence[str]) -> bool:
    return bool(_GIVEN.search(lines[statement.lineno - 1]))


def _says_nothing(statement: ast.stmt) -> bool:
    """`pass` and `...`: an empty body has no answer in it."""
    is_dots = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass) or is_dots


def _raises(statement: ast.stmt, name: str) -> bool:
    match statement:
        case ast.Raise(
            exc=ast.Call(func=ast.Name("NotImplementedError"), args=[ast.Constant(value)], keywords=[]),
            cause=None,
        ):
            return bool(value == name)
    return False


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
