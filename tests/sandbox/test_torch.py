"""Honest code works unchanged inside the sandbox."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dlgrade import probing

WORKLOAD = Path(__file__).with_name("workload.py")


@pytest.mark.parametrize("mode", ["core", "full"])
def test_torch_works_and_is_silent(mode):
    """Threads, training, a data loader, saving and transformers work in a worker, with nothing on stderr."""
    if refused := probing.probe().refused[mode]:
        pytest.skip(refused)
    done = subprocess.run([sys.executable, WORKLOAD, mode], capture_output=True, env={}, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert json.loads(done.stdout) == {
        "product": 1.0,
        "learned": True,
        "saved": True,
        "shapes": [3, 8, 8, 1, 4, 32, 5, 1, 8],
    }
