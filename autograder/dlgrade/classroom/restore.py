"""Rebuild a submitted notebook by the release's structure: nothing but its cells' text is the student's.

    cell of the release, found by its id     the release's metadata and type; locked ones its text as well
    the same id again                        a cell of the student's own
    check or written answer that is gone     put back, at the end
    any other cell                           a cell of the student's own, without metadata

Every code cell's definitions count, wherever they stand, so a part that moved to another cell is still
graded; what was found is told in the feedback.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nbformat import NotebookNode

from dlgrade.notebook_release import SCHEMA_VERSION

# Inside the start of a tag, of a character reference, and of an address that a browser would run.
_ACTIVE: Final = re.compile(
    r"(?<=<)(?=[a-z/!?])|(?<=&)(?=#|\w{1,32};)|(?<=script)(?=\s*:)|(?<=data)(?=\s*:)", re.IGNORECASE
)


@dataclass(frozen=True)
class ReleasedCell:
    """A cell that nbgrader knows of, as its database keeps it since the release."""

    name: str
    cell_type: str
    source: str
    checksum: str | None
    locked: bool
    grade: bool
    solution: bool
    task: bool
    points: float = 0.0

    @property
    def metadata(self) -> dict[str, Any]:
        """What nbgrader keeps of it in the notebook."""
        values: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "grade_id": self.name,
            "grade": self.grade,
            "solution": self.solution,
            "locked": self.locked,
            "task": self.task,
            "cell_type": self.cell_type,
        }
        if self.grade or self.task:
            values["points"] = self.points
        if self.checksum:
            values["checksum"] = self.checksum
        return values


@dataclass(frozen=True)
class Restored:
    """The rebuilt cells, and a sentence for everything that was not as released."""

    cells: tuple[NotebookNode, ...]
    findings: tuple[str, ...]


def restore(cells: Iterable[NotebookNode], released: Sequence[ReleasedCell]) -> Restored:
    """Rebuild; `cells` are changed in place."""
    by_name = {cell.name: cell for cell in released}
    taken: set[str] = set()
    rebuilt, findings = [], []
    for number, cell in enumerate(cells, 1):
        name = _claimed(cell, by_name)
        if name is not None and name not in taken:
            taken.add(name)
            findings += [f"cell {number}: {finding}" for finding in _differences(cell, by_name[name])]
            rebuilt.append(_as_released(cell, by_name[name]))
            continue
        if name is not None:
            findings.append(f"cell {number} repeats '{name}'; it counts as a cell of your own")
        rebuilt.append(_own(cell))
    for lost in (cell for cell in released if cell.name not in taken):
        if lost.grade or lost.task:
            findings.append(f"cell '{lost.name}' was missing and was put back")
            rebuilt.append(_as_released(_node(cell_type=lost.cell_type, source=lost.source), lost))
        else:
            findings.append(f"cell '{lost.name}' was missing")
    for number, cell in enumerate(rebuilt, 1):
        cell.id = cell.metadata.get("nbgrader", {}).get("grade_id", f"own-{number}")
    return Restored(tuple(rebuilt), tuple(findings))


def _claimed(cell: NotebookNode, by_name: dict[str, ReleasedCell]) -> str | None:
    """The released cell that this one says it is: by nbgrader's metadata, or by its id where that is gone."""
    mark = cell.metadata.get("nbgrader")
    for name in (mark.get("grade_id") if isinstance(mark, dict) else None, cell.get("id")):
        if isinstance(name, str) and name in by_name:
            return name
    return None


def _differences(cell: NotebookNode, released: ReleasedCell) -> list[str]:
    found = []
    if cell.cell_type != released.cell_type:
        found.append(f"'{released.name}' was changed from {released.cell_type} to {cell.cell_type}")
    if released.locked and cell.source.strip() != released.source.strip():
        found.append(f"'{released.name}' was edited; its text is the release's again")
    return found


def _as_released(cell: NotebookNode, released: ReleasedCell) -> NotebookNode:
    cell.metadata = _node(nbgrader=_node(**released.metadata))
    if released.locked:
        cell.source = released.source
    return _typed(cell, released.cell_type)


def _own(cell: NotebookNode) -> NotebookNode:
    """A cell that no release knows: a raw one would go into the feedback's page as it is."""
    cell.metadata = _node()
    return _typed(cell, "code" if cell.cell_type == "code" else "markdown")


def _node(**values: Any) -> NotebookNode:
    return NotebookNode(values)  # type: ignore[no-untyped-call]  # nbformat is untyped


def _typed(cell: NotebookNode, cell_type: str) -> NotebookNode:
    cell.cell_type = cell_type
    for key in ("outputs", "execution_count", "attachments"):
        cell.pop(key, None)
    if cell_type == "code":
        cell.outputs, cell.execution_count = [], None
    else:
        cell.source = defused(cell.source)
    return cell


def defused(markdown: str) -> str:
    """A stranger's Markdown with a space wherever something would begin that runs in its reader's browser.

    `$a<b$` becomes `$a< b$`, which is set the same; a tag becomes text.
    """
    return _ACTIVE.sub(" ", markdown)
