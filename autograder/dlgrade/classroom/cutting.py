"""The step of `nbgrader generate_assignment` that turns answers into stubs, as `dlgrade build` does it."""

from __future__ import annotations

import ast
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import ClearSolutions
from nbgrader.utils import is_solution

from dlgrade.notebook_release import SUPPORT_TAG
from dlgrade.stub import cut


class CutSolutions(ClearSolutions):  # type: ignore[misc]  # nbgrader ships no types
    """Cuts the body of a solution cell's definition; any other cell is nbgrader's to clear.

    nbgrader's own stub names no part, so nothing could tell that a part was never begun.
    """

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        nb.cells = [cell for cell in nb.cells if SUPPORT_TAG not in cell.metadata.get("tags", ())]
        nb, resources = super().preprocess(nb, resources)
        return nb, resources

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        if cell.cell_type == "code" and is_solution(cell) and not self._has_region(cell.source):
            body = ast.parse(cell.source).body
            if len(body) == 1 and isinstance(body[0], ast.FunctionDef | ast.ClassDef):
                cell.source = cut(cell.source)
                return cell, resources
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        return cell, resources

    def _has_region(self, source: str) -> bool:
        return self.begin_solution_delimeter in source
