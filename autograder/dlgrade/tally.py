"""How far a cohort's grading is: counts, rate and time left, in one line."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dlgrade.outcome import DEFERRED, PASSED
from dlgrade.report import Report


@dataclass
class Tally:
    """Counts of a run of `total` submissions.

    Attributes:
        kept: finished by an earlier run.
        done: graded by this one.
        failed: of both, those with a check that did not pass.
        faults: of both, those not judged by our own fault.
        points: sum of scores of those judged.
    """

    total: int
    kept: int = 0
    done: int = 0
    failed: int = 0
    faults: int = 0
    points: float = 0.0
    max_score: float = 0.0
    clock: Callable[[], float] = time.monotonic
    start: float = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.clock()

    def keep(self, report: Report) -> None:
        """Count a report of an earlier run."""
        self.kept += 1
        self._count(report)

    def add(self, report: Report) -> None:
        """Count a report of this run."""
        self.done += 1
        self._count(report)

    def _count(self, report: Report) -> None:
        if not report.complete:
            self.faults += 1
            return
        self.failed += any(check.verdict not in (PASSED, DEFERRED) for check in report.checks)
        self.points += report.score
        self.max_score = max(self.max_score, report.max_score)

    @property
    def finished(self) -> int:
        return self.kept + self.done

    def line(self) -> str:
        """`37 of 200 done, 3 failed, 41 a minute, about 4 min left`."""
        pieces = [f"{self.finished} of {self.total} done", f"{self.failed} failed"]
        if self.faults:
            pieces.append(f"{self.faults} not judged")
        if self.done:
            rate = self.done / max(1e-9, self.clock() - self.start)  # submissions a second
            pieces.append(f"{60 * rate:.0f} a minute")
            if left := self.total - self.finished:
                pieces.append(f"{duration(left / rate)} left")
        return ", ".join(pieces)

    def summary(self) -> str:
        """What the end of a run says of all."""
        judged = self.finished - self.faults
        text = f"{self.finished} submissions, {self.kept} of them graded before; {self.failed} failed a check"
        if judged:
            text += f"; mean score {self.points / judged:.1f} of {self.max_score:g}"
        return text + (
            f"; {self.faults} not judged, by our fault: run the command again" if self.faults else ""
        )


def duration(seconds: float) -> str:
    """A rough time for a person: `about 40 s`, `about 4 min`, `about 3 h`."""
    if seconds < 120:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 7200 else f"about {seconds / 3600:.0f} h"
