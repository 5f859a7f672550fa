"""The supervisor's side of a run: starts the zygote and the checker, hands out submissions, collects reports.

Imports no torch: it runs in the command's own process.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final

from dlgrade import decision, hints, sandbox, zygote
from dlgrade.checks import Check
from dlgrade.errors import GraderFault, SubmissionError
from dlgrade.exercise import Exercise
from dlgrade.outcome import INTERNAL
from dlgrade.report import CheckResult, Report
from dlgrade.run_folder import RunFolder
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission

START_SECONDS: Final = 180.0
IDLE_SECONDS: Final = 0.05
KEPT_ENVIRONMENT: Final = ("HOME", "DLGRADE_DATA", "XDG_CACHE_HOME", "TMPDIR")

Watch = Callable[[str, dict[str, Any]], None]
Results = Mapping[str, CheckResult]
Known = Callable[[Submission], Results]
Idle = Callable[[], None]


def _unwatched(_submission: str, _event: dict[str, Any]) -> None:
    """Nobody looks on."""


def _nothing_known(_submission: Submission) -> Results:
    """Every check runs."""
    return {}


def _at_rest() -> None:
    """Nothing else to do."""


class Zygote:
    """The running zygote; a context, at whose end it and everything forked from it is gone."""

    def __init__(self, preload: Iterable[str]) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        options = {
            "path": import_path(),
            "parent": os.getpid(),
            "control": theirs.fileno(),
            "preload": list(preload),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", "-c", zygote.BOOT, json.dumps(options)],
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        self._ready = False

    def wait(self) -> None:
        """Return once torch is loaded.

        Raises:
            GraderFault: the process ended, or took longer than three minutes.
        """
        if self._ready:
            return
        self.control.settimeout(START_SECONDS)
        with contextlib.suppress(TimeoutError):
            self._ready = bool(self.control.recv(4096))
        self.control.settimeout(None)
        if not self._ready:
            raise GraderFault("the process that preloads torch did not start; its own message is above")

    def start_checker(self) -> socket.socket:
        """Fork a checker; returns its control socket."""
        self.wait()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = json.dumps({"command": "checker"}).encode()
        socket.send_fds(self.control, [request], [theirs.fileno(), self.control.fileno()])
        theirs.close()
        return ours

    def __enter__(self) -> Zygote:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the zygote; the kernel ends what it forked."""
        self.control.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def import_path() -> list[str]:
    """The interpreter's own path without the working directory, and without any course's folder."""
    package = Path(__file__).resolve().parent.parent
    entries = [str(package)]
    for entry in sys.path:
        path = Path(entry or ".").resolve()
        if entry and path.exists() and not (path / "solutions").is_dir() and path != Path.cwd():
            entries.append(str(path))
    return list(dict.fromkeys(entries))


@dataclass(frozen=True)
class RunPlan:
    """One run, as the supervisor describes it to the checker."""

    exercise: Exercise
    settings: RunSettings
    hidden: bool


@dataclass
class Flight:
    """A submission being graded, and what came of it so far."""

    submission: Submission
    results: dict[str, CheckResult] = field(default_factory=dict)
    done: dict[str, Any] | None = None
    start: float = field(default_factory=time.monotonic)

    def take(self, line: bytes) -> dict[str, Any]:
        """Keep one event of the checker, and return it."""
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "check":
            result = CheckResult.from_json(event["result"])
            self.results[result.id] = result
        elif event["event"] == "done":
            self.done = event
        return event


@dataclass
class _Stream:
    """A flight's socket, and the bytes of an unfinished line."""

    flight: Flight
    socket: socket.socket
    rest: bytes = b""


class Run:
    """A checker that collected one exercise's checks; `grade` sends submissions through it."""

    def __init__(self, zygote: Zygote, plan: RunPlan) -> None:
        self._plan = plan
        self._folder = RunFolder()
        self._control = zygote.start_checker()
        self._control.send(json.dumps({"run": request_of(plan, str(self._folder.path))}).encode())
        try:
            self.checks, self.ready = collected(self._messages())
            self._control.settimeout(None)
        except BaseException:
            self.close()
            raise

    def _messages(self) -> Iterator[bytes]:
        self._control.settimeout(START_SECONDS)
        with contextlib.suppress(TimeoutError):
            while data := self._control.recv(1 << 18):
                yield data

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the checker and remove the run's folder."""
        self._control.close()
        self._folder.close()

    def grade(
        self,
        submissions: Iterable[Submission],
        *,
        jobs: int = 1,
        watch: Watch = _unwatched,
        known: Known = _nothing_known,
        idle: Idle = _at_rest,
    ) -> Iterator[Report]:
        """Grade submissions, `jobs` at a time; a report for each, as it is finished.

        They are taken from the iterable as places become free. What `known` gives for one is taken over
        instead of running those checks. `idle` is called every now and then; when it raises, what is
        being graded is abandoned.
        """
        waiting = iter(submissions)
        with selectors.DefaultSelector() as selector:
            try:
                self._refill(selector, jobs, waiting, known)
                while selector.get_map():
                    finished = []
                    try:
                        for key, _ in selector.select(IDLE_SECONDS):
                            if report := self._advance(key.data, watch):
                                selector.unregister(key.fileobj)
                                key.data.socket.close()
                                finished.append(report)
                        self._refill(selector, jobs, waiting, known)
                    finally:  # whoever writes these down does so while the next ones are graded
                        yield from finished
                    idle()
            finally:
                for key in selector.get_map().values():  # its checker sees that nobody waits, and ends
                    key.data.socket.close()

    def _refill(
        self, selector: selectors.BaseSelector, jobs: int, waiting: Iterator[Submission], known: Known
    ) -> None:
        """Launch what is waiting, until `jobs` are being graded."""
        while len(selector.get_map()) < jobs and (submission := next(waiting, None)) is not None:
            stream = self._launch(submission, known(submission))
            selector.register(stream.socket, selectors.EVENT_READ, stream)

    def _launch(self, submission: Submission, known: Results) -> _Stream:
        ours, theirs = socket.socketpair()
        try:
            socket.send_fds(self._control, [b'{"job": 1}'], [theirs.fileno()])
        except OSError:
            raise GraderFault("the checker ended in the middle of the run; run the command again") from None
        theirs.close()
        with contextlib.suppress(BrokenPipeError):  # its end comes as a report without results
            ours.sendall(json.dumps(job_of(submission, self._plan.exercise, known)).encode() + b"\n")
        return _Stream(Flight(submission), ours)

    def _advance(self, stream: _Stream, watch: Watch) -> Report | None:
        try:
            data = stream.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        flight = stream.flight
        *lines, stream.rest = (stream.rest + data).split(b"\n")
        for line in lines:
            watch(flight.submission.name, flight.take(line))
        ended = not data or flight.done is not None
        return report_of(self._plan, self.checks, self.ready, flight) if ended else None


def request_of(plan: RunPlan, folder: str) -> dict[str, Any]:
    """The run as the checker is told of it."""
    return {
        "course": str(plan.exercise.root.resolve()),
        "exercise": plan.exercise.id,
        "hidden": plan.hidden,
        "settings": asdict(plan.settings),
        "policy": policy_of(plan),
        "folder": folder,
        "environment": {k: os.environ[k] for k in KEPT_ENVIRONMENT if k in os.environ},
    }


def collected(messages: Iterable[bytes]) -> tuple[list[Check], dict[str, Any]]:
    """The checks that the checker found, and what else it said about itself.

    Raises:
        GraderFault: it reported a fault, or ended before it was ready.
    """
    checks, ready = [], {}
    for data in messages:
        event = json.loads(data)
        if event["event"] == "fault":
            raise GraderFault(event["message"])
        if event["event"] == "collected":
            values = event["check"]
            values |= {"needs": tuple(values["needs"]), "otherwise": tuple(values["otherwise"])}
            checks.append(Check(**values))
        elif event["event"] == "ready":
            ready = event
        else:
            return checks, ready
    raise GraderFault("the checker ended before it was ready; its own message is above")


def report_of(plan: RunPlan, checks: Iterable[Check], ready: Mapping[str, Any], flight: Flight) -> Report:
    """Results counted against the expected checks: a missing one is our fault, never a pass."""
    done = flight.done or {}
    results = tuple(flight.results.get(check.id) or _lost(check) for check in checks)
    given = (sentence for result in results for sentence in result.advice)
    applied = done.get("applied") or {}
    return Report(
        exercise=plan.exercise.id,
        submission=flight.submission.name,
        student=flight.submission.student,
        tier=plan.settings.tier,
        seed=plan.settings.seed,
        checks=results,
        device=plan.settings.device,
        isolation=applied.get("mode", plan.settings.mode),
        limits={key: value for key, value in applied.items() if key != "mode"},
        data=ready.get("data") or None,
        calibration=_calibration(plan, checks, ready),
        seconds=time.monotonic() - flight.start,
        peak_memory={"worker": done.get("peak_memory", 0)},
        versions=ready.get("versions", {}),
        advice=(*flight.submission.notes, *_defined_twice(flight.submission), *dict.fromkeys(given)),
        output=done.get("output", ""),
        fault=None if flight.done else "the checker of this submission ended before it was done",
        hidden_left=0 if plan.hidden else plan.exercise.hidden.count,
        hints=hints.used(flight.submission, plan.exercise),
    )


def _calibration(
    plan: RunPlan, checks: Iterable[Check], ready: Mapping[str, Any]
) -> dict[str, dict[str, Any]] | None:
    """What the accuracy checks of a run were held to, by check, and where that was measured."""
    device = plan.settings.device
    held = {}
    for check in checks:
        title, thresholds = (
            ready.get("titles", {}).get(check.data),
            plan.exercise.thresholds.get(check.id, {}),
        )
        if title and (entry := decision.entry_for(thresholds, title, device)):
            kept = ("threshold", "better", "provisional", "false_fail", "tier", "device")
            held[check.id] = {"data": title, **{name: entry[name] for name in kept if name in entry}}
            if device != "cpu" and entry.get("tier") != "gpu":
                held[check.id]["gpu"] = decision.NOT_ON_A_GPU
    return held or None


def _defined_twice(submission: Submission) -> Iterator[str]:
    """Advice on names of which only the last definition counts."""
    from dlgrade.source import outline

    with contextlib.suppress(SubmissionError):  # told as the submission's problem
        for name, lines in outline(submission.text, submission.name).duplicates.items():
            if name != "_":  # by custom the name of what needs none
                at = ", ".join(map(str, lines))
                yield f"{name} is defined on lines {at}, and Python uses the last"


def _lost(check: Check) -> CheckResult:
    return CheckResult(
        id=check.id,
        part=check.part,
        kind=check.kind,
        title=check.title,
        hidden=check.hidden,
        verdict=INTERNAL,
        points=0.0,
        max_points=check.points,
        message="no result came from the checker",
    )


def policy_of(plan: RunPlan) -> dict[str, Any]:
    """The sandbox policy of the plan's workers, as plain JSON."""
    limits = plan.exercise.limits
    return {
        "mode": plan.settings.mode,
        "devices": sorted(str(file) for file in Path("/dev").glob("nvidia*") if file.is_char_device())
        if plan.settings.device == "cuda"
        else [],
        "visible": os.environ.get(sandbox.VISIBLE) if plan.settings.device == "cuda" else None,
        "limits": {
            "memory_bytes": limits.memory_bytes,
            "threads": limits.threads,
            "scratch_bytes": limits.scratch_bytes,
            "open_files": limits.open_files,
        },
    }


def job_of(
    submission: Submission, exercise: Exercise, known: Results = MappingProxyType({})
) -> dict[str, Any]:
    """A submission as the checker receives it, with the parts that are not filled in and what is known."""
    from dlgrade.source import missing_parts, outline

    problem, missing = submission.problem, {}
    try:
        if problem is None:
            missing = missing_parts(outline(submission.text, submission.name), exercise)
    except SubmissionError as error:  # its own problem, not the batch's
        problem = str(error)
    return {
        "name": submission.name,
        "student": submission.student,
        "text": submission.text if problem is None else "",
        "missing": missing,
        "problem": problem,
        "known": {name: asdict(result) for name, result in known.items()},
    }
