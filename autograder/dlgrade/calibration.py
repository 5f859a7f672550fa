"""Measures what a correct answer reaches, and sets the threshold of each accuracy check by it.

The rule: one decision is up to three independent runs. From twelve seeds on, a run fails a correct
answer at most one time in ten (one-sided normal tolerance bound at 95 % confidence: the mean minus
2.21 standard deviations for 12 seeds), so the decision at most one time in a thousand. With fewer
seeds the threshold is the mean minus five standard deviations and marked provisional. Where lower is
better, the deviations are added.
"""

from __future__ import annotations

import json
import secrets
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.errors import CourseError, GraderFault
from dlgrade.exercise import Exercise
from dlgrade.observation import HIGHER, LOWER
from dlgrade.outcome import PASSED
from dlgrade.report import Report
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission

ENOUGH_SEEDS: Final = 12
FACTOR: Final = 2.21  # tolerance factor for 90 % of a normal law at 95 % confidence from 12 values
PROVISIONAL_FACTOR: Final = 5.0


@dataclass(frozen=True)
class Measurement:
    """What one accuracy check measured over seeds, on one data set."""

    check: str
    data: str
    checksum: str
    values: tuple[float, ...]
    seconds: tuple[float, ...]
    versions: dict[str, str]
    better: str = HIGHER

    def entry(self, tier: str, device: str) -> dict[str, Any]:
        """The threshold and what it rests on, for calibration.json."""
        mean, deviation = statistics.fmean(self.values), statistics.stdev(self.values)
        provisional = len(self.values) < ENOUGH_SEEDS
        factor = PROVISIONAL_FACTOR if provisional else FACTOR
        sign, worst = (
            ("+", mean + factor * deviation) if self.better == LOWER else ("-", mean - factor * deviation)
        )
        return {
            "threshold": round(worst, 4),
            "better": self.better,
            "provisional": provisional,
            "rule": f"mean {sign} {factor:g} standard deviations of {len(self.values)} seeds",
            "mean": round(mean, 4),
            "deviation": round(deviation, 4),
            "values": [round(value, 4) for value in self.values],
            "seconds": round(statistics.fmean(self.seconds), 1),
            "tier": tier,
            "device": device,
            "checksum": self.checksum,
            "versions": self.versions,
        }


def measure(
    exercise: Exercise,
    *,
    tier: str,
    seeds: int,
    mode: str,
    threads: int,
    device: str = "cpu",
    watch: Callable[[int, Report], None] = lambda _seed, _report: None,
) -> list[Measurement]:
    """Grade the full answer over fresh seeds; one measurement for each accuracy check of the tier.

    Raises:
        GraderFault: the full answer does not pass another check, so its figures mean nothing.
    """
    if seeds < 2:
        raise CourseError(f"{seeds} seeds tell no spread; expected at least 2")
    answer = (exercise.folder / f"{exercise.id}.py").read_text(encoding="utf-8")
    submission = Submission("answer", "answer", answer, Path(exercise.id), "py")
    found: dict[str, list[tuple[float, float]]] = {}
    better: dict[str, str] = {}
    with Zygote(exercise.preload) as zygote:
        for index in range(seeds):
            settings = RunSettings(
                tier, secrets.randbits(62), threads=threads, mode=mode, device=device, measure=True
            )
            with Run(zygote, RunPlan(exercise, settings, hidden=False)) as run:
                [report] = run.grade([submission])
                ready, data_of = run.ready, {check.id: check.data for check in run.checks}
            _refuse_failure(report)
            watch(index, report)
            for check in report.checks:
                if check.measured is not None:
                    better[check.id] = check.better
                    found.setdefault(check.id, []).append((check.measured, check.seconds))
    return [
        Measurement(
            check,
            ready["titles"][data_of[check]],
            ready["data"][ready["titles"][data_of[check]]],
            tuple(value for value, _ in pairs),
            tuple(seconds for _, seconds in pairs),
            ready["versions"],
            better[check],
        )
        for check, pairs in found.items()
    ]


def _refuse_failure(report: Report) -> None:
    for check in report.counted:
        if check.verdict != PASSED:
            raise GraderFault(f"the full answer does not pass {check.id}: {check.verdict} {check.message}")


def store(exercise: Exercise, measurements: list[Measurement], *, tier: str, device: str) -> Path:
    """Write thresholds into the exercise's calibration.json, keeping those of other data sets and checks."""
    file = exercise.folder / "calibration.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    thresholds = content.setdefault("thresholds", {})
    for measurement in measurements:
        thresholds.setdefault(measurement.check, {})[measurement.data] = measurement.entry(tier, device)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return file
