"""The checker's end of one worker: asks the zygote for it, exchanges frames under deadlines, ends it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dlgrade import scratch, wire
from dlgrade.errors import GraderFault
from dlgrade.outcome import Outcome, OutOfMemory, TimedOut, Violation, WorkerDied
from dlgrade.tree import Buffers

Header = dict[str, Any]

TICK_SECONDS: Final = 0.25
START_SECONDS: Final = 60.0
MOST_FILES: Final = 4096  # in scratch, as a private file system has inodes
MOST_WALL: Final = 6
IDLE_SHARE: Final = 0.05
CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class WorkerSettings:
    """How workers of one run are started; `policy` is a `sandbox.Policy` as plain JSON.

    With `bait` a worker takes no student's code: it tries the canaries on it, answers and ends.
    """

    name: str
    threads: int
    policy: dict[str, Any]
    output_bytes: int = 1 << 20
    bait: dict[str, str] | None = None


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
class Deadline:
    """How long one request may take: `seconds` of wall clock, or of CPU time where that is fairer.

    A `budget` ends requests too, however short each of them is.
    """

    seconds: float
    of_cpu: bool = False
    doing: str = "answering"
    budget: Budget | None = None


@dataclass
class Output:
    """What the student's code printed, up to a cap; the rest is read and dropped."""

    cap: int
    data: bytearray = field(default_factory=bytearray)
    dropped: int = 0

    def add(self, piece: bytes) -> None:
        room = max(0, self.cap - len(self.data))
        self.data += piece[:room]
        self.dropped += len(piece) - min(room, len(piece))

    def text(self) -> str:
        text = self.data.decode("utf-8", "replace")
        return text + (f"\n({self.dropped} more bytes)" if self.dropped else "")


class WorkerProcess:
    """One worker. `exchange` either returns a reply or ends the worker and raises an `Outcome`."""

    def __init__(self, zygote: socket.socket, settings: WorkerSettings) -> None:
        self._settings = settings
        self.output = Output(settings.output_bytes)
        self.ended: Outcome | None = None
        self.exit: Header | None = None
        self._sock, theirs = socket.socketpair()
        self._status, their_status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pipes, ends = _pipes()
        request = {
            "command": "worker",
            "name": settings.name,
            "threads": settings.threads,
            "policy": settings.policy,
        }
        if settings.bait is not None:
            request["bait"] = settings.bait
        socket.send_fds(
            zygote, [json.dumps(request).encode()], [theirs.fileno(), *ends, their_status.fileno()]
        )
        for end in ends:
            os.close(end)
        theirs.close()
        their_status.close()
        self.pid, self._pidfd = self._born()
        self._sock.setblocking(False)
        self._scratch = _ScratchWatch.of(settings.policy)
        self.applied = self._confined()

    def _born(self) -> tuple[int, int]:
        self._status.settimeout(START_SECONDS)
        try:
            data, descriptors, _flags, _address = socket.recv_fds(self._status, 4096, 1)
        except TimeoutError:
            data, descriptors = b"", []
        if not data or not descriptors:
            raise GraderFault("the zygote did not start a worker; run the command again")
        self._status.setblocking(False)
        return json.loads(data)["pid"], descriptors[0]

    def _confined(self) -> Header:
        """The first frame, sent before any student code: what confines this worker."""
        hello, _ = self.exchange({"id": 0}, [], wire.ANSWER, Deadline(START_SECONDS), send=False)
        if "applied" not in hello:
            raise GraderFault(f"a worker could not be confined: {hello.get('fault', 'no reason given')}")
        applied: Header = hello["applied"]
        return applied

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
        timer = _Timer(deadline, self.pid)
        wait = lambda writing: self._wait(writing, timer)  # noqa: E731  binds the timer of this request
        try:
            if send:
                wire.send(self._sock, header, buffers, wait)
            reply, out = wire.receive(self._sock, caps, wait)
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
        events = select.POLLOUT if writing else select.POLLIN
        while True:
            poll = select.poll()
            poll.register(self._sock, events)
            for pipe in self._pipes:
                poll.register(pipe, select.POLLIN)
            ready = dict(poll.poll(TICK_SECONDS * 1000))
            self._drain([fd for fd in ready if fd in self._pipes])
            timer.check()
            self._scratch.check(timer.doing)
            if self._sock.fileno() in ready:
                return

    def _drain(self, pipes: list[int]) -> None:
        for pipe in pipes:
            with contextlib.suppress(BlockingIOError):
                piece = os.read(pipe, 1 << 16)
                if piece:
                    self.output.add(piece)
                else:
                    self._pipes.remove(pipe)
                    os.close(pipe)

    def _how_it_died(self) -> Outcome:
        status = (self.exit or {}).get("exit")
        if status is None:
            return WorkerDied("your code closed the connection to the grader instead of returning")
        code = os.waitstatus_to_exitcode(status)
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
        """Kill the worker, wait for the zygote's word on it, and read the rest of its output."""
        self.ended = self.ended or outcome or WorkerDied("the worker was ended")
        with contextlib.suppress(ProcessLookupError, OSError):
            if outcome is not None:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self.exit = self.exit or self._await_exit()
        for pipe in list(self._pipes):
            self._drain([pipe])

    def _await_exit(self) -> Header | None:
        for grace in (2.0, 10.0):
            poll = select.poll()
            poll.register(self._status, select.POLLIN)
            if poll.poll(grace * 1000):
                data = self._status.recv(4096)
                result: Header | None = json.loads(data) if data else None
                return result
            with contextlib.suppress(ProcessLookupError, OSError):  # closed its socket, yet lives on
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        return None

    def close(self) -> None:
        """End the worker, whatever its state, and release every descriptor."""
        if self._pidfd < 0:
            return
        if self.exit is None:
            self._end(WorkerDied("the worker was ended"))
        for pipe in self._pipes:
            os.close(pipe)
        self._pipes.clear()
        os.close(self._pidfd)
        self._pidfd = -1
        self._sock.close()
        self._status.close()

    @property
    def peak_memory(self) -> int:
        """Peak resident bytes, known once the worker has ended; 0 before."""
        return int((self.exit or {}).get("peak_memory", 0))


def try_canaries(zygote: socket.socket, settings: WorkerSettings) -> Mapping[str, bool]:
    """Have a worker of its own, which never sees a student's code, try the canaries on `settings.bait`."""
    worker = WorkerProcess(zygote, settings)
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

    CPU time counts with a wall-clock cap of six times it, and of once it for what hardly computes.
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
        elif wall > limit / 2:
            used = cpu_seconds(self._pid) - self._cpu
            if used > limit:
                raise TimedOut(f"{doing} used more than {limit:.0f} s of CPU time")
            if wall > limit and used < IDLE_SHARE * wall:
                raise TimedOut(f"{doing} took longer than {limit:.0f} s, and waited most of the time")
            if wall > MOST_WALL * limit:
                raise TimedOut(f"{doing} took longer than {MOST_WALL * limit:.0f} s")


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


def _pipes() -> tuple[list[int], list[int]]:
    """Two non-blocking pipes: the ends to read, and the ends for the worker."""
    pairs = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
    for read, _ in pairs:
        os.set_blocking(read, False)
    return [read for read, _ in pairs], [write for _, write in pairs]
