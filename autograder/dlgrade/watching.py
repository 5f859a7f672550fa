"""`dlgrade check --watch`: the processes stay warm, and a save checks again only the parts that it touched.

save ──settled──▶ read ─▶ what was touched ─▶ first open part ─▶ page ─▶ other touched parts ─▶ page
  ▲                                                                                              │
  └──── keys: hint, all checks, list of parts, quit; a new save abandons what is running ◀───────┘
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dlgrade import changes, hinting, hints, keyboard, progress, spawned
from dlgrade.checking import CheckOptions, refuse_unreadable, settings_of, view_of
from dlgrade.checks import Check
from dlgrade.collected import FORMATS
from dlgrade.engine import Run, RunPlan
from dlgrade.errors import UsageError
from dlgrade.exercise import Exercise
from dlgrade.keyboard import Keys
from dlgrade.outcome import DEFERRED, PASSED
from dlgrade.places import place
from dlgrade.report import CheckResult, Report
from dlgrade.saves import Saves
from dlgrade.source import Outline, SyntaxProblem, outline
from dlgrade.spawned import SpawnedRun
from dlgrade.submission import Submission, find_submissions

if TYPE_CHECKING:
    from rich.console import Console

    from dlgrade.text_report import View

LOOK_SECONDS: Final = 0.02  # between two looks at the file and the keyboard


class Saved(Exception):
    """The file was saved: what is running is out of date."""


class Quit(Exception):
    """The user has had enough."""


def watch(options: CheckOptions, exercise: Exercise) -> int:
    """Check at every save until the user quits; the exit code is that of the last report.

    Raises:
        DlgradeError: there is not exactly one answer to watch, or it cannot be checked here.
    """
    from dlgrade.text_report import console

    submission = _read(options, exercise)
    settings = settings_of(options, exercise)
    saves = Saves(_files(options, exercise, submission))
    with ExitStack() as stack:
        with progress.shown() as display:
            display.loading()
            run = stack.enter_context(spawned.opened(RunPlan(exercise, settings, exercise.staff)))
        keys = Keys(None) if options.format == "json" else stack.enter_context(keyboard.opened(sys.stdin))
        return _Watch(run, exercise, options, saves, keys, console(sys.stdout)).until_quit()


def _read(options: CheckOptions, exercise: Exercise) -> Submission:
    return hinting.only_one(find_submissions(options.path, exercise), "check --watch")


def _files(options: CheckOptions, exercise: Exercise, submission: Submission) -> list[Path]:
    """The files whose change may change the answer."""
    if not options.path.is_dir():
        return [options.path]
    named = [options.path.resolve() / f"{exercise.id}{suffix}" for suffix in FORMATS]
    return list(dict.fromkeys([submission.origin, *named]))


class Results:
    """What is known of each check, as long as the code that its part depends on is the same."""

    def __init__(self, parts: Sequence[str], checks: Sequence[Check]) -> None:
        self._parts = parts
        self._checks = checks
        self._found: dict[str, CheckResult] = {}
        self._code: dict[str, str] = {}
        self._lines: dict[str, int] = {}

    def of(self, check: Check) -> CheckResult:
        """Its last result, or that it is left out for now."""
        return self._found.get(check.id) or CheckResult(
            check.id, check.part, check.kind, check.title, check.hidden, DEFERRED, 0.0, check.points
        )

    def others(self, names: Collection[str]) -> dict[str, CheckResult]:
        """What is known of all checks but those of these parts."""
        return {check.id: self.of(check) for check in self._checks if check.part not in names}

    def passed(self, name: str) -> bool:
        """Whether every check of a part passed, those of later tiers apart; False if it was never checked."""
        mine = [self.of(check) for check in self._checks if check.part == name]
        return name in self._code and all(check.verdict in (PASSED, DEFERRED) for check in mine)

    @property
    def first_open(self) -> str | None:
        return next((name for name in self._parts if not self.passed(name)), None)

    def turns(self, found: Outline) -> list[list[str]]:
        """The parts to check for this text, the first open one in a turn of its own."""
        touched = changes.touched(self._code, changes.dependencies(found.text, self._parts)) | self._moved(
            found
        )
        affected = changes.with_dependents(touched, self._checks)
        return changes.in_turns(
            [name for name in self._parts if name in affected],
            [name for name in self._parts if not self.passed(name)],
            self._checks,
        )

    def _moved(self, found: Outline) -> set[str]:
        """Parts with results that name lines of the file, when these are other lines now."""
        with_lines = {check.part for check in self._found.values() if check.frames}
        return {name for name in with_lines if _line_of(found, name) != self._lines.get(name)}

    def note(self, names: Sequence[str], found: Outline, results: Sequence[CheckResult]) -> None:
        """Keep the results of these parts for as long as `found` is what they depend on."""
        code = changes.dependencies(found.text, names)
        self._code |= code
        self._lines |= {name: _line_of(found, name) for name in names}
        self._found |= {check.id: check for check in results}

    def forget(self) -> None:
        """Check everything again at the next turn."""
        self._code.clear()


def _line_of(found: Outline, name: str) -> int:
    definition = found.find(name)
    return definition.line if definition else 0


@dataclass
class _Watch:
    """One user in front of one answer."""

    run: Run | SpawnedRun
    exercise: Exercise
    options: CheckOptions
    saves: Saves
    keys: Keys
    out: Console
    submission: Submission | None = None
    report: Report | None = None
    asked: list[str] = field(default_factory=list)
    whole_page: bool = False

    def __post_init__(self) -> None:
        checked = {check.part for check in self.run.checks}
        names = [part.name for part in self.exercise.parts if part.name in checked]
        self.results = Results([n for n in names if self.options.part in (None, n)], self.run.checks)

    def until_quit(self) -> int:
        """Check, wait for a save, check again."""
        while True:
            try:
                self.check()
                while True:
                    self.look(LOOK_SECONDS)
                    self.answer_keys()
            except Saved:
                continue
            except Quit:
                return self.report.exit_code if self.report else 1

    # --- a save -----------------------------------------------------------------------------------

    def check(self) -> None:
        """Check what the save touched; what cannot be read is told, and the next save awaited."""
        start = time.monotonic()
        try:
            submission = _read(self.options, self.exercise)
            refuse_unreadable(submission, self.exercise)
            found = outline(submission.text, submission.name)
        except UsageError as error:
            self.tell(str(error))
            return
        self.submission = submission
        if found.error is not None:
            self.tell_syntax(submission, found.error)
            return
        turns = self.results.turns(found)
        touched = [name for turn in turns for name in turn]
        self.announce(touched)
        printed = ""
        for number, turn in enumerate(turns):
            self.report = self.checked(submission, found, turn)
            printed += self.report.output
            self.report = replace(self.report, output=printed)
            pending = [name for later in turns[number + 1 :] for name in later]
            self.show(touched, pending=pending, seconds=time.monotonic() - start)
        if not turns:
            self.show([], pending=[], seconds=time.monotonic() - start)

    def checked(self, submission: Submission, found: Outline, names: Sequence[str]) -> Report:
        """Run the checks of these parts; the report has the results of all."""
        known = self.results.others(names)
        [report] = self.run.grade([submission], known=lambda _submission: known, idle=self.look)
        mine = tuple(check for check in report.checks if check.part in names)
        if report.fault is None:
            self.results.note(names, found, mine)
            hints.note_attempts(submission, self.exercise, replace(report, checks=mine))
        return report

    # --- between saves ----------------------------------------------------------------------------

    def look(self, seconds: float = 0.0) -> None:
        """Take a key for later, and see whether the file was saved.

        Raises:
            Saved, Quit: as the names say, at once.
        """
        key = self.keys.pressed(seconds)
        if key == "q":
            raise Quit
        if key:
            self.asked.append(key)
        if self.saves.settled():
            raise Saved

    def answer_keys(self) -> None:
        """Do what the keys say.

        Raises:
            Saved: all checks are to run again.
        """
        while self.asked:
            key = self.asked.pop(0)
            if key == "h":
                self.show_hint()
            elif key == "p" and self.report is not None:
                from dlgrade import watch_page

                watch_page.show_parts(self.report, self.view(self.report), self.out)
            elif key == "a":
                self.results.forget()
                self.whole_page = True
                raise Saved

    def show_hint(self) -> None:
        """The next hint for the first open part."""
        if self.submission is None:
            return
        found, kept = hints.show_next(self.submission, self.exercise, self.results.first_open)
        if not kept:
            print(hinting.NOT_KEPT, file=sys.stderr)
        lines = hinting.lines(found) if found else [hinting.all_done(self.exercise.id)]
        self.out.print(*lines, sep="\n")

    # --- what is seen -----------------------------------------------------------------------------

    def view(self, report: Report) -> View:
        assert self.submission is not None  # there is a report of it
        return view_of(self.submission, report, self.run.checks, self.options, self.exercise)

    def announce(self, names: Sequence[str]) -> None:
        if names and self.out.is_terminal and self.options.format == "text":
            self.out.print(f"checking {', '.join(names)} ...", style="dim")

    def show(self, touched: Sequence[str], *, pending: Sequence[str], seconds: float) -> None:
        """The page of the last report; as JSON, the report itself once it is whole."""
        if self.report is None:
            return
        if self.options.format == "json":
            if not pending:
                print(self.report.to_json(), flush=True)
            return
        from dlgrade import text_report, watch_page

        view = self.view(self.report)
        if self.whole_page and not pending:
            self.whole_page = False
            watch_page.clear(self.out)
            text_report.show(self.report, view, self.out)
        else:
            focus = next((name for name in touched if not self.results.passed(name)), self.results.first_open)
            moment = watch_page.Moment(self.report, seconds, focus, pending)
            watch_page.show(moment, view, self.out)
        self.show_keys()

    def tell(self, sentence: str) -> None:
        """Why nothing can be checked right now."""
        from dlgrade import watch_page

        if self.options.format == "json":
            print(f"dlgrade: {sentence}", file=sys.stderr)
            return
        watch_page.clear(self.out)
        watch_page.show_problem(sentence, None, self.out)
        self.show_keys()

    def tell_syntax(self, submission: Submission, problem: SyntaxProblem) -> None:
        """The line that Python stopped at."""
        from dlgrade import watch_page

        if self.options.format == "json":
            print(f"dlgrade: {submission.name}, {problem}", file=sys.stderr)
            return
        watch_page.clear(self.out)
        watch_page.show_problem(
            f"{problem.message}: {problem.shown}", place(submission.origin, problem.line), self.out
        )
        self.show_keys()

    def show_keys(self) -> None:
        from dlgrade import watch_page

        watch_page.show_keys(self.out, usable=self.keys.usable)
