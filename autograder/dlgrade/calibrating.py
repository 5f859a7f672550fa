"""`dlgrade calibrate`: measure an exercise's thresholds on this machine and store them."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext

from dlgrade import calibration, planning, sandbox
from dlgrade.course import Course
from dlgrade.errors import UsageError
from dlgrade.report import Report


def calibrate(course: Course, name: str, *, tier: str, seeds: int, stand_in: bool) -> int:
    """Measure over `seeds` seeds, write calibration.json, and print each threshold with what it rests on."""
    exercise = course.exercise(name)
    if not exercise.staff:
        raise UsageError(f"exercise '{name}' has no staff folder here; calibrate needs solutions/{name}")
    tier = planning.choose_tier(tier)
    data: AbstractContextManager[str] = tempfile.TemporaryDirectory() if stand_in else nullcontext("")
    with data as empty:
        if empty:
            os.environ["DLGRADE_DATA"] = empty  # nothing is stored there, so every data set is its stand-in
        measurements = calibration.measure(
            exercise,
            tier=tier,
            seeds=seeds,
            mode=sandbox.strongest("core"),
            threads=planning.cores(),
            watch=lambda index, report: _tell(index, seeds, report),
        )
    if not measurements:
        raise UsageError(f"exercise '{name}' has no accuracy check at tier {tier}; nothing was measured")
    file = calibration.store(exercise, measurements, tier=tier, device="cpu")
    for measurement in measurements:
        entry = measurement.entry(tier, "cpu")
        kind = "provisional threshold" if entry["provisional"] else "threshold"
        print(f"{measurement.check} on {measurement.data}: {kind} {entry['threshold']:.4f} ({entry['rule']}")
        print(f"  mean {entry['mean']:.4f}, sd {entry['deviation']:.4f}, {entry['seconds']:.0f} s a run)")
    print(f"written to {file}; run 'dlgrade build {name}' next")
    return 0


def _tell(index: int, seeds: int, report: Report) -> None:
    figures = ", ".join(f"{c.id} {c.measured:.4f}" for c in report.checks if c.measured is not None)
    print(f"dlgrade: seed {index + 1} of {seeds}: {figures} ({report.seconds:.0f} s)", file=sys.stderr)
