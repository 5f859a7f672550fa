"""`dlgrade grade`: many submissions of one exercise, each finished result kept at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dlgrade import planning, progress
from dlgrade.course import find_course
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.errors import UsageError
from dlgrade.exercise import Exercise
from dlgrade.report import Report
from dlgrade.results import ResultsFolder
from dlgrade.runsettings import RunSettings
from dlgrade.submission import find_submissions


@dataclass(frozen=True)
class GradeOptions:
    """What the user asked for; None is what `dlgrade grade` decides itself."""

    exercise: str
    submissions: Path
    out: Path | None = None
    jobs: int | None = None
    tier: str | None = None
    format: str = "text"
    seed: int | None = None
    course: Path | None = None
    isolation: str | None = None
    gradebook: str | None = None


def grade(options: GradeOptions) -> int:
    """Grade, print, write, and return the exit code.

    Raises:
        DlgradeError: nothing to grade, or not confined as it must be; no score was given.
    """
    exercise = find_course(options.course).exercise(options.exercise)
    if not exercise.staff:
        raise UsageError(
            f"grading needs the staff's course with solutions/{exercise.id}; this one has visible"
            " checks only, which 'dlgrade check' runs"
        )
    submissions = find_submissions(options.submissions, exercise)
    jobs = options.jobs or min(planning.cores(), len(submissions))
    settings = _settings(options, exercise, jobs)
    record = _recorder(options.gradebook, exercise, settings.tier)
    folder = ResultsFolder(options.out) if options.out else None
    as_text = options.format == "text"
    reports: list[Report] = []
    try:
        # lines of JSON and a bar would overwrite each other on one terminal
        with progress.shown(plain=not as_text and sys.stdout.isatty()) as display:
            display.loading()
            with Zygote(exercise.preload) as zygote, Run(zygote, RunPlan(exercise, settings, True)) as run:
                display.opened(run.checks, len(submissions))
                for report in run.grade(submissions, jobs=jobs, watch=display.watch):
                    reports.append(report)
                    if folder:
                        folder.add(report)
                    record(report)
                    if not as_text:
                        print(report.to_json(), flush=True)
    finally:
        if as_text and reports:
            _show(reports, options, exercise)
    return max(report.exit_code for report in reports)


def _recorder(url: str | None, exercise: Exercise, tier: str) -> Callable[[Report], None]:
    """What saves a report in nbgrader's database, or nothing where none was named."""
    if url is None:
        return lambda _report: None
    try:
        from dlgrade.classroom.scores import Ledger
    except ImportError:
        raise UsageError("--gradebook needs nbgrader; pip install 'dlgrade[nbgrader]'") from None
    return Ledger(url, exercise, tier).record


def _settings(options: GradeOptions, exercise: Exercise, jobs: int) -> RunSettings:
    tier = planning.choose_tier(options.tier or exercise.graded_tier)
    mode, warning = planning.graded_isolation(options.isolation)
    if warning is not None:
        print(f"dlgrade: {warning}", file=sys.stderr)
    seed = planning.secret_seed() if options.seed is None else options.seed
    print(f"dlgrade: seed {seed} (--seed {seed} repeats this run)", file=sys.stderr)
    return RunSettings(
        tier=tier,
        seed=seed,
        threads=planning.worker_threads(jobs),
        mode=mode,
        device=planning.device_of(tier),
    )


def _show(reports: list[Report], options: GradeOptions, exercise: Exercise) -> None:
    from dlgrade import text_report, text_tables

    out = text_report.console(sys.stdout)
    text_tables.show_grades(sorted(reports, key=lambda report: report.submission), exercise, out)
    if options.out is not None:
        print(f"dlgrade: results are in {options.out}", file=sys.stderr)
