"""`dlgrade rescore`: a check that turned out to be wrong is taken back, and everyone is scored again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlgrade.batch import recorder
from dlgrade.course import find_course
from dlgrade.display import printable
from dlgrade.errors import UsageError
from dlgrade.outcome import BLOCKED
from dlgrade.report import Report
from dlgrade.results import ResultsFolder, reports_in


@dataclass(frozen=True)
class RescoreOptions:
    """What the user asked for."""

    directory: Path
    void: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    gradebook: str | None = None
    course: Path | None = None


def rescore(options: RescoreOptions) -> int:
    """Take back and restore checks, print whose score changed, and write the new points; the exit code.

    Without either, the points are what they were, and are written into the gradebook again.

    Raises:
        UsageError: no results there, no such check, or a gradebook that cannot be used.
    """
    before = {report.submission: report for report in reports_in(options.directory)}
    if not before:
        out = options.directory
        raise UsageError(f"no reports in '{out}'; expected what 'dlgrade grade --out {out}' writes")
    _refuse_unknown(options, before[min(before)])
    save = _recorder(options, list(before.values()))
    with ResultsFolder(options.directory) as folder:
        folder.void((folder.voided | set(options.void)) - set(options.restore))
        changed = []
        for after in reports_in(options.directory):
            old = before[after.submission]
            folder.note_change(old, after)
            if (old.score, old.complete) != (after.score, after.complete):
                changed.append((old, after))
            save(after)
    _show(changed, list(before.values()), options)
    return 0


def _refuse_unknown(options: RescoreOptions, report: Report) -> None:
    known = [check.id for check in report.checks]
    for name in (*options.void, *options.restore):
        if name not in known:
            raise UsageError(f"'{name}' is no check of {report.exercise}; it has {', '.join(known)}")
    if both := set(options.void) & set(options.restore):
        raise UsageError(f"'{min(both)}' is both taken back and restored; name it once")


def _recorder(options: RescoreOptions, reports: Sequence[Report]) -> Callable[[Report], None]:
    if options.gradebook is None:
        return lambda _report: None
    one = reports[0]
    return recorder(options.gradebook, find_course(options.course).exercise(one.exercise), one.tier)


def _show(
    changed: Sequence[tuple[Report, Report]], before: Sequence[Report], options: RescoreOptions
) -> None:
    """Whose score is another, and whose checks never ran because the one taken back did not pass."""
    for old, new in sorted(changed, key=lambda pair: pair[0].submission):
        was = f"{old.score:g}" if old.complete else "not judged"
        print(f"{printable(old.submission, 120)}: {was} -> {new.score:g} of {new.max_score:g}")
    print(f"{len(changed)} of {len(before)} scores changed")
    for name in options.void:
        waiting = [report.submission for report in before if _held_up(report, name)]
        if waiting:
            print(
                f"{len(waiting)} did not pass {name} and have blocked checks of the same part, which never"
                " ran and still count 0; once the check is mended, 'dlgrade grade --regrade' runs them"
            )


def _held_up(report: Report, name: str) -> bool:
    void = next((check for check in report.checks if check.id == name), None)
    return (
        void is not None
        and void.points < void.max_points
        and any(check.verdict == BLOCKED and check.part == void.part for check in report.checks)
    )
