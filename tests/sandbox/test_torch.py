"""Honest code works unchanged inside the sandbox."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlgrade import planning, probing, zygote

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
    done = loaded("", OMP_DISPLAY_ENV="verbose", GOMP_SPINCOUNT="30000000000")
    assert f"GOMP_SPINCOUNT = '{zygote.THREADING['GOMP_SPINCOUNT']}'" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_the_zygote_has_one_thread():
    """NumPy starts none for its matrices, whatever the caller has set: others would not survive a fork."""
    told = "import os; print(len(os.listdir('/proc/self/task')))"
    assert loaded(f"warmup.run(); {told}", OPENBLAS_NUM_THREADS="4").stdout == "1\n"


def test_warming_up_leaves_random_numbers_as_they_were():
    """What a fork draws before it is seeded does not tell whether its zygote has warmed up."""
    draw = "import torch; torch.manual_seed(3); {}; print(torch.rand(3).tolist())"
    assert loaded(draw.format("warmup.run()")).stdout == loaded(draw.format("pass")).stdout


def test_where_there_is_a_gpu_nothing_is_differentiated(tmp_path):
    """A first backward pass would start a thread for each device: a file plays one, and a thread another."""
    gpu = tmp_path / "nvidiactl"
    counted = f"""
import pathlib, threading, time, torch
passes = []

def backward(tensor):
    passes.append(tensor)

def with_a_thread(tensor):
    backward(tensor)
    threading.Thread(target=time.sleep, args=[60], daemon=True).start()

def counted(function):
    passes.clear()
    torch.Tensor.backward = function
    warmup.run()
    return len(passes)

print(counted(backward), counted(with_a_thread))
warmup.GPU = pathlib.Path({str(gpu)!r})
warmup.GPU.touch()
print(counted(backward))
"""
    without = 0 if planning.GPU.exists() else 2
    assert loaded(counted).stdout == f"{without} 0\n0\n"


def loaded(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a program does and says after it has loaded what the zygote loads."""
    text = f"from dlgrade import zygote; zygote.load([])\nfrom dlgrade import warmup\n{program}"
    command = [sys.executable, "-c", text]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
