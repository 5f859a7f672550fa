"""What a cohort's results say about its checks: how hard each is, and whether it tells students apart."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dlgrade.outcome import DEFERRED, INTERNAL, PASSED
from dlgrade.report import Report


@dataclass(frozen=True)
class Item:
    """One check over a cohort.

    Attributes:
        passed: of those judged, how many passed.
        discrimination: point-biserial correlation of passing it with the score on all other checks;
            None where all passed, nobody did, or all others score the same.
    """

    id: str
    part: str
    title: str
    points: float
    judged: int
    passed: int
    discrimination: float | None

    @property
    def difficulty(self) -> float:
        """Share of those judged that did not pass."""
        return 1 - self.passed / self.judged


@dataclass(frozen=True)
class Row:
    """What the page shows of one submission."""

    submission: str
    student: str
    score: float
    max_score: float
    complete: bool
    whole: bool
    seconds: float
    hints: int
    problem: str
    unread: str


@dataclass(frozen=True)
class Training:
    """How one submission's loss went in an accuracy check: `curve` has the mean of each epoch."""

    submission: str
    passed: bool
    curve: tuple[float, ...]


@dataclass
class Analysis:
    """A cohort's results, reduced as they are read."""

    exercise: str = ""
    tier: str = ""
    seed: int = 0
    rows: list[Row] = field(default_factory=list)
    mistakes: dict[tuple[str, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    trainings: dict[str, list[Training]] = field(default_factory=lambda: defaultdict(list))  # by title
    _outcomes: dict[str, list[tuple[bool, float]]] = field(default_factory=lambda: defaultdict(list))
    _about: dict[str, tuple[str, str, float]] = field(default_factory=dict)

    def add(self, report: Report) -> None:
        """Take in one report; one that is not complete counts as a fault only."""
        self.exercise, self.tier, self.seed = report.exercise, report.tier, report.seed
        self.rows.append(_row(report))
        if not report.complete:
            return
        for check in report.checks:
            if check.verdict == DEFERRED:
                continue
            passed = check.verdict == PASSED
            self._about[check.id] = check.part, check.title, check.max_points
            self._outcomes[check.id].append((passed, report.score - check.points))
            if check.curve:
                training = Training(report.submission, passed, check.curve)
                self.trainings[f"{check.part}: {check.title}"].append(training)
            if check.diagnosis:
                key = check.part, check.diagnosis["mistake"], check.diagnosis["text"]
                self.mistakes[key].add(report.student or report.submission)

    @property
    def judged(self) -> list[Row]:
        return [row for row in self.rows if row.complete]

    def items(self) -> list[Item]:
        """Every check that was judged at least once, in the order of the reports."""
        found = []
        for name, outcomes in self._outcomes.items():
            part, title, points = self._about[name]
            passed = [float(one) for one, _ in outcomes]
            correlation = pearson(passed, [rest for _, rest in outcomes])
            found.append(Item(name, part, title, points, len(outcomes), int(sum(passed)), correlation))
        return found


def analyse(reports: Iterable[Report]) -> Analysis:
    """The analysis of all reports, which are read one at a time."""
    analysis = Analysis()
    for report in reports:
        analysis.add(report)
    return analysis


def pearson(x: Sequence[float], y: Sequence[float]) -> float | None:
    """The correlation of two series; with a series of 0 and 1 the point-biserial one. None without spread."""
    n = len(x)
    mean_x, mean_y = sum(x) / n, sum(y) / n
    both = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    spread = math.fsum((a - mean_x) ** 2 for a in x) * math.fsum((b - mean_y) ** 2 for b in y)
    return both / math.sqrt(spread) if spread > 1e-12 else None


def _row(report: Report) -> Row:
    internal = [check.message for check in report.checks if check.verdict == INTERNAL]
    return Row(
        submission=report.submission,
        student=report.student,
        score=report.score,
        max_score=report.max_score,
        complete=report.complete,
        whole=report.exit_code == 0,
        seconds=report.seconds,
        hints=sum(report.hints.values()),
        problem=report.fault or (internal[0] if internal else ""),
        unread=report.unread or "",
    )
