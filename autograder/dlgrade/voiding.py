"""Checks that the staff took back after grading: they count in full for everyone whose answer has the part.

What was graded stays as it was found; `voided.json` beside the reports says what no longer counts against
anyone, and everything made from the reports (tables, pages, exports, gradebooks) is made by `standing`.
Maxima stay, so no one else's points, and no gradebook's, change their meaning.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

from dlgrade.errors import UsageError
from dlgrade.outcome import DEFERRED, MISSING, PASSED
from dlgrade.report import CheckResult, Report

FILE: Final = "voided.json"
NOTE: Final = " (taken back: it counts in full)"


def read_voided(folder: Path) -> frozenset[str]:
    """Ids of the checks that were taken back for the results in a folder.

    Raises:
        UsageError: the file is not a list of names.
    """
    file = folder / FILE
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f'{file} has no list of checks, expected one such as ["convolve2d_is_exact"]')
    return frozenset(names)


def standing(report: Report, voided: Collection[str]) -> Report:
    """The report as it counts, once `voided` checks were taken back."""
    if not voided:
        return report
    checks = (_in_full(check) if check.id in voided else check for check in report.checks)
    return replace(report, checks=tuple(checks))


def _in_full(check: CheckResult) -> CheckResult:
    """Nothing is given for a part that was never written: no check could have been wrong about that."""
    if check.verdict in (MISSING, DEFERRED):
        return check
    return replace(
        check, title=check.title + NOTE, verdict=PASSED, points=check.max_points,
        message="", help="", diagnosis=None, frames=(),
    )  # fmt: skip
