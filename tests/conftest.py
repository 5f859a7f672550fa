"""How the tests are shared out among processes."""

from pathlib import Path

import pytest

TOGETHER = ("hostile", "nbgrader")  # folders whose files share a costly course, or look at the whole system


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each file in one process, since its fixtures start one run for all its tests."""
    for item in items:
        folder = item.path.parent.name
        group = folder if folder in TOGETHER else str(item.path.relative_to(Path(__file__).parent))
        item.add_marker(pytest.mark.xdist_group(group))
