"""The folder that `grade --out` fills: one report for each submission, all of them, and a table of grades."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from pathlib import Path
from typing import Final

from dlgrade.errors import UsageError
from dlgrade.report import Report

COLUMNS: Final = ("submission", "student", "exercise", "score", "max_score", "complete", "tier", "fault")
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_ID_LENGTH: Final = 80


class ResultsFolder:
    """Writes results as they come; whenever a run is cut off, what is there is whole.

        reports/<id>.json   one submission's report
        results.jsonl       every report of this run, a line each, as they finished
        grades.csv          one row for each submission, by name

    Raises:
        UsageError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reports: list[Report] = []
        try:
            (folder / "reports").mkdir(parents=True, exist_ok=True)
            _replace(folder / "results.jsonl", "")
            _replace(folder / "grades.csv", grades_csv([]))
        except OSError as error:
            raise UsageError(f"--out '{folder}' cannot be written: {error.strerror}") from None

    def add(self, report: Report) -> None:
        """Write one finished report, and its line and row."""
        line = report.to_json() + "\n"
        _replace(self._folder / "reports" / f"{safe_id(report.submission)}.json", line)
        with (self._folder / "results.jsonl").open("ab", buffering=0) as lines:
            lines.write(line.encode())
        self._reports.append(report)
        self._reports.sort(key=lambda report: report.submission)
        _replace(self._folder / "grades.csv", grades_csv(self._reports))


def safe_id(name: str) -> str:
    """A file name for a submission: readable, of plain characters, and different for different names."""
    readable = _UNSAFE.sub("_", name).strip("._-")[:_ID_LENGTH] or "submission"
    return f"{readable}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def grades_csv(reports: list[Report]) -> str:
    """The table of grades; a report that is not complete has no score, so that nobody imports one."""
    text = io.StringIO()
    writer = csv.writer(text)  # with \r\n: by any other line end it leaves a lone \r unquoted
    writer.writerow(COLUMNS)
    for report in reports:
        score = report.score if report.complete else ""
        cells = [report.submission, report.student, report.exercise, score, report.max_score]
        cells += [str(report.complete).lower(), report.tier, report.fault or ""]
        writer.writerow([_no_formula(cell) if isinstance(cell, str) else cell for cell in cells])
    return text.getvalue()


def _no_formula(cell: str) -> str:
    """A spreadsheet runs cells that start like a formula; a leading quote makes them text."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def _replace(file: Path, text: str) -> None:
    """Write beside the file and move it there, so that a reader sees the old text or the new one."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8", newline="")
    fresh.replace(file)
