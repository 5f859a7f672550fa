"""An exercise's calibration.json: what its thresholds are, and what they rest on.

    thresholds    check → data set → threshold, rule, bound, figures of correct answers, versions, keys
    variants      check → data set → correct variant → figures; the threshold lets each of them pass
    near_misses   check → data set → mistake → figures and the power of the decision against it
    gpu           a sentence, as long as no figure was measured on a GPU

Students receive `thresholds`; names of variants and mistakes lie apart from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from dlgrade import calibration_source, decision
from dlgrade.calibration_source import DataInUse
from dlgrade.checks import Check
from dlgrade.errors import CourseError
from dlgrade.exercise import Exercise
from dlgrade.runlog import Trial

FILE: Final = "calibration.json"


@dataclass(frozen=True)
class Measurement:
    """What one accuracy check came to on one data set: trials of correct answers, and of near misses."""

    check: str
    data: DataInUse
    source: str
    tier: str
    device: str
    versions: Mapping[str, str]
    answers: Sequence[Trial]
    near_misses: Mapping[str, Sequence[Trial]]
    variants: Mapping[str, Sequence[Trial]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What the entry is filed under."""
        return decision.gpu_key(self.data.title) if self.tier == "gpu" else self.data.title

    def entry(self) -> dict[str, Any]:
        """The threshold and what it rests on.

        Raises:
            CourseError: an answer that learned nothing would reach it.
        """
        first = self.answers[0]
        rule = decision.set_by([trial.figure for trial in self.answers], first.better)
        rule = decision.lenient(rule, {n: [t.figure for t in trials] for n, trials in self.variants.items()})
        # of stand-ins that each run draws anew, what is easiest to reach
        baseline = decision.best([trial.baseline for trial in self.answers], first.better)
        if not decision.worse(baseline, rule["threshold"], first.better):
            raise CourseError(
                f"threshold {rule['threshold']:.4f} of {self.check} on {self.data.title} is worthless: an "
                f"answer that learned nothing reaches {baseline:.4f}; have the check train longer or on more"
            )
        return {
            **rule,
            "baseline": round(baseline, decision.DIGITS),
            "seconds": round(fmean(trial.seconds for trial in self.answers), 1),
            **_spent(self.answers),
            "tier": self.tier,
            "device": self.device,
            "checksum": self.data.checksum,
            "source": self.source,
            "versions": dict(self.versions),
        }

    def variant_entry(self) -> dict[str, Any]:
        """Figures of each correct variant."""
        return {
            name: [round(trial.figure, decision.DIGITS) for trial in trials]
            for name, trials in self.variants.items()
        }

    def near_entry(self, threshold: float) -> dict[str, Any]:
        """Figures of each near miss and the power of the decision against it."""
        return {
            name: {
                "values": [round(trial.figure, decision.DIGITS) for trial in trials],
                "power": round(decision.power([t.figure for t in trials], threshold, trials[0].better), 3),
            }
            for name, trials in self.near_misses.items()
        }


def store(exercise: Exercise, measurements: Iterable[Measurement]) -> Path:
    """Write calibration.json, keeping what it says of other data sets and checks.

    Raises:
        CourseError: a threshold is worthless; it is not written, the others are.
    """
    content, refused = read(exercise), []
    for measurement in measurements:
        try:
            entry = measurement.entry()
        except CourseError as error:
            refused.append(error)
            continue
        _put(content, "thresholds", measurement, entry)
        _put(content, "variants", measurement, measurement.variant_entry())
        _put(content, "near_misses", measurement, measurement.near_entry(entry["threshold"]))
    entries = [entry for by_data in content["thresholds"].values() for entry in by_data.values()]
    content.pop("gpu", None)
    if not any(entry.get("tier") == "gpu" for entry in entries):
        content["gpu"] = decision.NOT_ON_A_GPU
    file = exercise.folder / FILE
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draft.replace(file)
    if refused:
        raise refused[0]
    return file


def _put(content: dict[str, Any], section: str, measurement: Measurement, values: dict[str, Any]) -> None:
    by_data = content.setdefault(section, {}).setdefault(measurement.check, {})
    by_data.pop(measurement.key, None)
    if values:
        by_data[measurement.key] = values


def read(exercise: Exercise) -> dict[str, Any]:
    """What the exercise's calibration.json holds, or the empty form of it."""
    file = exercise.folder / FILE
    empty: dict[str, Any] = {"thresholds": {}, "variants": {}, "near_misses": {}}
    return {**empty, **json.loads(file.read_text(encoding="utf-8"))} if file.is_file() else empty


def problems(exercise: Exercise, checks: Iterable[Check]) -> Iterator[str]:
    """A sentence for each accuracy check without a valid calibration, on stand-ins and on the data in use.

    Figures of a GPU need not be there, but those that are must be valid.
    """
    for check in checks:
        if check.data is None:
            continue
        thresholds = exercise.thresholds.get(check.id, {})
        stand_in = calibration_source.stand_in(check.data)
        for data in dict.fromkeys([stand_in, calibration_source.data_in_use(check.data)]):
            for on_gpu in (False, True):
                title = decision.gpu_key(data.title) if on_gpu else data.title
                if on_gpu and title not in thresholds:
                    continue
                source = calibration_source.source_key(exercise, check, data, on_gpu=on_gpu)
                if problem := _problem(thresholds.get(title), data, source):
                    command = f"dlgrade calibrate {exercise.id}" + " --tier gpu" * on_gpu
                    command += " --stand-in" * (data == stand_in)
                    yield f"the threshold of {check.id} on {title} {problem}; run '{command}'"


def _problem(entry: Mapping[str, Any] | None, data: DataInUse, source: str) -> str | None:
    if entry is None:
        return "was never measured"
    if entry.get("source") != source:
        return "was measured on another answer, check or training"
    if not data.varies and entry["checksum"] != data.checksum:
        return "was measured on other data of this name"
    return None


def _spent(trials: Sequence[Trial]) -> dict[str, Any]:
    """Mean time and largest size of the trainings, measured from outside."""
    seconds = ("cpu_seconds", "gpu_seconds")
    means = {name: round(fmean(trial.spent[name] for trial in trials), 1) for name in seconds}
    largest = {name: max(trial.spent[name] for trial in trials) for name in ("parameters", "peak_memory")}
    return {name: value for name, value in (means | largest).items() if value}
