"""`dlgrade calibrate`: measure an exercise's thresholds on this machine, store and draw them."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from dlgrade import calibration, calibration_plot, measuring, planning, probing, threshold_table
from dlgrade.calibration import Measurement
from dlgrade.course import Course, find_course
from dlgrade.decision import LOWER
from dlgrade.errors import UsageError
from dlgrade.exercise import Exercise
from dlgrade.measuring import Plan, Subject, Tally
from dlgrade.runlog import NAME, RunLog, Trial
from dlgrade.tally import duration


@dataclass(frozen=True)
class CalibrateOptions:
    """What the user asked for; None is what `dlgrade calibrate` decides itself."""

    exercise: str | None
    tier: str = "cpu"
    device: str | None = None
    seeds: int = 12
    near_miss_seeds: int = 3
    variant_seeds: int = 5
    stand_in: bool = False
    jobs: int | None = None
    only: tuple[str, ...] = ()
    fresh: bool = False
    table: Path | None = None
    course: Path | None = None


def calibrate(options: CalibrateOptions) -> int:
    """Measure, write calibration.json and its drawing, and print each threshold with what it rests on.

    Raises:
        DlgradeError: nothing can be measured, or a threshold came out worthless.
    """
    course = find_course(options.course)
    if options.exercise is None and options.table is None:
        raise UsageError("name the exercise to calibrate, or --table FILE to write the table of thresholds")
    if options.exercise is not None:
        _calibrate(_staffs(course, options.exercise), options)
    if options.table is not None:
        changed = threshold_table.write(course, options.table)
        print(f"{options.table} {'has the thresholds of now' if changed else 'is up to date'}")
    return 0


def _staffs(course: Course, name: str) -> Exercise:
    exercise = course.exercise(name)
    if not exercise.staff:
        raise UsageError(f"exercise '{name}' has no staff folder here; calibrate needs solutions/{name}")
    return exercise


def _calibrate(exercise: Exercise, options: CalibrateOptions) -> None:
    plan = _plan(options)
    print(f"dlgrade: one quick check of {exercise.id}'s full answer, then training", file=sys.stderr)
    data: AbstractContextManager[str] = tempfile.TemporaryDirectory() if options.stand_in else nullcontext("")
    with data as empty:
        if empty:
            os.environ["DLGRADE_DATA"] = empty  # nothing is stored there, so every data set is its stand-in
        measurements = measuring.measure(exercise, RunLog(exercise.folder / NAME), plan, _tell)
    try:
        file = calibration.store(exercise, measurements)
    finally:
        text = calibration_plot.drawing(exercise.id, calibration.read(exercise))
        (exercise.folder / calibration_plot.PLOT).write_text(text, encoding="utf-8")
    for measurement in measurements:
        _show(measurement)
    print(f"written to {file}; run 'dlgrade build {exercise.id}' next")


def _plan(options: CalibrateOptions) -> Plan:
    tier = planning.choose_tier("gpu" if options.device == "cuda" else options.tier)
    if tier == "gpu" and options.device == "cpu":
        raise UsageError("tier 'gpu' trains on CUDA; leave --device out, or use --tier cpu")
    jobs = options.jobs or (1 if tier == "gpu" else planning.default_jobs(options.seeds))
    return Plan(
        tier=tier,
        seeds=options.seeds,
        near_miss_seeds=options.near_miss_seeds,
        variant_seeds=options.variant_seeds,
        jobs=jobs,
        threads=planning.worker_threads(jobs, tier),
        mode=probing.strongest("core"),
        device=planning.device_of(tier),
        device_name=planning.device_name(tier),
        only=options.only,
        fresh=options.fresh,
    )


def _tell(subject: Subject, trial: Trial, tally: Tally) -> None:
    left = "" if tally.left is None or tally.done == tally.total else f", {duration(tally.left)} left"
    what = f"{subject.check.id}, {subject.name}: {trial.figure:.4f} ({trial.seconds:.0f} s)"
    print(f"dlgrade: {tally.done} of {tally.total} runs{left}; {what}", file=sys.stderr, flush=True)


def _show(measurement: Measurement) -> None:
    entry = measurement.entry()
    side = "at most" if entry["better"] == LOWER else "at least"
    kind = "provisional threshold" if entry["provisional"] else "threshold"
    print(f"{measurement.check} on {measurement.key}: {kind} {side} {entry['threshold']:.4f}")
    print(f"  {entry['rule']}: mean {entry['mean']:.4f}, sd {entry['deviation']:.4f}")
    print(
        f"  a correct answer fails at most {entry['false_fail']:.2g} of decisions; one that learned nothing"
    )
    print(f"  reaches {entry['baseline']:.4f}; {entry['seconds']:.0f} s a run")
    for name, values in measurement.variant_entry().items():
        print(f"  variant {name}: {', '.join(f'{value:.4f}' for value in values)}")
    for name, found in measurement.near_entry(entry["threshold"]).items():
        values = ", ".join(f"{value:.4f}" for value in found["values"])
        print(f"  near miss {name}: {values}; caught in at least {found['power']:.1%} of decisions")
