"""Judges one submission, check by check: what may run, what the checks get, and how each one ended."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlgrade import diagnosis, formula, oracle, remembered
from dlgrade.checks import Check
from dlgrade.diagnosis import Suspect
from dlgrade.errors import GraderFault
from dlgrade.exercise import Exercise, Mistake, load_mistakes
from dlgrade.observation import Seen
from dlgrade.oracle import Oracle, ReplayPeer
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
from dlgrade.peer import LocalPeer
from dlgrade.remembered import Remembered, RememberingPeer
from dlgrade.report import CheckResult
from dlgrade.runsettings import PUBLISHED_SEED, RunSettings
from dlgrade.submitted import Answer, Workers, local_answer


class Knowledge:
    """What the trusted side knows of right and wrong answers: live for staff, recorded for students."""

    def __init__(self, exercise: Exercise, seed: int, folder: Path | None = None) -> None:
        """`folder` is where forks of one run leave for each other what they have learned of mistakes."""
        self.seed = seed
        self._folder = folder
        self._layouts = exercise.layouts
        self._fingerprints: Mapping[str, Any] = {}
        self._answer = _full_answer(exercise)
        self._mistakes: tuple[Mistake, ...] = ()
        if self._answer is not None:
            self._mistakes = load_mistakes(exercise)
        else:
            self._fingerprints = _recorded(exercise)
        self._cache: dict[str, tuple[Seen, list[Suspect]]] = {}
        self._replies: dict[str, list[Remembered]] = {}
        self._asked: dict[str, RememberingPeer] = {}

    @property
    def live(self) -> bool:
        return self._answer is not None

    def oracle(self, check: Check) -> Oracle:
        """The right answer as this check may ask for it."""
        if self._answer is None:
            record = self._fingerprints.get(check.id, {}).get("record", [])
            return Oracle(ReplayPeer(record), seed=PUBLISHED_SEED, check=check.id)
        answer = self._answer
        peer = RememberingPeer(lambda: oracle.reference(answer), self._remembered(check))
        self._asked[check.id] = peer
        return Oracle(peer, seed=self.seed, check=check.id)

    def _remembered(self, check: Check) -> list[Remembered]:
        """What the reference was asked when an answer passed this check, in this fork or an earlier one."""
        if check.id not in self._replies and (file := self._left_by(check, "replies")) and file.is_file():
            self._replies[check.id] = remembered.from_bytes(file.read_bytes())
        return self._replies.get(check.id, [])

    def remember(self, check: Check) -> None:
        """An answer went the whole way through this check: what the reference replied will be asked again."""
        peer = self._asked.pop(check.id, None)
        if peer is None or peer.replies == self._replies.get(check.id):
            return
        self._replies[check.id] = peer.replies
        if file := self._left_by(check, "replies"):
            _leave(file, remembered.to_bytes(peer.replies))

    def forget(self, check: Check) -> None:
        """Drop the reference that a check talked to, and all that it holds; the check has ended."""
        self._asked.pop(check.id, None)

    def _left_by(self, check: Check, kind: str) -> Path | None:
        """Where forks of one run leave things for each other; None where there are none."""
        return self._folder / f"{check.id}.{kind}" if self._folder is not None else None

    def diagnose(self, check: Check, function: Callable[..., Any], seen: Seen) -> Suspect | None:
        """The known mistake that this run of a check looks like."""
        if check.data is not None:  # what a training leads to is no fingerprint
            return None
        if check.id not in self._cache:
            self._cache[check.id] = self._suspects(check, function)
        reference, suspects = self._cache[check.id]
        return diagnosis.diagnose(seen, reference, suspects)

    def _suspects(self, check: Check, function: Callable[..., Any]) -> tuple[Seen, list[Suspect]]:
        known = self._fingerprints.get(check.id) if self._answer is None else self._shared(check, function)
        known = known or {}
        return oracle.seen_from_json(known.get("reference")), [
            Suspect(entry["name"], entry["sentence"], oracle.seen_from_json(entry["seen"]))
            for entry in known.get("mistakes", ())
        ]

    def _shared(self, check: Check, function: Callable[..., Any]) -> Mapping[str, Any]:
        """What the check sees of known answers: read if another fork was here before, else found out."""
        file = self._left_by(check, "json")
        if file is not None and file.is_file():
            read: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return read
        learned = self._learn(check, function)
        # what this fork's limits kept the reference from is not for the next one to believe
        if file is not None and learned["reference"]["ending"] == PASSED:
            _leave(file, json.dumps(learned).encode())
        return learned

    def _learn(self, check: Check, function: Callable[..., Any]) -> Mapping[str, Any]:
        """Run the check on the reference and on every mistake it may meet."""
        assert self._answer is not None  # _suspects
        mistakes = [m for m in self._mistakes if m.part == check.part or m.caught_by == check.id]
        right = self.watch(check, function, self._answer)
        if right.ending == PASSED:
            self.remember(check)
        learned = {
            "reference": oracle.seen_to_json(right, digits=17),
            "mistakes": [
                {
                    "name": mistake.name,
                    "sentence": mistake.sentence,
                    "seen": oracle.seen_to_json(
                        self.watch(check, function, mistake.source(self._answer)), digits=17
                    ),
                }
                for mistake in mistakes
            ],
        }
        self.forget(check)
        return learned

    def watch(self, check: Check, function: Callable[..., Any], text: str) -> Seen:
        """Run a check on a known answer in this process."""
        answer = local_answer(LocalPeer("known_answer", text), seed=formula.mix(self.seed, check.id))
        answer = answer.with_layouts(self._layouts)
        return diagnosis.run_check(function, {"submission": answer, "oracle": self.oracle(check)})


def _leave(file: Path, data: bytes) -> None:
    """Write a file that another fork may read at any moment; where there is no space, it finds out anew."""
    draft = file.with_suffix(f".{os.getpid()}")
    try:
        draft.write_bytes(data)
        draft.rename(file)
    except OSError:
        with suppress(OSError):
            draft.unlink()


def _full_answer(exercise: Exercise) -> str | None:
    """The generated full answer beside the staff's exercise.toml, or None in a student's course."""
    if exercise.hidden_checks is None:
        return None
    file = exercise.folder / f"{exercise.id}.py"
    if not file.is_file():
        raise GraderFault(f"{file} is missing; run 'dlgrade build' first")
    return file.read_text(encoding="utf-8")


def _recorded(exercise: Exercise) -> Mapping[str, Any]:
    if exercise.fingerprints is None:
        return {}
    return oracle.load_fingerprints(exercise.fingerprints)


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
        if not check.runs_at(self.settings.tier) or self.settings.part not in (None, check.part):
            return self._result(check, DEFERRED)
        if self.problem is not None:
            return self._result(check, MISSING, message=self.problem)
        if check.part in self.missing:
            return self._result(check, MISSING, message=self.missing[check.part])
        for need in check.needs:
            result = self.results[need]
            if result.verdict not in (PASSED, DEFERRED):
                return self._result(
                    check, BLOCKED, message=f"not checked because '{result.title}' did not pass"
                )
        return None

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
        answer = self.workers.answer(check.file if check.hidden else "visible")
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
