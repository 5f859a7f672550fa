"""`dlgrade check`: one submission, at once, with everything a person wants to read about it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlgrade import hints, places, planning, printers, progress, spawned
from dlgrade.checks import Check
from dlgrade.course import find_course
from dlgrade.display import printable
from dlgrade.engine import RunPlan
from dlgrade.errors import SubmissionError
from dlgrade.exercise import Exercise
from dlgrade.report import Report
from dlgrade.runsettings import RunSettings
from dlgrade.source import outline
from dlgrade.submission import Submission, exercise_of, find_submissions

if TYPE_CHECKING:
    from dlgrade.text_report import View


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
    watch: bool = False
    debug: bool = False


def check(options: CheckOptions) -> int:
    """Check, print, and return the exit code.

    Raises:
        DlgradeError: there is nothing to check, or it cannot be done here.
    """
    exercise = exercise_of(options.path, options.exercise, find_course(options.course))
    if options.part is not None:
        exercise.part(options.part)
    if options.watch:
        from dlgrade import watching

        return watching.watch(options, exercise)
    if options.debug:
        from dlgrade import debugging

        return debugging.debug(options, exercise)
    submissions = find_submissions(options.path, exercise)
    for submission in submissions:
        refuse_unreadable(submission, exercise)
    if options.format == "text" and (problems := list(syntax_problems(submissions))):
        print(*problems, sep="\n")
        return 1
    settings = settings_of(options, exercise)
    with progress.shown() as display:
        display.loading()
        with spawned.opened(RunPlan(exercise, settings, exercise.staff)) as run:
            display.opened(run.checks, len(submissions))
            reports = list(run.grade(submissions, watch=display.watch))
    with printers.printing(options.format, options.path) as printer:
        for submission, report in zip(submissions, reports, strict=True):
            hints.note_attempts(submission, exercise, report)
            if printer is not None:
                printer.report(report)
            else:
                _show(submission, report, run.checks, options, exercise)
    return max(report.exit_code for report in reports)


def refuse_unreadable(submission: Submission, exercise: Exercise) -> None:
    """One sentence at once, instead of the same one for every check."""
    if submission.problem is not None:
        raise SubmissionError(submission.problem)
    if not submission.text.strip():
        raise SubmissionError(
            f"{submission.name} is empty; expected your answer to {exercise.id}"
            f" ('dlgrade start {exercise.id}' gives you the file to fill in)"
        )


def syntax_problems(submissions: Iterable[Submission]) -> Iterator[str]:
    """What Python cannot read, told at once: every check would say it again some seconds later."""
    for submission in submissions:
        if (problem := outline(submission.text, submission.name).error) is not None:
            yield f"{submission.name}, {problem}"


def settings_of(options: CheckOptions, exercise: Exercise) -> RunSettings:
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


def _show(
    submission: Submission, report: Report, checks: Sequence[Check], options: CheckOptions, exercise: Exercise
) -> None:
    from dlgrade import text_report

    view = view_of(submission, report, checks, options, exercise)
    text_report.show(report, view, text_report.console(sys.stdout))


def view_of(
    submission: Submission, report: Report, checks: Sequence[Check], options: CheckOptions, exercise: Exercise
) -> View:
    """What a reader needs beside the report of this submission."""
    from dlgrade.text_report import View

    return View(
        exercise=exercise,
        checks=checks,
        command=_command(options),
        part=options.part,
        data=data_sentences(report, exercise),
        places=places.definitions(submission, [part.name for part in exercise.parts]),
    )


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
