"""The module that a notebook would be after a restart, from the cells its kernel has run.

A kernel remembers every version of a cell. Only the last version of each definition counts, at the place
where its name was first defined: that is what running the notebook from the top would give.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Sequence

from dlgrade.notebook_source import MAX_CELLS, NotebookText, notebook_text
from dlgrade.source import SyntaxProblem, parse
from dlgrade.stub import first_line, last_line


def current_module(inputs: Sequence[str], parts: Iterable[str]) -> NotebookText:
    """What the kernel's inputs, oldest first, define of the parts and of what these need.

    Raises:
        SubmissionError: larger than any honest notebook.
    """
    cells = [{"cell_type": "code", "source": source} for source in inputs[-MAX_CELLS:]]
    found = notebook_text(json.dumps({"cells": cells}).encode(), "this notebook", parts)
    return NotebookText(_latest(found.text), found.notes)


def _latest(text: str) -> str:
    """Of each top-level definition its last version, where the first one stood."""
    tree = parse(text)
    if isinstance(tree, SyntaxProblem):
        return text
    lines = text.split("\n")
    versions: dict[str, str] = {}  # a dict keeps the place of a key whose value changes
    for node in tree.body:
        code = "\n".join(lines[first_line(node) - 1 : last_line(node)])
        versions[_what(node, code)] = code
    return "\n\n\n".join(versions.values()) + "\n"


def _what(node: ast.stmt, code: str) -> str:
    """What a statement defines; two that say the same are versions of one another."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.Assign(targets=targets):
            return ", ".join(ast.unparse(target) for target in targets)
        case ast.AnnAssign(target=target):
            return ast.unparse(target)
    return code
