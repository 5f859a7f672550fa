"""Runs visible checks under plain `pytest`: the pytest process is the checker, the answer is in a worker.

`pytest` in a student's folder then does what `dlgrade check` does, one test for each check.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlgrade import checks, probing
from dlgrade.children import WorkerSettings, forked_by
from dlgrade.course import find_course
from dlgrade.engine import RunPlan, Zygote, job_of, policy_of
from dlgrade.errors import GraderFault
from dlgrade.grading import Grading
from dlgrade.knowledge import Knowledge
from dlgrade.process import Budget
from dlgrade.run_folder import RunFolder
from dlgrade.runsettings import PUBLISHED_SEED, RunSettings
from dlgrade.submission import exercise_of, find_submissions
from dlgrade.submitted import Job, Workers


def fixture(request: pytest.FixtureRequest, name: str) -> Any:
    """The value of a check's argument, from the session that the first check starts."""
    stash = request.config.stash
    if SESSION not in stash:
        stash[SESSION] = PlainSession(request.path)
        request.config.add_cleanup(stash[SESSION].close)
    record = checks.of(request.function, request.path, hidden=False)
    if record.data is not None:
        pytest.skip(f"trains on {record.data}; run 'dlgrade check --tier {record.tier}'")
    return stash[SESSION].grading.fixture(name, record)


class PlainSession:
    """One zygote and the workers of the answer beside the checks, for one run of pytest."""

    def __init__(self, check_file: Path) -> None:
        folder = _exercise_folder(check_file)
        exercise = exercise_of(folder, None, find_course(None, folder))
        [submission] = find_submissions(folder, exercise)
        settings = RunSettings("quick", PUBLISHED_SEED, mode=probing.strongest("none"))
        self._zygote = Zygote(exercise.preload)
        self._zygote.wait()
        self._folder = RunFolder()
        policy = policy_of(RunPlan(exercise, settings, hidden=False))
        scratch = self._folder.path / "scratch"
        scratch.mkdir()
        self._workers = Workers(
            forked_by(self._zygote.control),
            Job(**job_of(submission, exercise)),
            WorkerSettings(exercise.id, settings.threads, {**policy, "scratch": str(scratch)}),
            seed=settings.seed,
            request_seconds=exercise.limits.request_seconds,
            budget=Budget(exercise.limits.submission_seconds),
        )
        self.grading = Grading(
            settings=settings,
            exercise=exercise,
            knowledge=Knowledge(exercise, settings.seed),
            workers=self._workers,
            missing=job_of(submission, exercise)["missing"],
            problem=submission.problem,
            progress=lambda _check, _done: None,
        )

    def close(self) -> None:
        self._workers.close()
        self._zygote.close()
        self._folder.close()


SESSION = pytest.StashKey[PlainSession]()


def _exercise_folder(check_file: Path) -> Path:
    for folder in check_file.parents:
        if (folder / "exercise.toml").is_file():
            return folder
    raise GraderFault(f"{check_file} is in no exercise: no exercise.toml in a folder above it")
