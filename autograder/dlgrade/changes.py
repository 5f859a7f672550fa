"""What each part of an answer depends on, so that a save checks again only what it touched.

A part depends on its own definition, on every top-level definition whose name it mentions, on what these
mention in turn, and on statements that bind no name, since those may change anything. Mentioning is
enough: a local variable that shares a name with a function costs a check too many, never one too few.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence

from dlgrade.checks import Check
from dlgrade.source import SyntaxProblem, bound_names, parse

# Whoever uses one of these may reach every name without mentioning it.
_REACHES_ALL = frozenset({"globals", "vars", "locals", "eval", "exec", "getattr", "sys", "importlib"})


def dependencies(text: str, parts: Iterable[str]) -> dict[str, str]:
    """For each part all code that it depends on, without comments and positions.

    Text that Python cannot read is one piece that every part depends on.
    """
    tree = parse(text)
    if isinstance(tree, SyntaxProblem):
        return dict.fromkeys(parts, text)
    binders: dict[str, list[int]] = {}
    loose = []
    for number, node in enumerate(tree.body):
        names = set(bound_names(node))
        for name in names:
            binders.setdefault(name, []).append(number)
        if not names and not _is_text(node):
            loose.append(number)
    mentions = [_mentions(node) for node in tree.body]
    found = {}
    for part in parts:
        numbers = _reached([*binders.get(part, ()), *loose], mentions, binders)
        if any(mentions[number] & _REACHES_ALL for number in numbers):
            numbers = set(range(len(tree.body)))
        found[part] = "\n".join(ast.dump(tree.body[number]) for number in sorted(numbers))
    return found


def _mentions(node: ast.stmt) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _is_text(node: ast.stmt) -> bool:
    """A docstring, or text that stands alone: it does nothing."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _reached(
    start: Iterable[int], mentions: Sequence[set[str]], binders: Mapping[str, Sequence[int]]
) -> set[int]:
    """The statements that are reached from `start` by the names they mention."""
    todo, reached = list(start), set()
    while todo:
        number = todo.pop()
        if number in reached:
            continue
        reached.add(number)
        for name in mentions[number]:
            todo.extend(binders.get(name, ()))
    return reached


def touched(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    """Parts whose code, or code they depend on, is not what it was."""
    return {name for name, code in after.items() if before.get(name) != code}


def with_dependents(parts: Iterable[str], checks: Sequence[Check]) -> set[str]:
    """These parts, and those with a check that waits for a check of one of them."""
    affected = set(parts)
    part_of = {check.id: check.part for check in checks}
    while True:
        waiting = {
            check.part
            for check in checks
            if any(part_of[name] in affected for name in (*check.needs, *check.otherwise))
        }
        if waiting <= affected:
            return affected
        affected |= waiting


def in_turns(touched: list[str], open_parts: Sequence[str], checks: Sequence[Check]) -> list[list[str]]:
    """The first open part alone and then the others, unless it waits for one of them."""
    first = next((name for name in touched if name in open_parts), None)
    others = [name for name in touched if name != first]
    if first is None or not others or first in with_dependents(others, checks):
        return [touched] if touched else []
    return [[first], others]
