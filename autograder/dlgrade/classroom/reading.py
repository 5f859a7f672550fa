"""Read a submitted notebook whatever is in it: what comes out is always a valid notebook.

nbgrader reads with nbformat, whose refusal loses the whole submission; a student with a broken file shall
get zero points and a reason instead. Kept are the cells' types and sources and their plain metadata:
outputs and attachments are the student's claims.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import PurePath
from typing import Any, BinaryIO, Final

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode

from dlgrade.errors import SubmissionError
from dlgrade.notebook_source import MAX_NOTEBOOK_BYTES, notebook_text
from dlgrade.source import decode_source

PROBLEM: Final = "problem"
OURS: Final = "dlgrade"
_TYPES: Final = ("code", "markdown", "raw")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PLAIN: Final = (str, int, float, bool, type(None))


class ToleratingExporter(NotebookExporter):
    """What `nbgrader autograde` reads and writes notebooks with."""

    def from_file(self, file_stream: Any, resources: dict[str, Any] | None = None, **more: Any) -> Any:
        notebook = read_any(file_stream.buffer, PurePath(file_stream.name).name)
        return self.from_notebook_node(notebook, resources=resources, **more)  # type: ignore[no-untyped-call]  # nbconvert is untyped


def read_any(file: BinaryIO, name: str) -> NotebookNode:
    """The notebook in `file`; of one that cannot be read nothing but the reason, in its metadata."""
    data = file.read(MAX_NOTEBOOK_BYTES + 1)
    try:
        notebook_text(data, name, ())  # refuses what no honest notebook is
        raw = json.loads(decode_source(data, name, limit=MAX_NOTEBOOK_BYTES))
    except SubmissionError as error:
        return _notebook([], {OURS: {PROBLEM: str(error)}})
    cells = [_cell(cell) for cell in raw["cells"]]
    _number(cells)
    return _notebook(cells, _plain(raw.get("metadata")))


def _notebook(cells: list[dict[str, Any]], metadata: dict[str, Any]) -> NotebookNode:
    notebook = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return nbformat.from_dict(notebook)  # type: ignore[no-any-return,no-untyped-call]  # nbformat is untyped


def _cell(cell: dict[str, Any]) -> dict[str, Any]:
    kind = cell.get("cell_type") if cell.get("cell_type") in _TYPES else "raw"
    kept = {"cell_type": kind, "metadata": _plain(cell.get("metadata")), "source": _text(cell)}
    if isinstance(cell.get("id"), str) and _ID.fullmatch(cell["id"]):
        kept["id"] = cell["id"]
    return kept | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def _number(cells: list[dict[str, Any]]) -> None:
    """An id for each cell that has none, or another's."""
    taken: set[str] = set()
    for number, cell in enumerate(cells, 1):
        if cell.get("id") in taken or "id" not in cell:
            cell["id"] = next(name for n in itertools.count(number) if (name := f"cell-{n}") not in taken)
        taken.add(cell["id"])


def _text(cell: dict[str, Any]) -> str:
    source = cell.get("source")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    text = source if isinstance(source, str) else ""
    return text.encode(errors="replace").decode()  # half a surrogate pair cannot be written to a file


def _plain(metadata: Any) -> dict[str, Any]:
    """Metadata two levels deep: enough for nbgrader's, too flat for a trap."""
    if not isinstance(metadata, dict):
        return {}
    kept: dict[str, Any] = {key: value for key, value in metadata.items() if isinstance(value, _PLAIN)}
    for key, value in metadata.items():
        if isinstance(value, dict):
            kept[key] = {inner: leaf for inner, leaf in value.items() if _is_leaf(leaf)}
    return kept


def _is_leaf(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, list) and all(isinstance(v, str) for v in value))
