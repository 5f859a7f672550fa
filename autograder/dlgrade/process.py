"""The checker's end of one worker: has it started, exchanges frames under deadlines, ends it."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dlgrade import sandbox, scratch, wire
from dlgrade.children import START_SECONDS, Ending, Launcher, Output, WorkerSettings
from dlgrade.errors import GraderFault
from dlgrade.outcome import Outcome, OutOfMemory, TimedOut, Violation, WorkerDied
from dlgrade.tree import Buffers

Header = dict[str, Any]

TICK_SECONDS: Final = 0.25
MOST_FILES: Final = 4096  # in scratch, as a private file system has inodes
MOST_WALL: Final = 6
IDLE_SHARE: Final = 0.05
CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
CPU_TIME_KNOWN: Final = Path("/proc/self/stat").exists()

_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)  # no descriptor of its own


@dataclass
class Budget:
    """Wall-clock seconds a submission has for everything but training; training adds what it took."""

    seconds: float
    start: float = field(default_factory=time.monotonic)
    excused: float = 0.0

    @property
    def left(self) -> float:
        return self.seconds + self.excused - (time.monotonic() - self.start)

    def check(self) -> None:
        """Raise `TimedOut` once nothing is left: each answer in time does not make all of them in time."""
        if self.left <= 0:
            raise TimedOut(f"all checks together took longer than {self.seconds:.0f} s")

    @contextlib.contextmanager
    def excusing(self) -> Iterator[None]:
        """What happens inside does not count."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.excused += time.monotonic() - start


@dataclass(frozen=True)
class Usage:
    """What a worker has used so far, as the system accounts for it."""

    cpu_seconds: float = 0.0
    peak_memory: int = 0


@dataclass(frozen=True)
class Deadline:
    """How long one request may take: `seconds` of wall clock, or of CPU time where that is fairer.

    A `budget` ends requests too, however short each of them is.
    """

    seconds: float
    of_cpu: bool = False
    doing: str = "answering"
    budget: Budget | None = None


class WorkerProcess:
    """One worker. `exchange` either returns a reply or ends the worker and raises an `Outcome`.

    One that is started `ahead` is asked for and not waited for: `answers` tells whether it came.

    Attributes:
        applied: what confines it, empty until it has come.
    """

    def __init__(self, launch: Launcher, settings: WorkerSettings, *, ahead: bool = False) -> None:
        self.output = Output(settings.output_bytes)
        self.ended: Outcome | None = None
        self._ending: Ending | None = None
        self._closed = False
        self._born = False
        self._child = launch(settings, self.output)
        self._scratch = _ScratchWatch.of(settings.policy)
        self.applied: Header = {}
        if not ahead:
            self._await()

    def _await(self) -> None:
        """Wait for the first frame, sent before any student code: what confines this worker."""
        try:
            self._child.await_birth()
        except GraderFault:
            self.abandon()
            raise
        self._born = True
        try:
            hello, _ = self.exchange({"id": 0}, [], wire.ANSWER, Deadline(START_SECONDS), send=False)
        except Outcome as outcome:  # no student's code was in it
            self.close()
            raise GraderFault(f"a worker did not start: {outcome.message}") from None
        if "applied" not in hello:
            self.close()
            raise GraderFault(f"a worker could not be confined: {hello.get('fault', 'no reason given')}")
        self.applied = hello["applied"]

    def exchange(
        self,
        header: Header,
        buffers: Buffers,
        caps: wire.Caps,
        deadline: Deadline,
        *,
        send: bool = True,
    ) -> tuple[Header, Buffers]:
        """Send one request and read its reply.

        Raises:
            TimedOut, Violation, WorkerDied: and the worker is ended; later calls raise the same again.
        """
        if self.ended is not None:
            raise self.ended
        timer = _Timer(deadline, self._child.pid)
        wait = lambda writing: self._wait(writing, timer)  # noqa: E731  binds the timer of this request
        try:
            timer.check()  # a reply that is there at once is never waited for
            if send:
                wire.send(self._child.sock, header, buffers, wait)
            reply, out = wire.receive(self._child.sock, caps, wait)
            if reply.get("id") != header["id"]:
                raise Violation("a reply came that answers no request")
            return reply, list(out)
        except wire.Closed:
            self._end(None)
            self.ended = self._how_it_died()
            raise self.ended from None
        except (TimedOut, Violation) as outcome:
            self._end(outcome)
            raise

    def _wait(self, writing: bool, timer: _Timer) -> None:
        """Block until the socket is ready, draining what the student prints, or raise `TimedOut`."""
        events = selectors.EVENT_WRITE if writing else selectors.EVENT_READ
        sock = self._child.sock
        while True:
            with _Selector() as selector:
                selector.register(sock, events)
                for pipe in self._child.pipes:
                    selector.register(pipe, selectors.EVENT_READ)
                ready = {key.fileobj for key, _ in selector.select(TICK_SECONDS)}
            for pipe in [pipe for pipe in self._child.pipes if pipe in ready]:
                self._child.drain(pipe)
            timer.check()
            self._scratch.check(timer.doing)
            if sock in ready:
                return

    def _how_it_died(self) -> Outcome:
        code = (self._ending or {}).get("code")
        if code is None:
            return WorkerDied("your code closed the connection to the grader instead of returning")
        if code >= 0:
            return WorkerDied(
                f"your code ended its process with exit code {code} instead of returning; "
                "look for os._exit, or a library that calls it"
            )
        number = -code
        if number == signal.SIGKILL:
            return OutOfMemory("the system ended your code (SIGKILL), most likely for the memory it used")
        if number == signal.SIGXCPU:
            return TimedOut("your code used up its CPU time")
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return WorkerDied(f"your code crashed its process ({name}) instead of returning")

    def _end(self, outcome: Outcome | None) -> None:
        """Kill the worker, wait for word on it, and read the rest of its output."""
        self.ended = self.ended or outcome or WorkerDied("the worker was ended")
        if outcome is not None:
            self._child.kill()
        self._ending = self._ending or self._await_ending()
        self._drain()

    def _await_ending(self) -> Ending | None:
        for grace in (2.0, 10.0):
            if ending := self._child.wait(grace):
                return ending
            self._child.kill()  # closed its socket, yet lives on
        return None

    def answers(self) -> bool:
        """Whether it serves requests, asked before it has a student's code; one that does not is ended."""
        try:
            if not self.applied:
                self._await()
            self.exchange({"id": 1, "op": "ping", "seed": 0}, [], wire.ANSWER, Deadline(START_SECONDS))
        except GraderFault:  # and ended
            return False
        except Outcome:
            self.close()
            return False
        return True

    def abandon(self) -> None:
        """End it unused, without waiting for word on that."""
        if self._closed:
            return
        self._child.kill()
        self._child.close()
        self._closed = True

    def kill(self) -> None:
        """Have the system end the worker, without waiting for it."""
        if self._ending is None and not self._closed:
            self._child.kill()

    def close(self) -> None:
        """End the worker, whatever its state, and release every descriptor."""
        if self._closed:
            return
        if not self._born:
            self.abandon()
            return
        if self._ending is None:
            self._end(WorkerDied("the worker was ended"))
        self._child.close()
        self._closed = True

    def printed(self) -> str:
        """What the student's code has printed so far, up to the cap."""
        self._drain()
        return self.output.text()

    def _drain(self) -> None:
        for pipe in list(self._child.pipes):
            self._child.drain(pipe)

    def usage(self) -> Usage:
        """CPU seconds with those of its children, and peak resident bytes, while it lives."""
        pid = self._child.pid
        return Usage(cpu_seconds(pid), sandbox.peak_memory(pid) or 0)

    @property
    def peak_memory(self) -> int:
        """Peak resident bytes, known once the worker has ended; 0 before."""
        return int((self._ending or {}).get("peak_memory", 0))


def try_canaries(launch: Launcher, settings: WorkerSettings) -> Mapping[str, bool]:
    """Have a worker of its own, which never sees a student's code, try the canaries on `settings.bait`."""
    worker = WorkerProcess(launch, settings)
    try:
        reply, _ = worker.exchange({"id": 1}, [], wire.ANSWER, Deadline(START_SECONDS), send=False)
    except Outcome as outcome:
        raise GraderFault(f"the isolation self-test did not come back: {outcome.message}") from None
    finally:
        worker.close()
    breached: dict[str, bool] = reply["breached"]
    return breached


@dataclass
class _ScratchWatch:
    """Looks into a worker's scratch folder now and then, where no file system of its own limits it.

    Files that were removed while open are not seen; they are gone when the worker ends.
    """

    folder: Path | None
    most_bytes: int = 0
    last: float = 0.0

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> _ScratchWatch:
        if policy["mode"] == "full":
            return cls(None)
        return cls(Path(policy["scratch"]), policy["limits"]["scratch_bytes"], time.monotonic())

    def check(self, doing: str) -> None:
        now = time.monotonic()
        if self.folder is None or now - self.last < TICK_SECONDS:
            return
        self.last = now
        used = scratch.usage(self.folder, self.most_bytes, MOST_FILES)
        if used.size > self.most_bytes:
            raise Violation(f"wrote more than {self.most_bytes >> 20} MB of temporary files while {doing}")
        if used.entries > MOST_FILES:
            raise Violation(f"made more than {MOST_FILES} temporary files while {doing}")


class _Timer:
    """Raises `TimedOut` once a deadline has passed.

    CPU time counts with a wall-clock cap of six times it, and of once it for what hardly computes. Where
    the system does not tell it, only that cap holds.
    """

    def __init__(self, deadline: Deadline, pid: int) -> None:
        self._deadline = deadline
        self._pid = pid
        self._start = time.monotonic()
        self._cpu = cpu_seconds(pid) if deadline.of_cpu else 0.0
        self.doing = deadline.doing

    def check(self) -> None:
        limit, doing = self._deadline.seconds, self._deadline.doing
        wall = time.monotonic() - self._start
        if not self._deadline.of_cpu:
            if wall > limit:
                raise TimedOut(f"{doing} took longer than {limit:.0f} s")
            if self._deadline.budget is not None:
                self._deadline.budget.check()
        elif wall > MOST_WALL * limit:
            raise TimedOut(f"{doing} took longer than {MOST_WALL * limit:.0f} s")
        elif wall > limit / 2 and CPU_TIME_KNOWN:
            used = cpu_seconds(self._pid) - self._cpu
            if used > limit:
                raise TimedOut(f"{doing} used more than {limit:.0f} s of CPU time")
            if wall > limit and used < IDLE_SHARE * wall:
                raise TimedOut(f"{doing} took longer than {limit:.0f} s, and waited most of the time")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of its children, read from outside; 0 once it is gone."""
    total = 0.0
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total = (int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])) / CLOCK_TICKS
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError, ValueError):
        return total
    return total + sum(cpu_seconds(int(child)) for child in children)
