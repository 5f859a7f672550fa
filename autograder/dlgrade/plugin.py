"""The pytest plugin: collects `@check` functions, and gives them `submission`, `oracle` and `contest`.

Registered by the package, so that visible checks also run under plain `pytest` in a student's folder.
It imports no torch until a check is found.
"""

from __future__ import annotations

from typing import Any

import pytest

MARK = "__dlgrade_check__"
GRADING = pytest.StashKey[Any]()
RECORD = pytest.StashKey[Any]()
ERROR = pytest.StashKey[BaseException | None]()


def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: Any) -> Any:
    """Functions made a check are collected whatever they are called; the decorator itself is none."""
    if getattr(obj, MARK, None) is None or not isinstance(collector, pytest.Module):
        return None
    return pytest.Function.from_parent(collector, name=name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keep the first exception of a check, with its type, for the verdict."""
    if call.excinfo is not None and item.stash.get(ERROR, None) is None:
        item.stash[ERROR] = call.excinfo.value
    return (yield)


def _fixture(request: pytest.FixtureRequest, name: str) -> Any:
    stash = request.config.stash
    if GRADING not in stash:
        from dlgrade import plain

        return plain.fixture(request, name)
    return stash[GRADING].fixture(name, stash[RECORD])


@pytest.fixture
def submission(request: pytest.FixtureRequest) -> Any:
    """The answer under test, in a process of its own."""
    return _fixture(request, "submission")


@pytest.fixture
def oracle(request: pytest.FixtureRequest) -> Any:
    """The right answers, and the source of a check's inputs."""
    return _fixture(request, "oracle")


@pytest.fixture
def contest(request: pytest.FixtureRequest) -> Any:
    """The data set and threshold of an accuracy check."""
    return _fixture(request, "contest")
