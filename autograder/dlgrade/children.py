"""How a worker's process is had: forked by the zygote, or where there is no fork, started anew.

A `Child` is what the checker holds of it: the protocol socket, its output, its end. What is exchanged
over the socket, and under which deadlines, is `process.py`.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

from dlgrade.errors import GraderFault

Ending = dict[str, Any]

START_SECONDS: Final = 60.0
SPAWN_SECONDS: Final = 180.0  # a process that starts anew imports torch first
KEPT_ON_WINDOWS: Final = ("SYSTEMROOT", "TEMP", "TMP")  # without these no socket can be opened there

BOOT: Final = (
    "import sys, json; options = json.loads(sys.argv[1]); sys.path[:] = options['path'];"
    "from dlgrade.spawned_worker import main; main(options)"
)


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


class Child(Protocol):
    """A worker's process, seen from the checker, from when it was asked for.

    Attributes:
        pid: of the process that runs the student's code, or of the one that watches it, once born.
        sock: the protocol, non-blocking.
        pipes: descriptors to poll for output, each to be drained when it is readable.
    """

    pid: int
    sock: socket.socket
    pipes: list[int]

    def await_birth(self) -> None:
        """Wait until there is a process.

        Raises:
            GraderFault: there will be none.
        """

    def drain(self, pipe: int) -> None:
        """Take what is in a pipe; one that is at its end is closed and leaves `pipes`."""

    def kill(self) -> None:
        """End it, if it is born and lives."""

    def wait(self, seconds: float) -> Ending | None:
        """{"code", "peak_memory"} once it has ended, a signal as a negative code; None while it lives."""

    def close(self) -> None:
        """Release every descriptor; it has ended, or ends because of this."""


Launcher = Callable[[WorkerSettings, Output], Child]


# ---- forked by the zygote


def forked_by(zygote: socket.socket) -> Launcher:
    """Workers that the zygote forks, with torch loaded."""
    return lambda settings, output: ForkedChild(zygote, settings, output)


class ForkedChild:
    """A worker that the zygote forked; on the status socket come its pidfd and, at its end, how it ended."""

    def __init__(self, zygote: socket.socket, settings: WorkerSettings, output: Output) -> None:
        self._output = output
        self._pidfd: int | None = None
        request = {name: value for name, value in asdict(settings).items() if value is not None}
        request |= {"command": "worker"}
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            self.sock, sock = socket.socketpair()
            ours.enter_context(self.sock), theirs.enter_context(sock)
            self._status, status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.enter_context(self._status), theirs.enter_context(status)
            self.pipes, ends = _pipes()
            for kept, given in zip(self.pipes, ends, strict=True):
                ours.callback(os.close, kept), theirs.callback(os.close, given)
            descriptors = [sock.fileno(), *ends, status.fileno()]
            socket.send_fds(zygote, [json.dumps(request).encode()], descriptors)
            ours.pop_all()
        self.sock.setblocking(False)

    def await_birth(self) -> None:
        if self._pidfd is not None:
            return
        self._status.settimeout(START_SECONDS)
        try:
            data, descriptors, _flags, _address = socket.recv_fds(self._status, 4096, 1)
        except TimeoutError:
            data, descriptors = b"", []
        if not data or not descriptors:
            raise GraderFault("the zygote did not start a worker; run the command again")
        self._status.setblocking(False)
        self.pid, self._pidfd = json.loads(data)["pid"], descriptors[0]

    def drain(self, pipe: int) -> None:
        with contextlib.suppress(BlockingIOError):
            piece = os.read(pipe, 1 << 16)
            if piece:
                self._output.add(piece)
            else:
                self.pipes.remove(pipe)
                os.close(pipe)

    def kill(self) -> None:
        if self._pidfd is not None:
            with contextlib.suppress(OSError):  # it has ended
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def wait(self, seconds: float) -> Ending | None:
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return None
        data = self._status.recv(4096)
        if not data:  # the zygote is gone, and with it whoever knew
            return {"code": None, "peak_memory": 0}
        told = json.loads(data)
        return {"code": os.waitstatus_to_exitcode(told["exit"]), "peak_memory": told["peak_memory"]}

    def close(self) -> None:
        for pipe in self.pipes:
            os.close(pipe)
        self.pipes.clear()
        if self._pidfd is not None:
            os.close(self._pidfd)
        self.sock.close()
        self._status.close()


def _pipes() -> tuple[list[int], list[int]]:
    """Two non-blocking pipes: the ends to read, and the ends for the worker."""
    pairs = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
    for read, _ in pairs:
        os.set_blocking(read, False)
    return [read for read, _ in pairs], [write for _, write in pairs]


# ---- started anew


def spawned(settings: WorkerSettings, output: Output) -> Child:
    """A worker that is started by exec and imports torch itself; for systems without fork."""
    return SpawnedChild(settings, output)


class SpawnedChild:
    """A worker in a process of its own making.

    It comes to a port of this machine with a secret that only its standard input told it, since no
    other way to hand over a socket works on every system; that input also tells it when the checker ends.
    """

    def __init__(self, settings: WorkerSettings, output: Output) -> None:
        self.pipes: list[int] = []
        secret = secrets.token_hex(16).encode()
        with socket.create_server(("127.0.0.1", 0)) as server:
            options = {**asdict(settings), "path": sys.path, "port": server.getsockname()[1]}
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-X", "utf8", "-c", BOOT, json.dumps(options)],
                env={name: os.environ[name] for name in KEPT_ON_WINDOWS if name in os.environ},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            self.pid = self._process.pid
            self._readers = [
                threading.Thread(target=_read_all, args=[stream, output], daemon=True)
                for stream in (self._process.stdout, self._process.stderr)
            ]
            for reader in self._readers:
                reader.start()
            try:
                self.sock = self._met(server, secret)
            except BaseException:
                self.kill()
                raise

    def _met(self, server: socket.socket, secret: bytes) -> socket.socket:
        """The connection of the one process that knows the secret."""
        assert self._process.stdin is not None  # a pipe, above
        with contextlib.suppress(OSError):  # it ended already
            self._process.stdin.write(secret + b"\n")
            self._process.stdin.flush()
        for found in _connections(server, self._process):
            found.settimeout(START_SECONDS)
            if hmac.compare_digest(_exactly(found, len(secret)), secret):
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                found.setblocking(False)
                return found
            found.close()
        raise GraderFault("a worker could not be started; run the command again")

    def await_birth(self) -> None:
        """It was met when it was made."""

    def drain(self, pipe: int) -> None:
        """Threads read the output: pipes cannot be polled everywhere."""

    def kill(self) -> None:
        self._process.kill()

    def wait(self, seconds: float) -> Ending | None:
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        for reader in self._readers:
            reader.join(seconds)  # the rest of the output
        return {"code": code, "peak_memory": 0}

    def close(self) -> None:
        self.sock.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):  # what was never read by the one that ended
                stream.close()  # type: ignore[union-attr]  # all three are pipes


def _connections(server: socket.socket, process: subprocess.Popen[bytes]) -> Iterator[socket.socket]:
    """Who comes while the process lives and there is time."""
    server.settimeout(0.25)
    for _ in range(int(SPAWN_SECONDS / 0.25)):
        try:
            yield server.accept()[0]
        except TimeoutError:
            if process.poll() is not None:
                return


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    with contextlib.suppress(OSError):
        while len(data) < size and (piece := sock.recv(size - len(data))):
            data += piece
    return data


def _read_all(stream: Any, output: Output) -> None:
    while piece := stream.read1(1 << 16):
        output.add(piece)
