"""Where a cohort is graded: this machine here, a cluster in `cluster.py`; `batch.py` sees no difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from dlgrade import planning
from dlgrade.checks import Check
from dlgrade.engine import Known, Run, RunPlan, Watch, Zygote
from dlgrade.report import Report
from dlgrade.submission import Submission


class Grader(Protocol):
    """A run that is open: its checks are collected, and it takes submissions."""

    @property
    def checks(self) -> Sequence[Check]:
        """The checks, in order."""

    @property
    def ready(self) -> Mapping[str, Any]:
        """What the checker said of versions and data."""

    def grade(self, submissions: Iterable[Submission], *, watch: Watch, known: Known) -> Iterator[Report]:
        """A report for each submission, as it is finished; see `engine.Run.grade`."""


class Machines(Protocol):
    """What grades: it says what it can do, and opens runs."""

    def choose_tier(self, wish: str) -> str:
        """The tier to run; see `planning.choose_tier`."""

    def isolation(self, wish: str | None) -> tuple[str, str | None]:
        """How submissions are confined, and a warning; see `planning.graded_isolation`."""

    def threads(self, tier: str) -> int:
        """For torch in each worker."""

    def opened(self, plan: RunPlan) -> AbstractContextManager[Grader]:
        """Load what the run needs; at its end everything that it started is gone."""


class ThisMachine:
    """So many submissions at a time on the cores at hand."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def choose_tier(self, wish: str) -> str:
        return planning.choose_tier(wish)

    def isolation(self, wish: str | None) -> tuple[str, str | None]:
        return planning.graded_isolation(wish)

    def threads(self, tier: str) -> int:
        return planning.worker_threads(self._jobs, tier)

    @contextmanager
    def opened(self, plan: RunPlan) -> Iterator[Grader]:
        with Zygote(plan.exercise.preload) as zygote, Run(zygote, plan) as run:
            yield _LocalGrader(run, self._jobs)


class _LocalGrader:
    """A run of the engine in this process, with its number of jobs."""

    def __init__(self, run: Run, jobs: int) -> None:
        self._run = run
        self._jobs = jobs
        self.checks: Sequence[Check] = run.checks
        self.ready: Mapping[str, Any] = run.ready

    def grade(self, submissions: Iterable[Submission], *, watch: Watch, known: Known) -> Iterator[Report]:
        return self._run.grade(submissions, jobs=self._jobs, watch=watch, known=known)
