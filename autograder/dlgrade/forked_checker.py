"""The checker where there is fork: a fork for each submission, one of which waits ready for the next.

Its control socket carries one JSON message a datagram:

    supervisor → checker   {"run": ...} once, then {"job": 1} with a submission's own stream socket
    checker → supervisor   what `checker.py` tells of the run

and on a submission's stream, a line of JSON each: the job, then events `check`, `progress` and `done`.
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
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from dlgrade.checker import RunRequest, conduct
from dlgrade.children import forked_by
from dlgrade.desk import OpenDesk
from dlgrade.zygote import die_with_parent

MAX_MESSAGE: Final = 64 << 10
REAP_SECONDS: Final = 0.2
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
            with socket.socket(fileno=descriptors[0]) as stream:
                if ready is None or not ready.lives():  # the system had no process, or took it back
                    ready = _forked(open_desk, seconds)
                if ready is not None:  # else the supervisor sees the stream close, and no result
                    ready.take(stream)
                    busy.append(ready)
            ready = _forked(open_desk, seconds)  # gets ready while that one is graded
        for fork in [*busy, *([ready] if ready else [])]:
            fork.kill()


def _forked(open_desk: OpenDesk, seconds: float) -> Fork | None:
    with suppress(BlockingIOError):  # no process to be had now
        return Fork(open_desk, seconds)
    return None


class Fork:
    """A fork of the checker: it readies a desk, waits for a submission, grades it and ends."""

    def __init__(self, open_desk: OpenDesk, seconds: float) -> None:
        self._ended = False
        with ExitStack() as kept:
            self._orders, theirs = map(kept.enter_context, socket.socketpair())
            self._pid = os.fork()
            if self._pid == 0:
                self._orders.close()  # it would never see the other end close
                _work(open_desk, theirs, seconds)
            kept.pop_all()
            theirs.close()

    def take(self, stream: socket.socket) -> None:
        """Give it the submission behind `stream`."""
        with self._orders, suppress(BrokenPipeError):  # it ended: so does the stream, without a result
            socket.send_fds(self._orders, [b"."], [stream.fileno()])

    def lives(self) -> bool:
        """Whether it runs; one that has ended is reaped."""
        self._ended = self._ended or os.waitpid(self._pid, os.WNOHANG)[0] != 0
        return not self._ended

    def kill(self) -> None:
        """End it; the zygote ends its workers."""
        self._orders.close()
        if self.lives():
            os.kill(self._pid, signal.SIGKILL)


def _work(open_desk: OpenDesk, orders: socket.socket, seconds: float) -> NoReturn:
    """In the fork: one submission, whose job is the first line of its stream."""
    code = 1
    try:
        die_with_parent(0)
        with open_desk() as desk:
            desk.prepare()
            _data, descriptors, _flags, _address = socket.recv_fds(orders, 1, 1)
            if descriptors:
                stream = socket.socket(fileno=descriptors[0])
                threading.Thread(target=_end_with, args=[stream.fileno()], daemon=True).start()
                _limit_itself(seconds)
                lines = stream.makefile("rwb")

                def emit(event: dict[str, Any]) -> None:
                    lines.write(json.dumps(event).encode() + b"\n")
                    lines.flush()

                desk.grade(json.loads(lines.readline()), emit)
        code = 0
    except BrokenPipeError:  # nobody waits for the report any more
        code = 0
    except BaseException:
        traceback.print_exc()
    os._exit(code)


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
