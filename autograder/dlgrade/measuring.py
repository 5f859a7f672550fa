"""Runs the trainings behind a calibration: full answer, correct variants and near misses over fresh seeds.

One full quick check of the answer comes first. Then only the accuracy check itself runs, with the results
of the others taken as known. Whatever has finished is in the log before the next one starts.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dlgrade import calibration_source
from dlgrade.calibration import Measurement
from dlgrade.calibration_source import DataInUse
from dlgrade.checks import Check
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.errors import CourseError, GraderFault, UsageError
from dlgrade.exercise import Exercise, load_mistakes, load_variants
from dlgrade.outcome import DEFERRED, PASSED
from dlgrade.report import CheckResult, Report
from dlgrade.runlog import RunLog, Trial
from dlgrade.runsettings import RunSettings
from dlgrade.source import outline
from dlgrade.submission import Submission
from dlgrade.units import split

ANSWER: Final = "answer"
VARIANT: Final = "variant"
NEAR_MISS: Final = "near miss"
MOST_NEAR_MISSES: Final = 2
SEED_BITS: Final = 62


@dataclass(frozen=True)
class Plan:
    """What to measure, and how.

    Attributes:
        seeds: runs of the full answer.
        near_miss_seeds: runs of each near miss; 0 leaves them out.
        variant_seeds: runs of each correct variant of the part; 0 leaves them out.
        only: ids of accuracy checks; empty for all.
        fresh: forget what earlier runs found.
        device_name: recorded with the figures.
    """

    tier: str
    seeds: int
    near_miss_seeds: int
    jobs: int
    threads: int
    mode: str
    variant_seeds: int = 0
    device: str = "cpu"
    device_name: str = "cpu"
    only: tuple[str, ...] = ()
    fresh: bool = False


@dataclass(frozen=True)
class Subject:
    """One text to train again and again for one check."""

    check: Check
    key: str
    name: str
    text: str
    seeds: int
    kind: str = ANSWER


@dataclass
class Tally:
    """How far a calibration is, and how long the rest will take at the pace of this session."""

    total: int
    done: int = 0
    here: int = 0
    start: float = field(default_factory=time.monotonic)

    def count(self) -> None:
        self.done += 1
        self.here += 1

    @property
    def left(self) -> float | None:
        """Seconds; None before the first run of this session has ended."""
        if not self.here:
            return None
        return (time.monotonic() - self.start) / self.here * (self.total - self.done)


Watch = Callable[[Subject, Trial, Tally], None]


def measure(exercise: Exercise, log: RunLog, plan: Plan, watch: Watch) -> list[Measurement]:
    """Train until the log holds every run that the plan asks for; a measurement for each accuracy check.

    Raises:
        UsageError: there is nothing to measure, or too little to tell a spread.
        GraderFault: the full answer does not pass another check, so its figures mean nothing.
    """
    _refuse_too_few(plan)
    answer = (exercise.folder / f"{exercise.id}.py").read_text(encoding="utf-8")
    with Zygote(exercise.preload) as zygote:
        checks, known, versions = _quick_check(zygote, exercise, answer, plan)
        chosen = _chosen(exercise, checks, plan)
        bases = {check.id: _Basis.of(exercise, check, plan, versions) for check in chosen}
        if plan.fresh:
            for basis in bases.values():
                log.forget(basis.key)
        subjects = [s for check in chosen for s in _subjects(exercise, check, bases[check.id], answer, plan)]
        _train(zygote, exercise, log, subjects, known, plan, watch)
    return [bases[check.id].measurement(check, log, subjects, plan, versions) for check in chosen]


def _refuse_too_few(plan: Plan) -> None:
    if plan.seeds < 2 or 1 in (plan.near_miss_seeds, plan.variant_seeds):
        raise UsageError(
            "one seed tells no spread; expected at least 2, or --near-miss-seeds 0 and --variant-seeds 0"
        )


def _quick_check(
    zygote: Zygote, exercise: Exercise, answer: str, plan: Plan
) -> tuple[Sequence[Check], dict[str, CheckResult], Mapping[str, str]]:
    """Every quick check of the full answer once: their results, and what the run said about itself."""
    settings = RunSettings("quick", secrets.randbits(SEED_BITS), mode=plan.mode)
    with Run(zygote, RunPlan(exercise, settings, hidden=True)) as run:
        [report] = run.grade([_submission(ANSWER, answer)])
        checks, versions = run.checks, run.ready["versions"]
    for check in report.counted:
        if check.verdict != PASSED:
            raise GraderFault(f"the full answer does not pass {check.id}: {check.verdict} {check.message}")
    return checks, {check.id: check for check in report.checks if check.verdict != DEFERRED}, versions


def _chosen(exercise: Exercise, checks: Iterable[Check], plan: Plan) -> list[Check]:
    """The accuracy checks to measure."""
    found = [check for check in checks if check.data is not None and check.runs_at(plan.tier)]
    if unknown := set(plan.only) - {check.id for check in found}:
        names = ", ".join(check.id for check in found) or "none at this tier"
        raise UsageError(f"--only {min(unknown)}: no accuracy check of that name; there is {names}")
    if not found:
        raise UsageError(
            f"exercise '{exercise.id}' has no accuracy check at tier {plan.tier}; nothing was measured"
        )
    return [check for check in found if not plan.only or check.id in plan.only]


@dataclass(frozen=True)
class _Basis:
    """What all figures of one check rest on here, and the key that stands for it in the log."""

    data: DataInUse
    source: str
    key: str

    @classmethod
    def of(cls, exercise: Exercise, check: Check, plan: Plan, versions: Mapping[str, str]) -> _Basis:
        assert check.data is not None  # _chosen
        data = calibration_source.data_in_use(check.data)
        source = calibration_source.source_key(exercise, check, data, on_gpu=plan.tier == "gpu")
        rest = [check.id, data.title, data.checksum, dict(versions), plan.tier, plan.device_name]
        return cls(data, source, calibration_source.digest([source, *rest]))

    def measurement(
        self,
        check: Check,
        log: RunLog,
        subjects: Iterable[Subject],
        plan: Plan,
        versions: Mapping[str, str],
    ) -> Measurement:
        """What the log holds of this check, as many runs as were asked for."""
        kinds: dict[str, dict[str, list[Trial]]] = {ANSWER: {}, VARIANT: {}, NEAR_MISS: {}}
        for subject in subjects:
            if subject.check is check:
                trials = log.trials(subject.key, subject.name)[: subject.seeds]
                kinds[subject.kind][subject.name.removeprefix(f"{VARIANT} ")] = trials
        return Measurement(
            check.id,
            self.data,
            self.source,
            plan.tier,
            plan.device_name,
            versions,
            kinds[ANSWER][ANSWER],
            kinds[NEAR_MISS],
            kinds[VARIANT],
        )


def _subjects(exercise: Exercise, check: Check, basis: _Basis, answer: str, plan: Plan) -> Iterator[Subject]:
    """The full answer, its correct variants, and at most two mistakes that only this check is to catch."""
    yield Subject(check, basis.key, ANSWER, answer, plan.seeds)
    for variant in load_variants(exercise) if plan.variant_seeds else ():
        if outline(variant.text).find(check.part):
            text = variant.source(answer)
            key = _trained_key(basis, check, text)
            yield Subject(check, key, f"{VARIANT} {variant.name}", text, plan.variant_seeds, VARIANT)
    near = [m for m in load_mistakes(exercise) if m.near_miss and m.caught_by == check.id]
    for mistake in near[:MOST_NEAR_MISSES] if plan.near_miss_seeds else ():
        text = mistake.source(answer)
        key = _trained_key(basis, check, text)
        yield Subject(check, key, mistake.name, text, plan.near_miss_seeds, NEAR_MISS)


def _trained_key(basis: _Basis, check: Check, text: str) -> str:
    """The key of another answer's runs: of what is trained of it, its other parts do not count."""
    trained = calibration_source.reached(split(text, f"{check.part}.py"), check.part)
    return calibration_source.digest([basis.key, trained])


def _train(
    zygote: Zygote,
    exercise: Exercise,
    log: RunLog,
    subjects: Sequence[Subject],
    known: Mapping[str, CheckResult],
    plan: Plan,
    watch: Watch,
) -> None:
    """Run what the log lacks, `jobs` at a time; each run is logged as soon as it has ended."""
    missing = [max(0, s.seeds - len(log.trials(s.key, s.name))) for s in subjects]
    todo = [subject for subject, count in zip(subjects, missing, strict=True) for _ in range(count)]
    total = sum(subject.seeds for subject in subjects)
    tally = Tally(total, done=total - len(todo))
    pool = ThreadPoolExecutor(plan.jobs)
    try:
        runs: dict[Future[Trial], Subject] = {
            pool.submit(_trial, zygote, exercise, subject, known, plan): subject for subject in todo
        }
        for run in as_completed(runs):
            trial = run.result()
            log.add(trial)
            tally.count()
            watch(runs[run], trial, tally)
    finally:  # what is still running ends with the zygote
        pool.shutdown(wait=False, cancel_futures=True)


def _trial(
    zygote: Zygote, exercise: Exercise, subject: Subject, known: Mapping[str, CheckResult], plan: Plan
) -> Trial:
    """Train once at a fresh secret seed."""
    seed = secrets.randbits(SEED_BITS)
    settings = RunSettings(
        plan.tier, seed, threads=plan.threads, mode=plan.mode, device=plan.device, measure=True
    )
    with Run(zygote, RunPlan(exercise, settings, hidden=subject.check.hidden)) as run:
        others = {name: result for name, result in known.items() if name != subject.check.id}
        others |= {c.id: _taken_as_passed(c) for c in run.checks if c.id not in {*known, subject.check.id}}
        [report] = run.grade([_submission(subject.name, subject.text)], known=lambda _: others)
    return _trial_of(report, subject, seed)


def _taken_as_passed(check: Check) -> CheckResult:
    """Another check of a later tier, which is not what is measured."""
    return CheckResult(
        check.id, check.part, check.kind, check.title, check.hidden, PASSED, check.points, check.points
    )


def _trial_of(report: Report, subject: Subject, seed: int) -> Trial:
    result = next(check for check in report.checks if check.id == subject.check.id)
    if result.measured is None or result.baseline is None or result.spent is None:
        if subject.kind != NEAR_MISS or result.verdict == PASSED or report.fault:
            told = report.fault or f"{result.verdict} {result.message}"
            raise GraderFault(f"the {subject.name} gave no figure in {result.id}: {told}")
        raise CourseError(
            f"mistake '{subject.name}' gave no figure in {result.id}, so it is no near miss: "
            f"{result.verdict} {result.message}"
        )
    return Trial(
        subject.key,
        subject.name,
        seed,
        result.measured,
        result.better,
        result.baseline,
        round(result.seconds, 2),
        _plain(result.spent),
        tuple(round(loss, 4) for loss in result.curve),
    )


def _plain(spent: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spent.items() if name not in ("runs", "figures")}


def _submission(name: str, text: str) -> Submission:
    return Submission(name, name, text, Path(name), "py")
