"""From a command's options to the settings of a run: tier, seed, isolation, threads."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from dlgrade import probing, spawned
from dlgrade.errors import GraderFault, UsageError
from dlgrade.exercise import Exercise
from dlgrade.runsettings import PUBLISHED_SEED

SEED_BITS: Final = 62
GPU: Final = Path("/dev/nvidiactl")
GPU_FACTS: Final = Path("/proc/driver/nvidia/gpus")
CGROUP: Final = Path("/sys/fs/cgroup")
JOB_BYTES: Final = 1 << 30  # a checker's and its worker's own memory in a training run, rounded up


def choose_tier(wish: str, gpu: Path = GPU) -> str:
    """The tier to run; `auto` is the largest that this machine's devices permit.

    Raises:
        UsageError: gpu is asked for and there is none.
    """
    if wish == "auto":
        return "gpu" if gpu.exists() else "cpu"
    if wish == "gpu" and not gpu.exists():
        raise UsageError(f"tier 'gpu' needs an NVIDIA GPU, and {gpu} is not there; use --tier cpu")
    return wish


def device_of(tier: str) -> str:
    """Where accuracy checks of a tier train."""
    return "cuda" if tier == "gpu" else "cpu"


def device_name(tier: str, gpus: Path = GPU_FACTS) -> str:
    """What a figure was measured on: the GPU's model as its driver tells it, or the CPU."""
    if device_of(tier) == "cpu":
        return "cpu"
    models = [
        line for file in sorted(gpus.glob("*/information")) for line in _lines(file) if "Model:" in line
    ]
    return models[0].partition(":")[2].strip() if models else "cuda"


def secret_seed() -> int:
    """A seed that nobody can guess."""
    return secrets.randbits(SEED_BITS)


def practice_seed(exercise: Exercise, wish: int | None) -> int:
    """What `check` seeds with: for staff a secret, for a student the published seed, unless one is given."""
    if wish is not None:
        return wish
    return secret_seed() if exercise.staff else PUBLISHED_SEED


def practice_isolation(wish: str | None) -> tuple[str, str | None]:
    """The mode for `check`, the strongest that works here, and a sentence if that is none.

    Raises:
        GraderFault: a mode was asked for that does not work here.
    """
    if spawned.needed():
        return _unconfined(wish)
    if wish is not None:
        return _possible(wish), None
    mode = probing.strongest("none")
    if mode != "none":
        return mode, None
    refused = probing.probe().refused["core"]
    return mode, f"practice mode: your code runs unconfined, with your own rights ({refused})"


def _unconfined(wish: str | None) -> tuple[str, str]:
    if wish not in (None, "none"):
        raise GraderFault(
            f"isolation '{wish}' needs Linux, and processes that are forked; leave --isolation out"
        )
    return "none", "practice mode: your code runs unconfined, with your own rights (nothing is forked here)"


def graded_isolation(wish: str | None) -> tuple[str, str | None]:
    """The mode for `grade`, never weaker than core unless that was asked for, and then a warning.

    Raises:
        GraderFault: this machine cannot confine submissions, or not in the mode asked for.
    """
    if wish is None:
        return probing.strongest("core"), None
    return _possible(wish), weakness(wish)


def weakness(mode: str) -> str | None:
    """A warning for grading in a mode that confines nothing."""
    if mode != "none":
        return None
    return "isolation 'none': submissions can read and change what you can, scores are not trustworthy"


def _possible(mode: str) -> str:
    if refused := probing.probe().refused[mode]:
        raise GraderFault(refused)
    return mode


def cores() -> int:
    """Processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_threads(jobs: int, tier: str) -> int:
    """Threads for torch in each of `jobs` workers that run at a time.

    The small tensors of quick checks gain nothing by a second one, and on a busy machine they lose: two
    threads that wait for each other at every operation made a check of 40 small steps 30 times slower.
    """
    return 1 if tier == "quick" else max(1, cores() // jobs)


def default_jobs(submissions: int) -> int:
    """Submissions to grade at a time: as many as there are, and as cores and memory permit."""
    return max(1, min(cores(), free_memory() // JOB_BYTES, submissions))


def free_memory() -> int:
    """Bytes that this process and its children may still take: of the machine, and of its control group."""
    fields = dict(line.split(":") for line in _lines(Path("/proc/meminfo")))
    free = int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else 1 << 62
    limit, used = (_lines(CGROUP / name) for name in ("memory.max", "memory.current"))
    if limit and used and limit[0].isdigit():
        free = min(free, int(limit[0]) - int(used[0]))
    return max(0, free)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux, or not in a control group
        return []
