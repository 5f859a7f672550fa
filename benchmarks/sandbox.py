"""What confining a worker costs: time from the fork of a process with torch loaded to a ready worker.

    python benchmarks/sandbox.py [REPEATS]

Prints, for a bare fork and each isolation mode that works here, the median and the 95th percentile
in milliseconds, what is added to the bare fork, and the ratio to it. Modes take turns, so that a
busy machine slows all of them alike. Run it with an idle second core.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import tempfile
import time
from typing import NoReturn

import torch

from dlgrade import probing, sandbox


def become_ready(mode: str | None, scratch: str, pipe: int, parent: int | None) -> NoReturn:
    """Be the worker: enter the mode, say so, end."""
    try:
        if mode is not None:
            sandbox.enter(sandbox.Policy(mode, scratch=scratch), parent)
        os.write(pipe, b"ready")
    finally:
        os._exit(0)


def ready_after(mode: str | None, scratch: str) -> float:
    """Seconds from before the fork until the child, confined in `mode` or bare (None), says it is ready."""
    ours, theirs = os.pipe()
    start = time.perf_counter()
    child, parent = sandbox.fork(mode or "none")
    if child == 0:
        become_ready(mode, scratch, theirs, parent)
    os.close(theirs)
    answer = os.read(ours, 8)
    seconds = time.perf_counter() - start
    os.close(ours)
    os.waitpid(child, 0)
    if answer != b"ready":
        raise SystemExit(f"a worker in mode {mode!r} ended before it was ready")
    return seconds


def main(repeats: int) -> None:
    """Measure and print the table."""
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1).step()  # the state a zygote has
    gc.collect()
    gc.freeze()
    modes = [None, *(mode for mode in ("core", "full") if probing.probe().allows(mode))]
    seconds: dict[str | None, list[float]] = {mode: [] for mode in modes}
    for _ in range(repeats):
        for mode in modes:
            with tempfile.TemporaryDirectory() as scratch:
                seconds[mode].append(ready_after(mode, scratch))
    gc.unfreeze()  # else torch's libraries report every frozen object as leaked on exit
    bare = statistics.median(seconds[None])
    print(f"{'mode':<6}{'median ms':>11}{'p95 ms':>9}{'added ms':>10}{'ratio':>7}   n = {repeats}")
    for mode in modes:
        median = statistics.median(seconds[mode])
        p95 = sorted(seconds[mode])[int(0.95 * repeats)]
        row = f"{mode or 'bare':<6}{median * 1e3:>11.2f}{p95 * 1e3:>9.2f}"
        print(f"{row}{(median - bare) * 1e3:>10.2f}{median / bare:>7.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
