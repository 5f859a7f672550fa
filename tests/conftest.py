"""How the tests are shared out among processes, and what these hand down."""

import os
import signal

import pytest
from xdist.scheduler import LoadScopeScheduling

# Torch's threads spin while they wait: in two processes on two cores they mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
TOGETHER = ("tests/hostile", "tests/nbgrader")  # share a costly course, or look at the whole system


class ByFile(LoadScopeScheduling):
    """Each file is run by one process, and so is each folder of `TOGETHER`.

    The tests of a file share fixtures, which start one run for all of them.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.rpartition("/")[0]
        return folder if folder in TOGETHER else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    return ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders that take longest, so that none of them is left for the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(TOGETHER))


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False
    # A shell that runs the tests in the background has them ignore Ctrl-C; the commands that they start, and
    # interrupt, would inherit it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
