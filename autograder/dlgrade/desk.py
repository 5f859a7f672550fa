"""Where one submission is graded: a scratch folder, and a worker that can wait there for the submission."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from dlgrade import sandbox, scratch
from dlgrade.checks import Check
from dlgrade.children import Launcher, WorkerSettings
from dlgrade.errors import GraderFault
from dlgrade.exercise import Exercise
from dlgrade.grading import Grading
from dlgrade.knowledge import Knowledge
from dlgrade.observation import recording
from dlgrade.plugin import ERROR, GRADING, RECORD
from dlgrade.process import Budget, WorkerProcess
from dlgrade.runsettings import RunSettings
from dlgrade.submitted import Job, Workers

Emit = Callable[[dict[str, Any]], None]
Item = tuple[Check, pytest.Item]


@dataclass(frozen=True)
class Exam:
    """What all submissions of one run share."""

    exercise: Exercise
    settings: RunSettings
    items: Sequence[Item]
    knowledge: Knowledge
    launch: Launcher
    policy: Mapping[str, Any]
    datasets: dict[str, Any] = field(default_factory=dict)  # by the name that checks have for them

    @property
    def budget_seconds(self) -> float:
        """What a submission may take, trainings apart."""
        limits = self.exercise.limits
        return limits.quick_seconds if self.settings.tier == "quick" else limits.submission_seconds

    def worker_settings(self, folder: Path) -> WorkerSettings:
        """How a submission's workers are started, that write into `folder` only."""
        return WorkerSettings(
            name=self.exercise.id,
            threads=self.settings.threads,
            policy={**self.policy, "scratch": str(folder)},
            output_bytes=self.exercise.limits.output_bytes,
        )


@dataclass
class Desk:
    """One submission's place, for one use: `prepare` if the submission is still to come, `grade`, `close`."""

    exam: Exam
    folder: Path
    _waiting: WorkerProcess | None = field(default=None, init=False)

    def prepare(self) -> None:
        """Start a worker before the submission is known; where that fails, grading tries it again."""
        if not sandbox.may_wait(self.exam.settings.mode):
            return
        folder = self.folder / "first"
        with suppress(GraderFault, OSError):
            folder.mkdir()
            self._waiting = WorkerProcess(self.exam.launch, self.exam.worker_settings(folder))

    def grade(self, values: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
        """One submission against every check, an event for each result; returns the event of its end."""
        job = Job(**values)
        workers = self._workers(job)
        grading = Grading(
            settings=self.exam.settings,
            exercise=self.exam.exercise,
            knowledge=self.exam.knowledge,
            workers=workers,
            missing=job.missing,
            problem=job.problem,
            progress=lambda check, done: emit({"event": "progress", "check": check, "done": done}),
            datasets=self.exam.datasets,
        )
        grading.expect(record for record, _ in self.exam.items if record.id not in job.known)
        try:
            for record, item in self.exam.items:
                emit({"event": "start", "check": record.id})
                result = grading.take_over(job.known.get(record.id)) or judge_item(grading, record, item)
                emit({"event": "check", "result": asdict(result)})
            output, applied = workers.output, workers.applied
        finally:
            peak = workers.close()
        return {"event": "done", "output": output, "applied": applied, "peak_memory": peak}

    def close(self) -> None:
        """Remove the folder, with whatever the student's code has left in it."""
        scratch.remove(self.folder)

    def _workers(self, job: Job) -> Workers:
        return Workers(
            self.exam.launch,
            job,
            self.exam.worker_settings(self.folder),
            seed=self.exam.settings.seed,
            request_seconds=self.exam.exercise.limits.request_seconds,
            budget=Budget(self.exam.budget_seconds),
            waiting=self._waiting,
        )


OpenDesk = Callable[[], Desk]


def judge_item(grading: Grading, record: Check, item: pytest.Item) -> Any:
    """Run one collected check by pytest's own protocol, unless it is gated, and judge how it ended."""
    if (gated := grading.gate(record)) is not None:
        return gated
    item.config.stash[GRADING] = grading
    item.config.stash[RECORD] = record
    start = time.monotonic()
    with recording() as seen:
        runtestprotocol(item, log=False, nextitem=None)
    error = item.stash.get(ERROR, None)
    item.stash[ERROR] = None
    return grading.judge(record, getattr(item, "obj", None), seen, error, start)  # type: ignore[arg-type]  # a collected check has one
