"""`dlgrade grade`: a cohort's submissions of one exercise, each finished result kept at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dlgrade import content, planning, printers, progress
from dlgrade.course import find_course
from dlgrade.display import printable
from dlgrade.engine import Results, RunPlan
from dlgrade.errors import UsageError
from dlgrade.exercise import Exercise
from dlgrade.machines import Grader, Machines, ThisMachine
from dlgrade.report import Report
from dlgrade.results import ResultsFolder, RunRecord
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Cohort, Submission
from dlgrade.tally import Tally

LISTED: Final = 100  # a longer table is for the results folder, not for a terminal
LISTED_UNREAD: Final = 30


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
    regrade: bool = False
    only: tuple[str, ...] = ()
    scheduler: str | None = None
    one_student: bool = False


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
    _refuse_contradictions(options)
    cohort = Cohort(options.submissions, exercise, flat=True, one=options.one_student)
    if cohort.left_out:
        names = ", ".join(printable(name, 60) for name in cohort.left_out[:5])
        more = f" and {len(cohort.left_out) - 5} more" if len(cohort.left_out) > 5 else ""
        print(f"dlgrade: not graded, as no student's folder holds it: {names}{more}", file=sys.stderr)
    with ExitStack() as stack:
        folder = stack.enter_context(ResultsFolder(options.out)) if options.out is not None else None
        machines = stack.enter_context(_machines(options, cohort))
        return _Batch(options, exercise, cohort, machines, folder).run()


def _refuse_contradictions(options: GradeOptions) -> None:
    if options.only and not options.regrade:
        raise UsageError("--only runs single checks again; add --regrade")
    if options.regrade and options.out is None:
        raise UsageError("--regrade needs --out, the folder with the results to bring up to date")
    if options.scheduler is not None and options.jobs is not None:
        raise UsageError("--jobs is for this machine; on a cluster each Dask worker's --nthreads says it")


def _machines(options: GradeOptions, cohort: Cohort) -> AbstractContextManager[Machines]:
    """Where to grade."""
    if options.scheduler is None:
        return nullcontext(ThisMachine(options.jobs or planning.default_jobs(len(cohort))))
    try:
        from dlgrade.cluster import Cluster
    except ImportError as error:
        raise UsageError(
            f"--scheduler needs Dask, and {error.name} is not installed; pip install 'dlgrade[dask]'"
        ) from None
    return Cluster(options.scheduler)


@dataclass(frozen=True)
class _Due:
    """A submission to be graded: its text's key, its earlier report, and what still holds of that."""

    text_key: str
    before: Report | None
    known: Results


class _Batch:
    """One run over a cohort: what earlier runs left is taken over, the rest is graded and handed on."""

    def __init__(
        self,
        options: GradeOptions,
        exercise: Exercise,
        cohort: Cohort,
        machines: Machines,
        folder: ResultsFolder | None,
    ) -> None:
        self._options = options
        self._exercise = exercise
        self._cohort = cohort
        self._machines = machines
        self._folder = folder
        self._record = folder.record if folder else None
        self._settings = _settings(options, exercise, machines, self._record)
        self._save = recorder(options.gradebook, exercise, self._settings.tier)
        self._keys: content.Keys = {}
        self._due: dict[str, _Due] = {}  # of the submissions in flight
        self._tally = Tally(len(self._cohort))
        self._unread: list[tuple[str, str]] = []
        self._listed: list[Report] | None = [] if len(self._cohort) <= LISTED or folder is None else None
        self._printer: printers.Printer | None = None
        self._code = 0

    def run(self) -> int:
        """Grade what is to be graded; the exit code."""
        as_text = self._options.format == "text"
        try:
            # printed lines and a bar would overwrite each other on one terminal
            with progress.shown(plain=not as_text and sys.stdout.isatty()) as display:
                display.loading()
                plan = RunPlan(self._exercise, self._settings, True)
                with self._machines.opened(plan) as run:
                    self._begin(run)
                    with printers.printing(self._options.format, self._options.submissions) as printer:
                        self._printer = printer
                        self._grade(run, display)
        finally:
            if as_text and self._tally.finished:
                self._show()
        return self._code

    def _begin(self, run: Grader) -> None:
        """Refuse results that other checks gave, and note what these will have in common."""
        self._keys = content.check_keys(self._exercise, run.checks, self._settings, run.ready)
        if unknown := set(self._options.only) - self._keys.keys():
            names = ", ".join(self._keys)
            raise UsageError(f"--only {min(unknown)}: {self._exercise.id} has no such check; it has {names}")
        if self._folder is None:
            return
        settings = self._settings
        record = RunRecord(self._exercise.id, settings.tier, settings.seed, settings.mode, self._keys)
        if self._record is not None and not self._options.regrade:
            _refuse_changed_checks(self._record, record, self._options)
        self._folder.begin(record)

    def _grade(self, run: Grader, display: progress.Progress) -> None:
        display.opened(run.checks, len(self._cohort))
        self._tally = Tally(len(self._cohort))  # its clock starts with the first submission
        reports = run.grade(
            self._waiting(run, display),
            watch=display.watch,
            known=lambda submission: self._due[submission.name].known,
        )
        for report in reports:
            report = self._take(report)
            score = f"{report.score:g} / {report.max_score:g}" if report.complete else "not judged"
            if len(self._cohort) > 1:
                display.graded(report.submission, score, self._tally.line())

    def _waiting(self, run: Grader, display: progress.Progress) -> Iterator[Submission]:
        """Submissions that are to be graded, read one at a time; the others are counted in passing."""
        for submission in self._cohort:
            before = self._folder.report_of(submission.name) if self._folder else None
            known = content.still_known(before, submission, run.checks, self._keys, self._options.only)
            if before is not None and len(known) == len(run.checks):
                counts = self._standing(before)
                self._tally.keep(counts)
                self._hand_on(counts)
                display.kept()
            else:
                self._due[submission.name] = _Due(content.text_key(submission), before, known)
                yield submission

    def _take(self, report: Report) -> Report:
        """Note what a report depends on, and write it; what is handed on is the report as it counts."""
        due = self._due.pop(report.submission)
        report = replace(report, content={"submission": due.text_key, "checks": dict(self._keys)})
        if due.before is not None and due.known and not report.output:
            report = replace(report, output=due.before.output)  # of the checks that did not run again
        counts = self._standing(report)
        self._tally.add(counts)
        if self._folder is not None:
            if due.before is not None:
                self._folder.note_change(self._standing(due.before), counts)
            self._folder.add(report)
        self._hand_on(counts)
        return counts

    def _standing(self, report: Report) -> Report:
        return self._folder.standing(report) if self._folder else report

    def _hand_on(self, report: Report) -> None:
        self._code = max(self._code, report.exit_code)
        if report.unread is not None:
            self._unread.append((report.submission, report.unread))
        self._save(report)
        if self._listed is not None:
            self._listed.append(report)
        if self._printer is not None:
            self._printer.report(report)

    def _show(self) -> None:
        from dlgrade import text_report, text_tables

        out = text_report.console(sys.stdout)
        if self._listed is not None:
            self._listed.sort(key=lambda report: report.submission)
            text_tables.show_grades(self._listed, self._exercise, out)
        else:
            out.print(self._tally.summary(), soft_wrap=True)
        if self._options.out is not None:
            print(f"dlgrade: results are in {self._options.out}", file=sys.stderr)
        self._tell_unread()

    def _tell_unread(self) -> None:
        """Name those who handed in nothing that can be graded: in a long table nobody sees them."""
        if self._listed is not None or not self._unread:
            return
        print(f"dlgrade: {len(self._unread)} submissions hold nothing to grade:", file=sys.stderr)
        for name, reason in sorted(self._unread)[:LISTED_UNREAD]:
            print(f"  {name}: {reason}", file=sys.stderr)
        if len(self._unread) > LISTED_UNREAD:
            print(f"  and {len(self._unread) - LISTED_UNREAD} more", file=sys.stderr)


def recorder(url: str | None, exercise: Exercise, tier: str) -> Callable[[Report], None]:
    """What saves a report in nbgrader's database, or nothing where none was named."""
    if url is None:
        return lambda _report: None
    try:
        from dlgrade.classroom.scores import Ledger
    except ImportError:
        raise UsageError("--gradebook needs nbgrader; pip install 'dlgrade[nbgrader]'") from None
    return Ledger(url, exercise, tier).record


def _settings(
    options: GradeOptions, exercise: Exercise, machines: Machines, record: RunRecord | None
) -> RunSettings:
    """The options, else what earlier results in the folder were made with, else the defaults.

    Raises:
        UsageError: the options contradict the earlier results, and no regrade was asked for.
    """
    tier = machines.choose_tier(options.tier or (record.tier if record else exercise.graded_tier))
    mode, warning = machines.isolation(options.isolation)
    if warning is not None:
        print(f"dlgrade: {warning}", file=sys.stderr)
    seed = options.seed if options.seed is not None else record.seed if record else planning.secret_seed()
    print(f"dlgrade: seed {seed} (--seed {seed} repeats this run)", file=sys.stderr)
    if record is not None:
        wanted = RunRecord(exercise.id, tier, seed, mode, record.checks)
        _refuse_changed_settings(record, wanted, options)
    return RunSettings(
        tier=tier,
        seed=seed,
        threads=machines.threads(tier),
        mode=mode,
        device=planning.device_of(tier),
    )


def _refuse_changed_settings(before: RunRecord, now: RunRecord, options: GradeOptions) -> None:
    """Results of different settings must not stand side by side in one folder."""
    for name in ("exercise", "tier", "seed", "isolation"):
        old, new = getattr(before, name), getattr(now, name)
        if old == new or (options.regrade and name != "exercise"):
            continue
        if name == "exercise":
            raise UsageError(f"'{options.out}' holds results of {old}, not of {new}; use another --out")
        raise UsageError(
            f"'{options.out}' holds results of {name} {old}, and this run has {new}; repeat them all with"
            " --regrade, or use another --out"
        )


def _refuse_changed_checks(before: RunRecord, now: RunRecord, options: GradeOptions) -> None:
    changed = [name for name, key in now.checks.items() if before.checks.get(name) != key]
    changed += [name for name in before.checks if name not in now.checks]
    if changed:
        shown = ", ".join(changed[:5]) + (" and others" if len(changed) > 5 else "")
        raise UsageError(
            f"what is checked has changed since '{options.out}' was graded ({shown}); --regrade runs again"
            " what changed and shows whose score did, or use another --out"
        )
