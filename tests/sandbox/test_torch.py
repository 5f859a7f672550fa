"""Honest code works unchanged inside the sandbox."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlgrade import probing, zygote

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


@pytest.mark.skipif(sys.platform != "linux", reason="another OpenMP")
def test_threads_of_torch_sleep_instead_of_spinning():
    """OpenMP tells what it was set to when the zygote loaded torch; a caller's own setting does not count."""
    command = [sys.executable, "-c", "from dlgrade import zygote; zygote.load([])"]
    environment = {**os.environ, "OMP_DISPLAY_ENV": "verbose", "GOMP_SPINCOUNT": "30000000000"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"GOMP_SPINCOUNT = '{zygote.SPINS}'" in done.stderr
