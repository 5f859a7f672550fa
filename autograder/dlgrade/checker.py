"""The trusted process: collects the checks once, then forks a child for each submission in pytest's run loop.

Forked from the zygote before any secret exists, it then loads checks, reference and held-out data.
Its control socket carries one JSON message a datagram:

    supervisor → checker   {"run": ...} once, then {"job": n} with the submission's own stream socket
    checker → supervisor   {"event": "ready", "checks", "versions", "data"} or {"event": "fault", "message"}

and on a submission's stream, a line of JSON each: the job, then events `check`, `progress` and `done`.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn, Protocol

import pytest
from _pytest.runner import runtestprotocol

import dlgrade
from dlgrade import canaries, checks, hugepages, scratch
from dlgrade.checks import Check
from dlgrade.children import Launcher, WorkerSettings, forked_by
from dlgrade.course import Course
from dlgrade.decision import RUNS
from dlgrade.errors import DlgradeError, GraderFault
from dlgrade.exercise import Exercise
from dlgrade.grading import Grading, Knowledge
from dlgrade.observation import recording
from dlgrade.plugin import ERROR, GRADING, RECORD
from dlgrade.process import MOST_WALL, Budget, try_canaries
from dlgrade.runsettings import RunSettings
from dlgrade.submitted import Job, Workers

MAX_MESSAGE = 64 << 10
CHECKER_BYTES = 8 << 30  # of address space for one submission: replies at their caps, many at a time

# Nothing that lies around may steer pytest: no configuration, no conftest, no cache, no plugins.
SEALED = (
    *("-c", os.devnull, "--noconftest", "--import-mode=importlib", "--capture=no", "--assert=plain"),
    *("-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:faulthandler", "-p", "no:warnings"),
    *("-p", "no:logging", "-p", "no:unraisableexception", "-p", "no:threadexception", "-p", "no:dlgrade"),
)


@dataclass(frozen=True)
class RunRequest:
    """The supervisor's first message."""

    course: str
    exercise: str
    hidden: bool
    settings: RunSettings
    policy: dict[str, Any]
    folder: str
    environment: dict[str, str]

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> RunRequest:
        return cls(**{**values, "settings": RunSettings(**values["settings"])})


Emit = Callable[[dict[str, Any]], None]
Grade = Callable[[dict[str, Any], Emit], None]


class Supervisor(Protocol):
    """The other end of a run: it hears what there is, and hands out submissions."""

    def tell(self, message: dict[str, Any]) -> None:
        """Send one message about the run."""

    def serve(self, grade: Grade, seconds: float) -> None:
        """Call `grade` with each job and a way to send its events, until the supervisor hangs up.

        None takes longer than `seconds`, unless something keeps the checker itself busy.
        """


def main(control: socket.socket, zygote: socket.socket) -> None:
    """Serve one run with forks: the first message says what it is about."""
    request = RunRequest.from_json(json.loads(control.recv(MAX_MESSAGE))["run"])
    try:
        conduct(request, ForkingSupervisor(control), forked_by(zygote))
    finally:
        control.close()


def conduct(request: RunRequest, supervisor: Supervisor, launch: Launcher) -> None:
    """Collect, say what there is, and grade submissions until the supervisor hangs up."""
    os.environ.update(request.environment)
    os.environ.pop("PYTEST_ADDOPTS", None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.dont_write_bytecode = True
    with told_in_one_sentence(supervisor):
        run = Run(request, supervisor, launch)
        folders = [str(folder) for folder in run.folders]
        pytest.main([*SEALED, f"--rootdir={request.folder}", *folders], plugins=[_core(), run])


def _core() -> Any:
    """The fixtures and the collection rule, which plain pytest gets from the same plugin."""
    from dlgrade import plugin

    return plugin


@contextmanager
def told_in_one_sentence(supervisor: Supervisor) -> Iterator[None]:
    """Tell the supervisor of a fault; the traceback of an unexpected one goes to stderr."""
    try:
        yield
    except DlgradeError as error:
        supervisor.tell({"event": "fault", "message": str(error)})
    except Exception as error:
        traceback.print_exc()
        supervisor.tell({"event": "fault", "message": f"{type(error).__name__}: {error}"[:2000]})


class ForkingSupervisor:
    """A supervisor behind a socket; each submission comes with a stream of its own and gets a fork."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def tell(self, message: dict[str, Any]) -> None:
        self._control.send(json.dumps(message).encode())

    def serve(self, grade: Grade, seconds: float) -> None:
        children: set[int] = set()
        while True:
            asked, _, _ = select.select([self._control], [], [], 0.2 if children else None)
            children -= _reaped(children)
            if not asked:
                continue
            data, descriptors, _flags, _address = socket.recv_fds(self._control, MAX_MESSAGE, 1)
            if not data:
                break
            stream = socket.socket(fileno=descriptors[0])
            pid = os.fork()
            if pid == 0:
                _grade_and_exit(grade, stream, seconds)
            children.add(pid)
            stream.close()
        for pid in children:
            os.kill(pid, signal.SIGKILL)


def _grade_and_exit(grade: Grade, stream: socket.socket, seconds: float) -> NoReturn:
    """In the fork: one submission, whose job is the first line of its stream."""
    from dlgrade.zygote import die_with_parent

    die_with_parent(0)
    threading.Thread(target=_end_with, args=[stream.fileno()], daemon=True).start()
    _limit_itself(seconds)
    lines = stream.makefile("rwb")

    def emit(event: dict[str, Any]) -> None:
        lines.write(json.dumps(event).encode() + b"\n")
        lines.flush()

    try:
        grade(json.loads(lines.readline()), emit)
    except BrokenPipeError:  # nobody waits for the report any more
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _limit_itself(seconds: float) -> None:
    """Answers that keep this process busy or full end it, and no other submission's."""
    import resource  # a fork's own: where there is none, nor is this module

    signal.setitimer(signal.ITIMER_REAL, 2 * seconds + 60)  # its signal, unhandled, is the end
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (used + CHECKER_BYTES, hard))


def _end_with(stream: int) -> None:
    """End this process, whatever it does, once the supervisor has hung up; the zygote ends its workers."""
    hang_up = select.poll()
    hang_up.register(stream, 0)
    hang_up.poll()
    os._exit(0)


def _reaped(children: set[int]) -> set[int]:
    gone = set()
    for pid in children:
        if os.waitpid(pid, os.WNOHANG)[0]:
            gone.add(pid)
    return gone


class Run:
    """The pytest plugin of one run, and what all its submissions share."""

    def __init__(self, request: RunRequest, supervisor: Supervisor, launch: Launcher) -> None:
        self._request = request
        self._supervisor = supervisor
        self._launch = launch
        self._settings = request.settings
        self._exercise: Exercise = Course(Path(request.course)).exercise(request.exercise)
        knowledge = Path(request.folder) / "knowledge"
        knowledge.mkdir(mode=0o700, exist_ok=True)  # a checker that starts anew goes on with what is known
        self._knowledge = Knowledge(self._exercise, request.settings.seed, knowledge)
        self._faults: list[str] = []
        self._datasets: dict[str, Any] = {}

    @property
    def folders(self) -> list[Path]:
        """Folders of checks to collect: the visible ones, and for grading the hidden ones."""
        hidden = self._exercise.hidden_checks if self._request.hidden else None
        return [folder for folder in (self._exercise.visible_checks, hidden) if folder and folder.is_dir()]

    # --- pytest's hooks ---------------------------------------------------------------------------

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._faults.append(f"{report.nodeid}: {report.longreprtext.strip().splitlines()[-1]}")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running the items once: say what was collected, and run them for each submission."""
        with told_in_one_sentence(self._supervisor):
            if self._faults:
                raise GraderFault(f"a check cannot be loaded: {'; '.join(self._faults)}")
            items = self._arrange(session.items)
            self._prove_isolation()
            self._open_datasets(items)
            self._announce(items)
            gc.collect()
            gc.freeze()
            hugepages.collapse()
            self._supervisor.serve(lambda job, emit: self._grade(items, job, emit), self._longest(items))
        return True

    # --- before the first submission --------------------------------------------------------------

    def _arrange(self, items: list[pytest.Item]) -> list[tuple[Check, pytest.Item]]:
        hidden = self._exercise.hidden_checks
        found = {}
        for item in items:
            record = checks.of(
                getattr(item, "obj", None), item.path, hidden is not None and hidden in item.path.parents
            )
            found[record.id] = record, item
        if len(found) < len(items):
            raise GraderFault("two checks of the exercise share a name; rename one")
        ordered = checks.in_order([record for record, _ in found.values()])
        if not ordered:
            raise GraderFault(f"exercise '{self._exercise.id}' has no checks in {self.folders}")
        return [found[record.id] for record in ordered]

    def _prove_isolation(self) -> None:
        """Before anything is graded, a worker like those to come tries to get out and must not."""
        if not self._request.hidden or self._settings.mode == "none":
            return
        with scratch.folder(self._request.folder) as folder:
            settings = self._worker_settings(folder)
            canaries.self_test(lambda bait: try_canaries(self._launch, replace(settings, bait=bait)))

    def _open_datasets(self, items: list[tuple[Check, pytest.Item]]) -> None:
        from dlgrade.contest import open_data

        for record, _ in items:
            name = record.data
            if name and record.runs_at(self._settings.tier) and name not in self._datasets:
                folder = Path(self._request.folder)
                self._datasets[name] = open_data(name, folder, seed=self._settings.seed)

    def _announce(self, items: list[tuple[Check, pytest.Item]]) -> None:
        versions = {"python": platform.python_version(), "dlgrade": dlgrade.__version__}
        for name in {"torch": None} | dict.fromkeys(self._exercise.preload):
            with suppress(PackageNotFoundError):  # a module may be called other than its distribution
                versions[name] = version(name)
        data = {opened.title: opened.checksum for opened in self._datasets.values()}
        titles = {name: opened.title for name, opened in self._datasets.items()}
        ready = {"event": "ready", "versions": versions, "data": data, "titles": titles}
        self._supervisor.tell(ready)
        for record, _ in items:
            self._supervisor.tell({"event": "collected", "check": asdict(record)})
        self._supervisor.tell({"event": "open"})

    # --- each submission --------------------------------------------------------------------------

    def _grade(self, items: list[tuple[Check, pytest.Item]], values: dict[str, Any], emit: Emit) -> None:
        """One submission against every check, an event for each result."""
        job = Job(**values)
        with scratch.folder(self._request.folder) as folder:
            workers = self._workers(job, folder)
            grading = Grading(
                settings=self._settings,
                exercise=self._exercise,
                knowledge=self._knowledge,
                workers=workers,
                missing=job.missing,
                problem=job.problem,
                progress=lambda check, done: emit({"event": "progress", "check": check, "done": done}),
                datasets=self._datasets,
            )
            try:
                for record, item in items:
                    emit({"event": "start", "check": record.id})
                    result = grading.take_over(job.known.get(record.id)) or judge_item(grading, record, item)
                    emit({"event": "check", "result": asdict(result)})
                output, applied = workers.output, workers.applied
            finally:
                peak = workers.close()
        emit({"event": "done", "output": output, "applied": applied, "peak_memory": peak})

    def _longest(self, items: list[tuple[Check, pytest.Item]]) -> float:
        """Seconds: what the deadlines of all requests of a submission can add up to."""
        trainings = sum(record.data is not None for record, _ in items)
        limit = self._exercise.limits.training_seconds
        return self._budget_seconds + trainings * RUNS * MOST_WALL * limit

    @property
    def _budget_seconds(self) -> float:
        limits = self._exercise.limits
        return limits.quick_seconds if self._settings.tier == "quick" else limits.submission_seconds

    def _worker_settings(self, folder: Path) -> WorkerSettings:
        return WorkerSettings(
            name=self._exercise.id,
            threads=self._settings.threads,
            policy={**self._request.policy, "scratch": str(folder)},
            output_bytes=self._exercise.limits.output_bytes,
        )

    def _workers(self, job: Job, folder: Path) -> Workers:
        return Workers(
            self._launch,
            job,
            self._worker_settings(folder),
            seed=self._settings.seed,
            request_seconds=self._exercise.limits.request_seconds,
            budget=Budget(self._budget_seconds),
        )


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
