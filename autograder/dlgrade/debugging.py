"""`dlgrade check --debug`: the visible checks of one part in this process, so that `breakpoint()` works.

Nothing confines the student's code here and nothing is scored: the checks are for looking at it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

from dlgrade import hinting, hints, planning, text_report
from dlgrade.checking import CheckOptions, refuse_unreadable, syntax_problems
from dlgrade.checks import Check
from dlgrade.errors import UsageError
from dlgrade.exercise import Exercise
from dlgrade.fingerprints import load_checks
from dlgrade.knowledge import Knowledge
from dlgrade.observation import recording
from dlgrade.outcome import FAILED, PASSED, Outcome, StudentRaised
from dlgrade.peer import LocalPeer
from dlgrade.process import Deadline
from dlgrade.proxy import Channel
from dlgrade.source import missing_parts, outline
from dlgrade.submission import Submission, find_submissions
from dlgrade.submitted import Answer

NOTICE = "your code runs in this process, unconfined; there is no score"


def debug(options: CheckOptions, exercise: Exercise) -> int:
    """Run the visible checks of a part, by default the first open one; 0 if all passed, else 1.

    Raises:
        DlgradeError: there is not one answer to run, or no visible check of the part.
    """
    submission = hinting.only_one(find_submissions(options.path, exercise), "check --debug")
    refuse_unreadable(submission, exercise)
    if problems := list(syntax_problems([submission])):
        print(*problems, sep="\n")
        return 1
    part = options.part or first_part(submission, exercise)
    found = [
        (check, function)
        for check, function in load_checks(exercise.visible_checks)
        if check.part == part and check.data is None
    ]
    if not found:
        raise UsageError(
            f"part '{part}' of exercise '{exercise.id}' has no visible check that can be debugged"
        )
    print(f"dlgrade: {NOTICE}", file=sys.stderr)
    torch.set_num_threads(planning.worker_threads(1, "quick"))
    knowledge = Knowledge(exercise, planning.practice_seed(exercise, options.seed))
    return _run_all(found, submission, exercise, knowledge)


def first_part(submission: Submission, exercise: Exercise) -> str:
    """The first part that is written and has not passed; where none is, the first that is written."""
    missing = missing_parts(outline(submission.text, submission.name), exercise)
    written = [part.name for part in exercise.parts if part.name not in missing]
    first = hints.first_open(submission, exercise, hints.read(submission.origin.parent, exercise))
    if first in written:
        return str(first)
    return written[0] if written else exercise.parts[0].name


def _run_all(
    found: list[tuple[Check, Callable[..., Any]]],
    submission: Submission,
    exercise: Exercise,
    knowledge: Knowledge,
) -> int:
    out = text_report.console(sys.stdout)
    passed = 0
    try:
        answer = load(submission, exercise, knowledge.seed)
        for check, function in found:
            out.print(f"{check.part}: {check.title}", style="bold")
            ending = run(function, {"submission": answer, "oracle": knowledge.oracle(check)})
            passed += ending is None
            out.print(*_lines(ending, submission, ascii_only=out.options.ascii_only), sep="\n")
    except Outcome as ending:
        out.print(*_lines(ending, submission, ascii_only=out.options.ascii_only), sep="\n")
    out.print(f"{passed} of {len(found)} checks passed", style="bold")
    return 0 if passed == len(found) else 1


def load(submission: Submission, exercise: Exercise, seed: int) -> Answer:
    """The student's code, imported into this process.

    Raises:
        Outcome: it raised while it was imported.
    """
    channel = Channel(LocalPeer(exercise.id, ""), stream=seed, deadline=Deadline(float("inf")))
    encoder = channel.encoder()
    _stopping(lambda: channel.ask("load", encoder, source=encoder.encode(submission.text)))
    missing = missing_parts(outline(submission.text, submission.name), exercise)
    return Answer(channel, missing).with_layouts(exercise.layouts)


def run(function: Callable[..., Any], fixtures: dict[str, Any]) -> Outcome | AssertionError | None:
    """How a check ended; None if it passed."""
    with recording():
        try:
            _stopping(lambda: function(**fixtures))
        except (Outcome, AssertionError) as ending:
            return ending
    return None


def _stopping(call: Callable[[], Any]) -> None:
    """Leaving the debugger and Ctrl-C, which reach the answer as exceptions of the student's code, end all.

    Raises:
        KeyboardInterrupt: the user wants to stop.
    """
    try:
        call()
    except StudentRaised as raised:
        if raised.type_name in ("BdbQuit", "KeyboardInterrupt"):
            raise KeyboardInterrupt from None
        raise


def _lines(ending: BaseException | None, submission: Submission, *, ascii_only: bool) -> Iterator[Any]:
    verdict = PASSED if ending is None else ending.verdict if isinstance(ending, Outcome) else FAILED
    yield text_report.mark(verdict, ascii_only=ascii_only).append(f" {verdict}")
    if ending is None:
        return
    yield from (f"  {line}" for line in text_report.safe_lines(str(ending), text_report.MESSAGE_LINES))
    for frame in ending.frames if isinstance(ending, StudentRaised) else ():
        where = f"{submission.origin.name}:{frame.line} in {frame.function}"
        yield f"  {text_report.safe(where)}: {text_report.safe(frame.text.strip())}"
