"""The folder that `grade --out` fills: one report for each submission, all of them, and a table of grades."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from dlgrade.errors import GraderFault, UsageError
from dlgrade.report import Report
from dlgrade.voiding import FILE as VOIDED
from dlgrade.voiding import read_voided, standing

COLUMNS: Final = ("submission", "student", "exercise", "score", "max_score", "complete", "tier", "fault")
CHANGE_COLUMNS: Final = ("submission", "student", "score_before", "score", "checks")
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_ID_LENGTH: Final = 80


@dataclass(frozen=True)
class RunRecord:
    """What all results of a folder have in common, kept in run.json. `checks` maps each check to its key."""

    exercise: str
    tier: str
    seed: int
    isolation: str
    checks: Mapping[str, str]


class ResultsFolder:
    """Writes results as they come, and knows those of earlier runs; a context.

        run.json            what the results have in common
        reports/<id>.json   one submission's report as graded; the others below are made from these
        voided.json         checks that were taken back since
        results.jsonl       every report, a line each; of a submission graded again the last line counts
        grades.csv          one row for each submission, by name
        changes.csv         after a regrade: whose score changed, from what to what

    A report is moved into place whole, so a run that is cut off at any moment loses at most the
    submissions in flight. Only a name and a row of each submission stay in memory.

    Raises:
        UsageError: the folder cannot be made or written, or another run is writing to it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: dict[str, str] = {}
        self._again = False
        try:
            (folder / "reports").mkdir(parents=True, exist_ok=True)
            self._lock = _locked(folder)
            self._voided = read_voided(folder)
            _sweep(folder)
            self._rebuild()
        except OSError as error:
            raise UsageError(f"--out '{folder}' cannot be written: {error.strerror}") from None

    def __enter__(self) -> ResultsFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._again and not isinstance(error, GraderFault):
                with self._told_if_full():
                    self._rebuild()
        finally:
            os.close(self._lock)

    @property
    def record(self) -> RunRecord | None:
        """What an earlier run noted; None for a new folder."""
        try:
            values = json.loads((self._folder / "run.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{self._folder / 'run.json'} cannot be read: {error}; use another --out"
            ) from None
        return RunRecord(**values)

    def begin(self, record: RunRecord) -> None:
        """Note what the results to come have in common."""
        with self._told_if_full():
            _replace(self._folder / "run.json", json.dumps(asdict(record)) + "\n")

    @property
    def voided(self) -> frozenset[str]:
        """Ids of the checks that were taken back."""
        return self._voided

    def void(self, names: Iterable[str]) -> None:
        """Take back these checks and no others, and make everything again that is made from the reports."""
        self._voided = frozenset(names)
        with self._told_if_full():
            _replace(self._folder / VOIDED, json.dumps(sorted(self._voided)) + "\n")
            self._rebuild()

    def standing(self, report: Report) -> Report:
        """A report as it counts."""
        return standing(report, self._voided)

    def report_of(self, submission: str) -> Report | None:
        """The report of an earlier run as it was graded, if there is a readable one."""
        try:
            return Report.from_json(self._file(submission).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def add(self, report: Report) -> None:
        """Write one finished report, and its line and row.

        Raises:
            GraderFault: the disk is full; what is there is whole, and the next run goes on from it.
        """
        counts = self.standing(report)
        with self._told_if_full():
            write_report(self._folder, report)
            _append(self._folder / "results.jsonl", counts.to_json() + "\n")
            self._again |= report.submission in self._rows
            self._rows[report.submission] = grade_row(counts)
            self._write_grades()

    def note_change(self, before: Report, after: Report) -> None:
        """A row of changes.csv, where the score or a verdict that counts is another."""
        verdicts = {check.id: check.verdict for check in before.checks}
        changed = [check.id for check in after.checks if verdicts.get(check.id) != check.verdict]
        if not changed and before.score == after.score:
            return
        file = self._folder / "changes.csv"
        cells = [after.submission, after.student, f"{before.score:g}", f"{after.score:g}", " ".join(changed)]
        with self._told_if_full():
            _append(file, ("" if file.exists() else csv_line(CHANGE_COLUMNS)) + csv_line(cells))

    def _file(self, submission: str) -> Path:
        return self._folder / "reports" / f"{safe_id(submission)}.json"

    def _rebuild(self) -> None:
        """Make the lines and the table from the single reports, one at a time."""
        self._rows.clear()
        _replace(self._folder / "results.jsonl", self._lines())
        self._write_grades()

    def _lines(self) -> Iterator[str]:
        for report in reports_in(self._folder):
            self._rows[report.submission] = grade_row(report)
            yield report.to_json() + "\n"

    def _write_grades(self) -> None:
        rows = (self._rows[name] for name in sorted(self._rows))
        _replace(self._folder / "grades.csv", (csv_line(COLUMNS), *rows))

    @contextlib.contextmanager
    def _told_if_full(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise GraderFault(
                    f"no space left for '{self._folder}'; {len(self._rows)} results are kept there: free some"
                    " space and run the same command again"
                ) from None
            raise GraderFault(f"'{self._folder}' cannot be written any more: {error.strerror}") from None


def reports_in(folder: Path) -> Iterator[Report]:
    """The reports of a results folder as they count, by file name, one at a time; other files are left."""
    voided = read_voided(folder)
    for file in sorted((folder / "reports").glob("*.json")):
        with contextlib.suppress(OSError, ValueError):
            yield standing(Report.from_json(file.read_text(encoding="utf-8")), voided)


def write_report(folder: Path, report: Report) -> None:
    """One submission's report, moved into place whole; whoever opens the folder next makes the rest of it."""
    (folder / "reports").mkdir(parents=True, exist_ok=True)
    _replace(folder / "reports" / f"{safe_id(report.submission)}.json", report.to_json() + "\n")


def safe_id(name: str) -> str:
    """A file name for a submission: readable, of plain characters, and different for different names."""
    readable = _UNSAFE.sub("_", name).strip("._-")[:_ID_LENGTH] or "submission"
    return f"{readable}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def grades_csv(reports: Iterable[Report]) -> str:
    """The table of grades."""
    return csv_line(COLUMNS) + "".join(map(grade_row, reports))


def grade_row(report: Report) -> str:
    """A report's row; one that is not complete has no score, so that nobody imports one."""
    score = report.score if report.complete else ""
    cells = [report.submission, report.student, report.exercise, score, report.max_score]
    return csv_line([*cells, str(report.complete).lower(), report.tier, report.fault or ""])


def csv_line(cells: Iterable[object]) -> str:
    """A line of CSV in which no text is a formula."""
    text = io.StringIO()
    writer = csv.writer(text)  # with \r\n: by any other line end it leaves a lone \r unquoted
    writer.writerow([_no_formula(cell) if isinstance(cell, str) else cell for cell in cells])
    return text.getvalue()


def _no_formula(cell: str) -> str:
    """A spreadsheet runs cells that start like a formula; a leading quote makes them text."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def _locked(folder: Path) -> int:
    """A descriptor that holds the folder's lock until it is closed, by whatever end."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UsageError(f"another run is writing to '{folder}'; wait for it, or use another --out") from None
    return descriptor


def _sweep(folder: Path) -> None:
    """Remove what a run that was killed had not yet moved into place."""
    for place in (folder, folder / "reports"):
        for file in place.glob(".*.fresh"):
            file.unlink()


def _replace(file: Path, text: str | Iterable[str]) -> None:
    """Write beside the file and move it there, so that a reader sees the old text or the new one."""
    fresh = file.with_name(f".{file.name}.fresh")
    try:
        with fresh.open("w", encoding="utf-8", newline="") as out:
            out.writelines([text] if isinstance(text, str) else text)
        fresh.replace(file)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _append(file: Path, text: str) -> None:
    """Append in one write; what did not fit whole is taken back."""
    with file.open("ab", buffering=0) as out:
        end, data = out.seek(0, os.SEEK_END), text.encode()
        try:
            written = out.write(data)
        except OSError:
            out.truncate(end)
            raise
        if written != len(data):
            out.truncate(end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
