"""Judges one submission, check by check: what may run, what the checks get, and how each one ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dlgrade import diagnosis, formula
from dlgrade.checks import Check
from dlgrade.errors import GraderFault
from dlgrade.exercise import Exercise
from dlgrade.knowledge import Knowledge
from dlgrade.observation import Seen
from dlgrade.outcome import (
    BLOCKED,
    DEFERRED,
    FAILED,
    INTERNAL,
    MISSING,
    PASSED,
    Outcome,
    StudentRaised,
    Unmappable,
)
from dlgrade.report import CheckResult
from dlgrade.runsettings import RunSettings
from dlgrade.submitted import Answer, Workers


@dataclass
class Grading:
    """The state of one submission's grading: results so far, and the workers behind the checks."""

    settings: RunSettings
    exercise: Exercise
    knowledge: Knowledge
    workers: Workers
    missing: Mapping[str, str]
    problem: str | None
    progress: Callable[[str, float], None]
    datasets: Mapping[str, Any] = field(default_factory=dict)
    results: dict[str, CheckResult] = field(default_factory=dict)

    def take_over(self, known: Mapping[str, Any] | None) -> CheckResult | None:
        """A result that an earlier run came to and that still holds, as the supervisor sent it."""
        if known is None:
            return None
        result = CheckResult.from_json(known)
        self.results[result.id] = result
        return result

    def gate(self, check: Check) -> CheckResult | None:
        """The result of a check that is not to run, or None when it is."""
        if (known := self._known_to_be(check)) is not None:
            return self._result(check, known[0], message=known[1])
        for need in check.needs:
            result = self.results[need]
            if result.verdict not in (PASSED, DEFERRED):
                return self._result(
                    check, BLOCKED, message=f"not checked because '{result.title}' did not pass"
                )
        return None

    def _known_to_be(self, check: Check) -> tuple[str, str] | None:
        """The verdict and message of a check that will not run, whatever the others come to."""
        if not check.runs_at(self.settings.tier) or self.settings.part not in (None, check.part):
            return DEFERRED, ""
        if self.problem is not None:
            return MISSING, self.problem
        if check.part in self.missing:
            return MISSING, self.missing[check.part]
        return None

    def expect(self, checks: Iterable[Check]) -> None:
        """Tell the workers which groups of these checks will ask for one."""
        asking = (check for check in checks if check.data is None and self._known_to_be(check) is None)
        self.workers.expect(_group(check) for check in asking)

    def fixture(self, name: str, check: Check) -> Any:
        """What a check's argument `name` stands for."""
        if name == "submission":
            return self.answer(check)
        if name == "oracle":
            return self.knowledge.oracle(check)
        if name == "contest":
            return self.contest(check)
        raise GraderFault(
            f"check {check.id} asks for '{name}', which is neither submission, oracle nor contest"
        )

    def answer(self, check: Check) -> Answer:
        if check.data is not None:
            return self.workers.answer(check.id, self.datasets[check.data].readable)
        answer = self.workers.answer(_group(check))
        return answer.with_layouts(self.exercise.layouts)

    def contest(self, check: Check) -> Any:
        """The data set, recipe and threshold of an accuracy check."""
        from dlgrade.contests import contest_of

        if check.data is None:
            raise GraderFault(f"check {check.id} asks for a contest and names no data set")
        data = self.datasets[check.data]
        return contest_of(data)(
            check=check.id,
            data=data,
            settings=self.exercise.thresholds.get(check.id, {}),
            seed=formula.mix(self.settings.seed, check.id),
            cpu_seconds=self.exercise.limits.training_seconds,
            device=self.settings.device,
            measure=self.settings.measure,
            progress=lambda done: self.progress(check.id, done),
        )

    def judge(
        self,
        check: Check,
        function: Callable[..., Any],
        seen: Seen,
        error: BaseException | None,
        start: float,
    ) -> CheckResult:
        """The result of a check that ran."""
        seconds = time.monotonic() - start
        common: dict[str, Any] = {"seconds": seconds, "path": seen.path, "chance": seen.chance}
        common |= {"measured": seen.measured, "better": seen.better, "baseline": seen.baseline}
        common |= {"curve": seen.curve, "spent": seen.spent, "advice": tuple(seen.advice)}
        if error is None:
            self.knowledge.remember(check)
            return self._result(check, PASSED, message=seen.note, **common)
        self.knowledge.forget(check)
        if isinstance(error, Unmappable) and check.otherwise:
            return self._by_property(check, error, **common)
        if not isinstance(error, Outcome | AssertionError):
            return self._result(check, INTERNAL, message=f"{type(error).__name__}: {error}"[:500], **common)
        verdict = error.verdict if isinstance(error, Outcome) else FAILED
        if isinstance(error, Outcome):
            diagnosis.note_ending(seen, error)
        else:
            seen.ending = FAILED
        with self.workers.excusing():  # comparing with known mistakes is our work, not the answer's
            suspect = self.knowledge.diagnose(check, function, seen)
        if suspect is not None:
            common["diagnosis"] = {"mistake": suspect.name, "text": suspect.sentence}
        if isinstance(error, StudentRaised):
            common["frames"] = tuple((f.line, f.function, f.text) for f in error.frames)
        message = error.message if isinstance(error, Outcome) else str(error)
        return self._result(check, verdict, message=message, **common)

    def _by_property(self, check: Check, error: Unmappable, **common: Any) -> CheckResult:
        """Without matching weights the named property checks carry the points."""
        passed = all(self.results[name].verdict == PASSED for name in check.otherwise)
        common["path"] = "by property"
        if passed:
            return self._result(check, PASSED, message="decided by the property checks", **common)
        return self._result(check, FAILED, message=error.message, **common)

    def _result(self, check: Check, verdict: str, *, message: str = "", **more: Any) -> CheckResult:
        """A result; of a hidden check nothing is kept that a student's code or our values could tell."""
        if check.hidden and verdict not in (INTERNAL, MISSING, BLOCKED):
            message = ""
            more.pop("frames", None)
            more.pop("curve", None)
        result = CheckResult(
            id=check.id,
            part=check.part,
            kind=check.kind,
            title=check.title,
            hidden=check.hidden,
            verdict=verdict,
            points=check.points if verdict == PASSED else 0.0,
            max_points=check.points,
            message=message,
            help="" if verdict in (PASSED, DEFERRED) else check.help,
            **more,
        )
        self.results[check.id] = result
        return result


def _group(check: Check) -> str:
    """The checks that share a worker: all visible ones, and those of each hidden file."""
    return check.file if check.hidden else "visible"
