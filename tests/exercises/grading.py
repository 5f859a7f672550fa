"""Grading one text in a run, and what to look for in its report."""

from pathlib import Path

from dlgrade.engine import Run
from dlgrade.report import Report
from dlgrade.submission import Submission


def grade(run: Run, text: str) -> Report:
    """The report of one submission with this text."""
    [report] = run.grade([Submission("someone", "someone", text, Path("someone"), "py")])
    return report


def faults(report: Report) -> list[str]:
    """Checks that our own code failed in."""
    return [f"{c.id}: {c.message}" for c in report.checks if c.verdict == "internal"]


def earned(report: Report) -> list[str]:
    """Checks that gave points."""
    return [c.id for c in report.checks if c.points]


def lost(report: Report) -> list[str]:
    """Counted checks that were not passed."""
    return [f"{c.id}: {c.verdict} {c.message}" for c in report.counted if c.verdict != "passed"]
