"""Real data where it lies, and a private cache for every test."""

import os
from pathlib import Path

import pytest
from small_copies import SMALL

from dlgrade.datasets import cifar

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty data cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("DLGRADE_DATA", str(folder))
    return folder


@pytest.fixture(scope="session")
def real_data():
    """The folder with the real files, from DLGRADE_TEST_DATA or beside the repository."""
    folder = Path(os.environ.get("DLGRADE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real data: set DLGRADE_TEST_DATA to the folder that holds it")
    return folder


@pytest.fixture
def small(monkeypatch):
    """CIFAR-10 with 50 and 20 images, so that a copy is quickly made."""
    monkeypatch.setattr(cifar, "COUNTS", SMALL)
