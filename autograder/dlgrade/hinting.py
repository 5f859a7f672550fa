"""`dlgrade hint`: the next step towards a part, for the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dlgrade import hints
from dlgrade.course import find_course
from dlgrade.errors import SubmissionError, UsageError
from dlgrade.hints import Hint
from dlgrade.submission import Submission, exercise_of, find_submissions

NOT_KEPT = "dlgrade: this hint could not be remembered: nothing can be written beside your answer"


@dataclass(frozen=True)
class HintOptions:
    """What the user asked for; without a part, the first open one."""

    part: str | None
    path: Path
    exercise: str | None = None
    course: Path | None = None


def hint(options: HintOptions) -> int:
    """Print the next hint and return the exit code.

    Raises:
        DlgradeError: there is no such part, or no one answer at the path.
    """
    exercise = exercise_of(options.path, options.exercise, find_course(options.course))
    submission = only_one(find_submissions(options.path, exercise), "hint")
    found, kept = hints.show_next(submission, exercise, options.part)
    if not kept:
        print(NOT_KEPT, file=sys.stderr)
    print(*(lines(found) if found else [all_done(exercise.id)]), sep="\n")
    return 0


def only_one(submissions: list[Submission], command: str) -> Submission:
    """The one answer that can be read.

    Raises:
        UsageError: there are several.
        SubmissionError: it cannot be read.
    """
    if len(submissions) > 1:
        raise UsageError(f"'{command}' looks at one answer, and there are {len(submissions)}; name its file")
    [submission] = submissions
    if submission.problem is not None:
        raise SubmissionError(submission.problem)
    return submission


def lines(found: Hint) -> Iterator[str]:
    """The steps shown so far, and how to get the next one."""
    yield f"{found.part}: hint {len(found.steps)} of {found.total}"
    yield from (f"  {number}. {step}" for number, step in enumerate(found.steps, start=1))
    if found.waiting:
        yield f"The next one comes after another try at {found.part} that 'dlgrade check' finds failing."
    elif len(found.steps) < found.total:
        yield "You have earned another one: ask again if you need it."
    else:
        yield "That was the last one."


def all_done(exercise: str) -> str:
    """What to say where no part needs a hint."""
    return f"Every part of {exercise} passed its last check; for one of them all the same: dlgrade hint PART"
