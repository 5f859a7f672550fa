"""The preloaded process: imports torch once, then forks workers and checkers on request.

Started by exec with an empty environment before any secret exists, so nothing secret can be found
in what a worker inherits. It keeps one thread and never touches CUDA: neither survives a fork.

Requests are datagrams with descriptors, on a socket that only trusted processes hold:

    {"command": "worker", "name", "threads", "policy"}  + [protocol socket, stdout, stderr, status]
    {"command": "worker", "policy", "bait"}             + the same: tries the canaries and ends
    {"command": "checker"}                              + [control socket, this socket's other end]

On a worker's status socket go {"pid"} with a pidfd, and after its end {"exit", "peak_memory", "cpu"}.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

MAX_REQUEST: Final = 64 << 10

THREADING: Final = {
    # How often a thread of torch looks whether there is work before it sleeps. By default it does so for
    # milliseconds, which it takes from the very thread that it waits for when something else runs on a core:
    # beside one other busy process a training step of an LSTM on two threads took 1,490 ms, and 15 ms with
    # threads that sleep at once. A correct answer timed out so.
    "GOMP_SPINCOUNT": "1000",
    # NumPy would start a thread for each core here, and again in each worker that multiplies matrices.
    "OPENBLAS_NUM_THREADS": "1",
}
PR_SET_PDEATHSIG: Final = 1

# Run by `python -I -c`: isolated mode ignores PYTHONPATH, so the import path comes as an argument.
BOOT: Final = (
    "import sys, json; options = json.loads(sys.argv[1]); sys.path[:] = options['path'];"
    "from dlgrade.zygote import main; main(options)"
)


def main(options: dict[str, Any]) -> None:
    """Preload `options["preload"]`, then serve the control socket `options["control"]`."""
    die_with_parent(options["parent"])
    os.chdir("/")
    os.environ["HF_HUB_OFFLINE"] = "1"  # else what asks for a model that is not there waits for a network
    control = socket.socket(fileno=options["control"])
    preload(options["preload"])
    control.send(b'{"event": "ready"}')
    Zygote(control).run()


def die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process when its parent ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent and os.getppid() != parent:
        os._exit(0)


def preload(names: list[str]) -> None:
    """Load what every worker needs, and settle it in memory that forks share."""
    load(names)
    from dlgrade import hugepages, warmup

    warmup.run()
    gc.collect()
    gc.freeze()
    hugepages.reserve()
    hugepages.collapse()


def load(names: list[str]) -> None:
    """Import what every worker needs, and pay for the first optimizer: torch then imports its compiler."""
    from dlgrade import allocator

    allocator.keep_freed_memory()
    os.environ.update(THREADING)  # read once, when torch loads OpenMP and NumPy its BLAS
    import torch

    torch.set_num_threads(1)  # before any tensor operation: a thread pool does not survive a fork
    for name in names:
        importlib.import_module(name)
    from dlgrade import canaries, sandbox, worker  # noqa: F401  what every fork would import again

    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1).step()


class Zygote:
    """Forks on request and reports how each worker ended."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._status: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._checkers: set[int] = set()

    def run(self) -> None:
        """Serve until every holder of the control socket's other end is gone."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(wake_read, selectors.EVENT_READ)
        while True:
            ready = {key.fd: key.data for key, _ in self._selector.select()}
            for pid in filter(None, ready.values()):
                self._abandon(pid)
            if wake_read in ready:
                os.read(wake_read, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._serve():
                break
        self._end()

    def _abandon(self, pid: int) -> None:
        """Nobody waits for this worker any more: its checker ended, and it would run on unseen."""
        self._selector.unregister(self._status[pid])
        os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is still its own

    def _serve(self) -> bool:
        data, descriptors, _flags, _address = socket.recv_fds(self._control, MAX_REQUEST, 8)
        if not data:
            return False
        request = json.loads(data)
        start: Callable[[dict[str, Any], list[int]], None] = getattr(self, "_start_" + request["command"])
        try:
            # no process, memory or descriptor to be had now: who asked for one sees its socket close
            with contextlib.suppress(OSError):
                start(request, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _start_worker(self, request: dict[str, Any], descriptors: list[int]) -> None:
        from dlgrade import sandbox

        pid, parent = sandbox.fork(request["policy"]["mode"])
        if pid == 0:
            _become(lambda: run_worker(request, descriptors, parent))
        status = socket.socket(fileno=os.dup(descriptors[3]))
        self._status[pid] = status
        self._selector.register(status, selectors.EVENT_READ, pid)  # readable at the other end's close only
        pidfd = os.pidfd_open(pid)
        _tell(status, {"pid": pid}, [pidfd])
        os.close(pidfd)

    def _start_checker(self, request: dict[str, Any], descriptors: list[int]) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become(lambda: _run_checker(parent, descriptors))
        self._checkers.add(pid)

    def _reap(self) -> None:
        while True:
            try:
                pid, exit_status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._checkers.discard(pid)
            if status := self._status.pop(pid, None):
                cpu = usage.ru_utime + usage.ru_stime
                _tell(status, {"exit": exit_status, "peak_memory": usage.ru_maxrss * 1024, "cpu": cpu}, [])
                with contextlib.suppress(KeyError):  # abandoned before
                    self._selector.unregister(status)
                status.close()

    def _end(self) -> None:
        for pid in [*self._status, *self._checkers]:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)


def _tell(status: socket.socket, message: dict[str, Any], descriptors: list[int]) -> None:
    with contextlib.suppress(OSError):  # the checker that asked may be gone
        socket.send_fds(status, [json.dumps(message).encode()], descriptors)


def _become(run: Callable[[], None]) -> None:
    """In the child: undo the zygote's signal set-up, run, and never return into the zygote's loop."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        run()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def run_worker(request: dict[str, Any], descriptors: list[int], parent: int | None) -> None:
    """Confine this process, say so in a first frame, then serve the student's code.

    Args:
        request: what the module's docstring says of a worker's.
        descriptors: those that came with it.
        parent: what `sandbox.fork` returned.
    """
    from dlgrade import canaries, sandbox, wire, worker

    protocol, stdout, stderr, _status = descriptors
    sock, parent = place_descriptors(protocol, stdout, stderr, parent)
    try:
        applied = sandbox.enter(sandbox.policy_from(request["policy"]), parent)
    except Exception as error:  # whatever refused: the checker must hear why, and grade nothing
        wire.send(sock, {"id": 0, "fault": f"{type(error).__name__}: {error}"[:2000]}, [])
        raise
    wire.send(sock, {"id": 0, "applied": dataclasses.asdict(applied)}, [])
    if "bait" in request:
        wire.send(sock, {"id": 1, "breached": canaries.canaries(request["bait"])}, [])
        return
    worker.run(sock, request["name"], request["threads"])


def place_descriptors(
    sock: int, stdout: int, stderr: int, parent: int | None
) -> tuple[socket.socket, int | None]:
    """Null stdin, the two pipes, the protocol socket as 3, the parent's pidfd as 4, and nothing else."""
    from dlgrade import kernel

    null = os.open(os.devnull, os.O_RDONLY)
    kernel.keep_only(null, stdout, stderr, sock, parent)
    return socket.socket(fileno=3), None if parent is None else 4


def _run_checker(parent: int, descriptors: list[int]) -> None:
    die_with_parent(parent)
    control = socket.socket(fileno=os.dup(descriptors[0]))
    zygote = socket.socket(fileno=os.dup(descriptors[1]))
    from dlgrade import forked_checker

    forked_checker.main(control, zygote)
