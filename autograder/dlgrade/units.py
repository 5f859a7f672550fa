"""A course's own source file as top-level units that can be cut out, put in order and joined again.

For trusted text only: reference files, answers, mistakes and variants. Submissions go through `source.py`.
"""

import ast
import builtins
import symtable
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dlgrade.errors import CourseError
from dlgrade.source import bound_names
from dlgrade.stub import first_line, last_line

BUILTINS = frozenset(dir(builtins))
LINE_LENGTH = 110


@dataclass(frozen=True)
class Import:
    """One imported name. `member` is None for `import module`; `module` keeps its leading dots."""

    name: str
    module: str
    member: str | None
    line: int = 0

    @property
    def origin(self) -> tuple[str, str | None]:
        """What the name stands for: `import a.b` and `import a` both bind the package `a`."""
        if self.member is None and self.name == self.module.partition(".")[0]:
            return self.name, None
        return self.module, self.member


@dataclass(frozen=True)
class Unit:
    """A top-level statement and the comments directly above it; `code` starts on `line` of its file."""

    names: tuple[str, ...]
    code: str
    line: int
    node: ast.stmt

    def binds(self, name: str) -> bool:
        return name in self.names

    @property
    def is_definition(self) -> bool:
        return isinstance(self.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)

    @cached_property
    def free(self) -> Mapping[str, int]:
        """Names it takes from outside, builtins apart, with the line in the file of their first use."""
        return {name: line + self.line - 1 for name, line in free_names(self.code).items()}


@dataclass(frozen=True)
class SourceFile:
    """A file taken apart. `future` are the features of its `from __future__ import`."""

    name: str
    docstring: str
    future: tuple[str, ...]
    imports: tuple[Import, ...]
    units: tuple[Unit, ...]

    def unit(self, name: str) -> Unit | None:
        """The last unit that binds `name`."""
        return next((unit for unit in reversed(self.units) if unit.binds(name)), None)

    def imports_of(self, name: str) -> list[Import]:
        return [found for found in self.imports if found.name == name]


def split(text: str, name: str) -> SourceFile:
    """Take a source file apart; `name` is what errors call it."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise CourseError(f"{name}:{error.lineno}: {error.msg}") from None
    docstring = ast.get_docstring(tree)
    statements = tree.body[docstring is not None :]
    imports = [found for node in statements for found in _imports(node)]
    lines = text.split("\n")
    return SourceFile(
        name,
        docstring or "",
        tuple(found.name for found in imports if found.module == "__future__"),
        tuple(found for found in imports if found.module != "__future__"),
        tuple(_unit(n, lines) for n in statements if not isinstance(n, ast.Import | ast.ImportFrom)),
    )


def free_names(code: str) -> dict[str, int]:
    """Names that `code` needs from the module around it, builtins apart, with the line of their first use.

    Python's own symbol table decides what is free, so comprehensions, closures, class scopes, decorators,
    defaults and annotations (quoted ones apart) come out as Python runs them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape sequence is the author's to hear of, once
        top, tree = symtable.symtable(code, "<unit>", "exec"), ast.parse(code)
    own = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    wanted = {s.get_name() for s in top.get_symbols() if s.is_referenced()} | set(_globals_below(top))
    wanted -= own | BUILTINS
    lines: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in wanted:
            lines[node.id] = min(node.lineno, lines.get(node.id, node.lineno))
    return {name: lines.get(name, 1) for name in sorted(wanted)}


def names_at_definition(node: ast.stmt, *, annotations: bool = True) -> set[str]:
    """Names that must be bound before the statement runs: not those used only when a function is called."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return _names_in(_evaluated_with(node, annotations))
        case ast.ClassDef():
            names = _names_in([*node.decorator_list, *node.bases, *node.keywords])
            for statement in node.body:
                names |= names_at_definition(statement, annotations=annotations)
            return names
        case ast.AnnAssign(value=value) if not annotations:
            return _names_in([value] if value is not None else [])
    return _names_in([node])


def in_definition_order(units: Sequence[Unit], *, annotations: bool = True) -> list[Unit]:
    """Pull what a unit needs when it is defined in front of it; otherwise the order stays.

    An assignment may call what it names, so it comes after everything that those functions need, too.

    Raises:
        CourseError: units need each other in a circle.
    """
    needs = [_needs(unit, units, annotations) for unit in units]
    ordered: list[int] = []

    def place(position: int, waiting: tuple[int, ...]) -> None:
        if position in waiting:
            circle = ", ".join(name for p in sorted(waiting) for name in units[p].names)
            raise CourseError(f"{circle} need each other at definition; no order of them works")
        for needed in sorted(needs[position] - set(ordered)):
            place(needed, (*waiting, position))
        if position not in ordered:
            ordered.append(position)

    for position in range(len(units)):
        place(position, ())
    return [units[position] for position in ordered]


def import_lines(future: Iterable[str], imports: Iterable[Import]) -> str:
    """Import statements in the usual order: future, standard library, others; `import` before `from`."""
    features = sorted(set(future))
    sections = [_from_line("__future__", features)] if features else []
    found = list(imports)
    for standard in (True, False):
        group = [i for i in found if (i.module.partition(".")[0] in sys.stdlib_module_names) is standard]
        if group:
            sections.append(_section(group))
    return "\n\n".join(sections)


def join_units(units: Sequence[Unit], codes: Iterable[str]) -> str:
    """The units' codes with the blank lines the formatter puts between them."""
    text = ""
    for before, unit, code in zip((None, *units), units, codes, strict=False):
        apart = 0 if before is None else 3 if before.is_definition or unit.is_definition else 1
        text += "\n" * apart + code
    return text


def overlay(answer_text: str, variant_text: str) -> str:
    """The answer with the definitions that `variant_text` redefines in place of its own.

    The variant's imports and further definitions come along; the latter go in front of the first one
    replaced, and everything is moved after what it needs at definition.
    """
    answer, variant = split(answer_text, "answer"), split(variant_text, "variant")
    future = {*answer.future, *variant.future}
    units = in_definition_order(_merged(answer, variant), annotations="annotations" not in future)
    theirs = {found.name for found in variant.imports}
    imports = [*(found for found in answer.imports if found.name not in theirs), *variant.imports]
    docstring = f'"""{answer.docstring}"""' if answer.docstring else ""
    sections = (docstring, import_lines(future, imports), join_units(units, (unit.code for unit in units)))
    return "\n\n".join(section for section in sections if section) + "\n"


def _merged(answer: SourceFile, variant: SourceFile) -> list[Unit]:
    """Answer units, the redefined ones replaced by all of the variant's that bind the same name."""
    known = {name for unit in answer.units for name in unit.names}
    extra = [unit for unit in variant.units if not known.intersection(unit.names)]
    replacing = [unit for unit in variant.units if known.intersection(unit.names)]
    redefined = {name for unit in replacing for name in unit.names}
    merged: list[Unit] = []
    for unit in answer.units:
        if not redefined.intersection(unit.names):
            merged.append(unit)
            continue
        merged += extra
        extra = []
        merged += [new for new in replacing if set(new.names).intersection(unit.names) and new not in merged]
    return merged + extra


def _imports(node: ast.stmt) -> Iterator[Import]:
    match node:
        case ast.Import(names=aliases):
            for alias in aliases:
                yield Import(alias.asname or alias.name.partition(".")[0], alias.name, None, node.lineno)
        case ast.ImportFrom(module=module, names=aliases, level=level):
            for alias in aliases:
                yield Import(
                    alias.asname or alias.name, "." * (level or 0) + (module or ""), alias.name, node.lineno
                )


def _unit(node: ast.stmt, lines: list[str]) -> Unit:
    start = first_line(node)
    while start > 1 and lines[start - 2].startswith("#"):
        start -= 1
    return Unit(
        tuple(sorted(set(bound_names(node)))), "\n".join(lines[start - 1 : last_line(node)]), start, node
    )


def _globals_below(table: symtable.SymbolTable) -> Iterator[str]:
    for child in table.get_children():
        yield from (symbol.get_name() for symbol in child.get_symbols() if symbol.is_global())
        yield from _globals_below(child)


def _evaluated_with(node: ast.FunctionDef | ast.AsyncFunctionDef, annotations: bool) -> list[ast.AST]:
    arguments = node.args
    evaluated: list[ast.AST | None] = [*node.decorator_list, *arguments.defaults, *arguments.kw_defaults]
    if annotations:
        extra = [arg for arg in (arguments.vararg, arguments.kwarg) if arg is not None]
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]
        evaluated += [node.returns, *(argument.annotation for argument in every)]
    return [part for part in evaluated if part is not None]


def _names_in(nodes: Iterable[ast.AST]) -> set[str]:
    return {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}


def _needs(unit: Unit, units: Sequence[Unit], annotations: bool) -> set[int]:
    """Positions of the units that must come before this one."""
    todo = names_at_definition(unit.node, annotations=annotations)
    seen: set[str] = set()
    needed: set[int] = set()
    while todo:
        name = todo.pop()
        seen.add(name)
        for position, other in enumerate(units):
            if other is not unit and other.binds(name) and not _comes_later(unit, other, units):
                needed.add(position)
                if not unit.is_definition:
                    todo |= set(other.free) - seen
    return needed


def _comes_later(unit: Unit, other: Unit, units: Sequence[Unit]) -> bool:
    """Of two units that bind one name (`f = compiled(f)`), the later one does not precede the earlier."""
    return bool(set(unit.names) & set(other.names)) and units.index(other) > units.index(unit)


def _section(imports: list[Import]) -> str:
    plain = {(i.module, i.name) for i in imports if i.member is None}
    lines = [_import_line(module, name) for module, name in sorted(plain)]
    for module in sorted({i.module for i in imports if i.member is not None}):
        members = {(i.member or "", i.name) for i in imports if i.module == module and i.member is not None}
        shown = [m if m == name else f"{m} as {name}" for m, name in sorted(members, key=_member_order)]
        lines.append(_from_line(module, shown))
    return "\n".join(lines)


def _import_line(module: str, name: str) -> str:
    return f"import {module}" if name == module.partition(".")[0] else f"import {module} as {name}"


def _member_order(member: tuple[str, str]) -> tuple[int, str]:
    """Constants, then classes, then functions: the order that ruff's import sorting expects."""
    name = member[0]
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name


def _from_line(module: str, members: list[str]) -> str:
    line = f"from {module} import {', '.join(members)}"
    if len(line) <= LINE_LENGTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {member},\n" for member in members) + ")"
