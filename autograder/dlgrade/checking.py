"""`dlgrade check`: one submission, at once, with everything a person wants to read about it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dlgrade import hints, planning, printers, progress
from dlgrade.course import find_course
from dlgrade.display import printable
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.errors import SubmissionError
from dlgrade.exercise import Exercise
from dlgrade.report import Report
from dlgrade.runsettings import RunSettings
from dlgrade.source import outline
from dlgrade.submission import Submission, exercise_of, find_submissions


@dataclass(frozen=True)
class CheckOptions:
    """What the user asked for; None is what `dlgrade check` decides itself."""

    path: Path
    exercise: str | None = None
    part: str | None = None
    tier: str = "quick"
    format: str = "text"
    seed: int | None = None
    course: Path | None = None
    isolation: str | None = None


def check(options: CheckOptions) -> int:
    """Check, print, and return the exit code.

    Raises:
        DlgradeError: there is nothing to check, or it cannot be done here.
    """
    exercise = exercise_of(options.path, options.exercise, find_course(options.course))
    if options.part is not None:
        exercise.part(options.part)
    submissions = find_submissions(options.path, exercise)
    for submission in submissions:
        _refuse_unreadable(submission, exercise)
    if options.format == "text" and (problems := list(_syntax_problems(submissions))):
        print(*problems, sep="\n")
        return 1
    settings = _settings(options, exercise)
    with progress.shown() as display:
        display.loading()
        with (
            Zygote(exercise.preload) as zygote,
            Run(zygote, RunPlan(exercise, settings, exercise.staff)) as run,
        ):
            display.opened(run.checks, len(submissions))
            reports = list(run.grade(submissions, watch=display.watch))
    with printers.printing(options.format, options.path) as printer:
        for submission, report in zip(submissions, reports, strict=True):
            hints.note_attempts(submission, exercise, report)
            if printer is not None:
                printer.report(report)
            else:
                _show(report, run, options, exercise)
    return max(report.exit_code for report in reports)


def _refuse_unreadable(submission: Submission, exercise: Exercise) -> None:
    """One sentence at once, instead of the same one for every check."""
    if submission.problem is not None:
        raise SubmissionError(submission.problem)
    if not submission.text.strip():
        raise SubmissionError(
            f"{submission.name} is empty; expected your answer to {exercise.id}"
            f" ('dlgrade start {exercise.id}' gives you the file to fill in)"
        )


def _syntax_problems(submissions: Iterable[Submission]) -> Iterator[str]:
    """What Python cannot read, told at once: every check would say it again some seconds later."""
    for submission in submissions:
        if (problem := outline(submission.text, submission.name).error) is not None:
            yield f"{submission.name}, {problem}"


def _settings(options: CheckOptions, exercise: Exercise) -> RunSettings:
    tier = planning.choose_tier(options.tier)
    mode, warning = planning.practice_isolation(options.isolation)
    if warning is not None:
        print(f"dlgrade: {warning}", file=sys.stderr)
    return RunSettings(
        tier=tier,
        seed=planning.practice_seed(exercise, options.seed),
        part=options.part,
        threads=planning.worker_threads(1, tier),
        mode=mode,
        device=planning.device_of(tier),
    )


def _show(report: Report, run: Run, options: CheckOptions, exercise: Exercise) -> None:
    if options.format == "json":
        print(report.to_json(), flush=True)
        return
    from dlgrade import text_report

    view = text_report.View(
        exercise=exercise,
        checks=run.checks,
        command=_command(options),
        part=options.part,
        data=data_sentences(report, exercise),
    )
    text_report.show(report, view, text_report.console(sys.stdout))


def _command(options: CheckOptions) -> str:
    """The command to repeat this check, without what the next one may change."""
    words = ["dlgrade", "check"] + ([] if options.path == Path() else [str(options.path)])
    for name in ("exercise", "course"):
        if (value := getattr(options, name)) is not None:
            words += [f"--{name}", str(value)]
    return printable(shlex.join(words), 500)


def data_sentences(report: Report, exercise: Exercise) -> list[str]:
    """What the accuracy checks of a run trained on, with the command that brings the real data."""
    if not report.data:
        return []
    from dlgrade import datasets

    return [datasets.describe(name) for name in exercise.data]
