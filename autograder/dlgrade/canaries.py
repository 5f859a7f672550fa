"""Attacks that a confined worker must not manage, tried in a real one before the first submission.

Each canary is a small function that returns when the attack worked and raises OSError when the
kernel refused it. None does harm where it works.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from dlgrade import kernel
from dlgrade.errors import GraderFault

if sys.platform != "win32":
    import fcntl

Bait = Mapping[str, str]
Canary = Callable[[Bait], object]

_OURS: Final = {"HOME", "TMPDIR", "USER"}  # what the sandbox itself puts into the environment


class _Refused(PermissionError):
    """What was looked for is not there to be had."""


def _environment(_: Bait) -> None:
    with contextlib.suppress(OSError):
        if Path("/proc/self/environ").read_bytes().strip(b"\0"):
            return
    if not set(os.environ) - _OURS:
        raise _Refused


def _open_files(_: Bait) -> None:
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            mode, target = os.fstat(int(link.name)).st_mode, str(link.readlink())
            folder = stat.S_ISDIR(mode) and not target.startswith("/proc/")  # that one is this listing
            if folder or stat.S_ISREG(mode) or target == "anon_inode:[pidfd]":
                return
    raise _Refused


def _connect(family: int, address: Any) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        client.connect(address)


def _fork(_: Bait) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _lock(_: Bait) -> None:
    with Path(os.__file__).open() as shared:
        fcntl.flock(shared, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _call(name: str, *arguments: Any) -> Canary:
    """A system call whose arguments are wrong: any answer but a refusal means that it got through."""

    def attempt(_: Bait) -> None:
        try:
            kernel.syscall(name, *arguments)
        except kernel.Refused as refused:
            if refused.errno in (errno.EPERM, errno.ENOSYS):
                raise

    return attempt


CANARIES: Final[dict[str, Canary]] = {
    "read a file outside": lambda bait: Path(bait["file"]).read_bytes(),
    "list a folder outside": lambda bait: list(Path(bait["folder"]).iterdir()),
    "write a file outside": lambda bait: Path(bait["folder"], "written").write_bytes(b""),
    "truncate a file outside": lambda bait: os.truncate(bait["file"], 1),
    "remove a file outside": lambda bait: Path(bait["expendable"]).unlink(),
    "change the mode of a file outside": lambda bait: Path(bait["file"]).chmod(0o600),
    "change the times of a file outside": lambda bait: os.utime(bait["file"]),
    "change the mode of a file inside": lambda _: Path(tempfile.mkdtemp()).chmod(0o700),
    "lock a shared file": _lock,
    "read the environment": _environment,
    "find open files": _open_files,
    "connect by TCP": lambda bait: _connect(socket.AF_INET, ("127.0.0.1", int(bait["port"]))),
    "connect to an abstract socket": lambda bait: _connect(socket.AF_UNIX, f"\0{bait['abstract']}"),
    "open a netlink socket": lambda _: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "make a socket pair": lambda _: socket.socketpair(),
    "send descriptors": _call("sendmsg", -1, None, 0),
    "fork": _fork,
    "fork by a bare clone": lambda _: kernel.syscall("clone", signal.SIGCHLD, 0, 0, 0, 0) or os._exit(0),
    "run a program": _call("execve", None, None, None),
    "signal the grader": lambda bait: os.kill(int(bait["parent"]), 0),
    "signal every process": lambda _: os.kill(-1, 0),
    "trace a process": _call("ptrace", 0x4206, 0, 0, 0),
    "read another process's memory": _call("process_vm_readv", 1, None, 0, None, 0, 0),
    "read the grader in /proc": lambda bait: Path("/proc", bait["parent"], "cmdline").read_bytes(),
    "hold the grader by a pidfd": lambda bait: os.pidfd_open(int(bait["parent"])),
    "pin the grader to a core": lambda bait: os.sched_setaffinity(int(bait["parent"]), {0}),
    "outlive the grader": lambda _: kernel.die_with(None),
    "leave the session": _call("setsid"),
    "change the user": _call("setuid", 0),
    "make namespaces": _call("unshare", 1),
    "enter namespaces": _call("setns", -1, 0),
    "mount": _call("mount", None, None, None, 0, None),
    "get shared memory of System V": _call("shmget", 0x646C, 0, 0),
    "get semaphores of System V": _call("semget", 0x646C, 0, 0),
    "get messages of System V": _call("msgget", 0x646C, 0),
    "get message queues": _call("mq_open", None, 0, 0, None),
    "make memory files": lambda _: os.close(os.memfd_create("canary")),
    "read keyrings": _call("keyctl", 0, -3, 0, 0, 0),
    "add a key": _call("add_key", None, None, None, 0, -3),
    "use io_uring": _call("io_uring_setup", 0, None),
    "use userfaultfd": _call("userfaultfd", -1),
    "use bpf": _call("bpf", 0, None, 0),
    "use perf": _call("perf_event_open", None, 0, -1, -1, 0),
    "watch files": _call("inotify_init1", -1),
    "open files by handle": _call("open_by_handle_at", -1, None, 0),
    "change a priority": _call("setpriority", 0, 0, 0),
    "change the root": _call("chroot", None),
    "take a descriptor of another process": _call("pidfd_getfd", -1, -1, 0),
    "compare processes": _call("kcmp", 0, 0, 0, 0, 0),
    "watch whole file systems": _call("fanotify_init", -1, 0),
    "set extended attributes": _call("setxattr", None, None, None, 0, 0),
    "make hard links": _call("linkat", -1, None, -1, None, 0),
    "make devices": lambda _: os.mknod("device", stat.S_IFIFO),
    "make symbolic links": lambda _: Path("link").symlink_to("/"),
    "read the kernel's log": _call("syslog", 10, None, 0),
}


def canaries(bait: Bait) -> dict[str, bool]:
    """Try every canary in this process; True where it got through. Call it inside a worker."""
    breached = {}
    for name, attack in CANARIES.items():
        try:
            attack(bait)
            breached[name] = True
        except OSError:
            breached[name] = False
    return breached


def self_test(run: Callable[[dict[str, str]], Mapping[str, bool]]) -> None:
    """Lay out bait, have a real worker try every canary on it, and refuse to go on if one got through.

    Args:
        run: hands the bait to `canaries` inside a worker and returns its answer.

    Raises:
        GraderFault: names the canaries that got through, or that were not tried.
    """
    with _bait() as bait:
        breached = run(bait)
    silent = [name for name in CANARIES if name not in breached]
    if silent:
        raise GraderFault(f"the isolation self-test did not try {silent[0]!r}; nothing can be graded")
    through = [name for name in CANARIES if breached[name]]
    if through:
        raise GraderFault(f"isolation is broken: a worker could {'; '.join(through)}; nothing can be graded")


@contextlib.contextmanager
def _bait() -> Iterator[dict[str, str]]:
    """Things of this process that a worker must not reach, world-accessible as far as they can be."""
    name = f"dlgrade-canary-{os.getpid()}"
    with (
        tempfile.TemporaryDirectory(prefix="dlgrade-canary-") as folder,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        Path(folder).chmod(0o777)
        for file in ("secret", "expendable"):
            Path(folder, file).write_text("canary")
            Path(folder, file).chmod(0o666)
        abstract.bind(f"\0{name}")
        abstract.listen()
        yield {
            "folder": folder,
            "file": f"{folder}/secret",
            "expendable": f"{folder}/expendable",
            "port": str(tcp.getsockname()[1]),
            "abstract": name,
            "parent": str(os.getpid()),
        }
