"""The checker where there is fork: a fork for each submission, one of which waits ready for the next.

Its control socket carries one JSON message a datagram:

    supervisor → checker   {"run": ...} once, then {"job": 1} and with it a submission's own stream socket
    checker → supervisor   what `checker.py` tells of the run

and on a submission's stream, a line of JSON each: the job, then events `start`, `progress`, `check`, `done`.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import threading
import traceback
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, NoReturn

from dlgrade.checker import RunRequest, conduct
from dlgrade.children import forked_by
from dlgrade.desk import Desk, OpenDesk
from dlgrade.zygote import die_with_parent

MAX_MESSAGE: Final = 64 << 10
REAP_SECONDS: Final = 0.2
PREPARE_SECONDS: Final = 120.0  # a fork that is not ready by then ends, and another one is made
MOST_FORKS: Final = 2  # beside the one that waited, for one submission
TAKE, TAKEN = b"?", b"!"
CHECKER_BYTES: Final = 8 << 30  # of address space for one submission: replies at their caps, many at a time


def main(control: socket.socket, zygote: socket.socket) -> None:
    """Serve one run; the first message says what it is about."""
    request = RunRequest.from_json(json.loads(control.recv(MAX_MESSAGE))["run"])
    try:
        conduct(request, ForkingSupervisor(control), forked_by(zygote))
    finally:
        control.close()


class ForkingSupervisor:
    """A supervisor behind a socket; each submission comes with a stream of its own and gets a fork."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def tell(self, message: dict[str, Any]) -> None:
        self._control.send(json.dumps(message).encode())

    def serve(self, open_desk: OpenDesk, seconds: float) -> None:
        busy: list[Fork] = []
        ready = _forked(open_desk, seconds)
        while True:
            asked, _, _ = select.select([self._control], [], [], REAP_SECONDS if busy else None)
            busy = [fork for fork in busy if fork.lives()]
            if not asked:
                continue
            data, descriptors, _flags, _address = socket.recv_fds(self._control, MAX_MESSAGE, 1)
            if not data:
                break
            with socket.socket(fileno=descriptors[0]) as stream:  # closed before the next fork inherits it
                others = (_forked(open_desk, seconds) for _ in range(MOST_FORKS))
                taken = (fork for fork in chain([ready], others) if fork is not None and fork.take(stream))
                busy += islice(taken, 1)
            ready = _forked(open_desk, seconds)  # gets ready while that one is graded
        for fork in [*busy, *([ready] if ready else [])]:
            fork.kill()


def _forked(open_desk: OpenDesk, seconds: float) -> Fork | None:
    """A new fork; None where the system has no process, memory or place on the disk for one now."""
    try:
        desk = open_desk()
    except OSError:
        return None
    try:
        return Fork(desk, seconds)
    except OSError:
        desk.close()
        return None


class Fork:
    """A fork of the checker: it readies a desk, waits for a submission, grades it and ends."""

    def __init__(self, desk: Desk, seconds: float) -> None:
        self._desk = desk
        self._ended = False
        with ExitStack() as kept:
            self._orders, theirs = map(kept.enter_context, socket.socketpair())
            self._pid = os.fork()
            if self._pid == 0:
                self._orders.close()  # it would never see the other end close
                _work(desk, theirs, seconds)
            kept.pop_all()
            theirs.close()

    def take(self, stream: socket.socket) -> bool:
        """Give it the submission behind `stream`; False where it ended before it took it."""
        with self._orders:
            try:
                socket.send_fds(self._orders, [TAKE], [stream.fileno()])
                taken = self._orders.recv(len(TAKEN)) == TAKEN
            except (BrokenPipeError, ConnectionResetError):
                taken = False
        if not taken:
            self.kill()
        return taken

    def lives(self) -> bool:
        """Whether it runs; one that has ended is reaped, and what it left on the disk removed."""
        if not self._ended and os.waitpid(self._pid, os.WNOHANG)[0]:
            self._end()
        return not self._ended

    def kill(self) -> None:
        """End it; the zygote ends its workers."""
        self._orders.close()
        if not self._ended:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._desk.close()


def _work(desk: Desk, orders: socket.socket, seconds: float) -> NoReturn:
    """In the fork: one submission, whose job is the first line of its stream."""
    code = 1
    try:
        die_with_parent(0)
        signal.setitimer(signal.ITIMER_REAL, PREPARE_SECONDS)  # its signal, unhandled, is the end
        desk.prepare()
        signal.setitimer(signal.ITIMER_REAL, 0)
        _data, descriptors, _flags, _address = socket.recv_fds(orders, len(TAKE), 1)
        if descriptors:
            orders.send(TAKEN)
            _grade(desk, socket.socket(fileno=descriptors[0]), seconds)
        code = 0
    except BrokenPipeError:  # nobody waits for the report any more
        code = 0
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def _grade(desk: Desk, stream: socket.socket, seconds: float) -> None:
    threading.Thread(target=_end_with, args=[stream.fileno()], daemon=True).start()
    _limit_itself(seconds)
    lines = stream.makefile("rwb")

    def emit(event: dict[str, Any]) -> None:
        lines.write(json.dumps(event).encode() + b"\n")
        lines.flush()

    done = desk.grade(json.loads(lines.readline()), emit)
    desk.close()  # before the last event: then the supervisor hangs up, which ends this process
    emit(done)


def _limit_itself(seconds: float) -> None:
    """Answers that keep this process busy or full end it, and no other submission's."""
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
