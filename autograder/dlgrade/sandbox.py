"""How an untrusted worker is confined: which steps, in which order, under which limits.

Modes, strongest first:

    full   core, and user, pid, network, mount, ipc and uts namespaces: the rest of the machine is not there
    core   Landlock, seccomp and resource limits; needs no privilege, so it works inside containers
    none   resource limits only: a student's code can read and change what this user can

In `core` a name outside the allow-list cannot be opened, but `stat` tells that it exists; the total
of scratch files is the caller's to watch; and threads count together with those of the same user.
Workers never run as root: where the caller is root, each gets a user id of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, NoReturn

from dlgrade import hugepages, kernel
from dlgrade.errors import GraderFault
from dlgrade.kernel import Refused

if sys.platform != "win32":
    import resource

MODES: Final = ("full", "core", "none")
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"

# Truncation is not mediated below ABI 3 (Linux 6.2). What later versions add, TCP, devices, abstract
# sockets and signals, is taken where it exists; seccomp refuses the same things by other means.
MINIMUM_LANDLOCK_ABI: Final = 3


@dataclass(frozen=True)
class Limits:
    """What one worker may use; see `Applied` for what was really set."""

    memory_bytes: int = 4 << 30  # of address space, above what the process had on entry
    threads: int = 64  # the main one included
    scratch_bytes: int = 256 << 20  # in full of all files together, in core of each file
    scratch_files: int = 4096  # full only
    open_files: int = 256
    cpu_seconds: int | None = None


@dataclass(frozen=True)
class Policy:
    """What one worker gets.

    Attributes:
        mode: one of `MODES`.
        readable: files and folders granted besides the interpreter and its installed packages.
        scratch: the worker's own writable folder in core and none; in full it gets a private tmpfs.
        devices: device files to open for reading and writing; with any, memory is not limited, since
            a CUDA context reserves far more address space than it uses.
        visible: which GPUs are this worker's, where several share a machine: the value of `VISIBLE`.
    """

    mode: str
    limits: Limits = Limits()
    readable: tuple[str, ...] = ()
    scratch: str | None = None
    devices: tuple[str, ...] = ()
    visible: str | None = None


@dataclass(frozen=True)
class Applied:
    """What confines this process, for the report; None where there is no such limit."""

    mode: str
    landlock_abi: int | None
    uid: int
    memory_bytes: int | None
    threads: int | None
    scratch_bytes: int | None
    open_files: int | None
    cpu_seconds: int | None
    layers: tuple[str, ...]


def policy_from(plain: Mapping[str, Any]) -> Policy:
    """The policy that `dataclasses.asdict` and JSON turned into `plain`.

    Raises:
        GraderFault: a field is unknown, or the mode is.
    """
    unknown = set(plain) - {field.name for field in fields(Policy)}
    unknown |= set(plain.get("limits", {})) - {field.name for field in fields(Limits)}
    if unknown:
        raise GraderFault(f"a sandbox policy has no field {sorted(unknown)[0]!r}")
    values = dict(plain)
    values["limits"] = Limits(**values.get("limits", {}))
    for name in ("readable", "devices"):
        values[name] = tuple(values.get(name, ()))
    return Policy(**values)


# ---- what every worker may read: computed on import, so that each fork finds it done


def _installed() -> tuple[str, ...]:
    """The interpreter, standard library, installed packages and shared libraries; not sys.path as a whole.

    Its other entries may be a course with its answers. Of an editable install of this package, only
    the package itself is listed.
    """
    packages = {"site-packages", "dist-packages", "lib-dynload"}
    return (
        sys.executable,
        sysconfig.get_path("stdlib"),
        str(Path(sys.base_prefix, "lib")),
        *(entry for entry in sys.path if Path(entry).name in packages),
        str(Path(__file__).parent),
        *("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib"),
        *("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"),
        *("/sys/devices/system/cpu", "/sys/devices/system/node"),  # torch and OpenMP count cores there
    )


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Those that exist, each as written and as resolved, without what lies inside another."""
    present = {Path(p).absolute() for p in paths if p and os.access(p, os.F_OK)}
    present |= {p.resolve() for p in present}
    return tuple(sorted(str(p) for p in present if not present & set(p.parents)))


INSTALLED: Final = _outermost(_installed())
_PROC: Final = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat")  # torch complains without
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_SCRATCH_IN_FULL: Final = "/scratch"

_READ: Final = kernel.READ_FILE | kernel.READ_DIR
_STREAM: Final = kernel.READ_FILE | kernel.WRITE_FILE
_OWN: Final = (  # no symbolic links, sockets, FIFOs or devices: nobody has to follow or open one
    (_READ | kernel.WRITE_FILE | kernel.TRUNCATE | kernel.REFER)
    | (kernel.REMOVE_DIR | kernel.REMOVE_FILE | kernel.MAKE_DIR | kernel.MAKE_REGULAR)
)

# ---- system calls: everything not named here fails with EPERM

ALLOWED: Final = """
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 open openat openat2 creat
close close_range lseek dup dup2 dup3 stat fstat lstat newfstatat statx statfs fstatfs access
faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir
rename renameat renameat2 unlink unlinkat truncate ftruncate fallocate fadvise64 readahead fsync
fdatasync sync_file_range sendfile copy_file_range splice umask cachestat

mmap munmap mremap mprotect madvise msync mincore brk mlock mlock2 munlock mlockall munlockall mbind
get_mempolicy set_mempolicy membarrier mseal map_shadow_stack pkey_alloc pkey_free pkey_mprotect

exit exit_group futex futex_waitv futex_wake futex_wait futex_requeue set_robust_list set_tid_address
rseq sched_yield sched_getaffinity sched_getparam sched_getscheduler sched_getattr
sched_get_priority_max sched_get_priority_min sched_rr_get_interval getpriority ioprio_get getcpu
arch_prctl get_thread_area set_thread_area nanosleep clock_nanosleep clock_gettime clock_getres
gettimeofday time times alarm getitimer setitimer timer_create timer_settime timer_gettime
timer_getoverrun timer_delete timerfd_create timerfd_settime timerfd_gettime restart_syscall

rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack
signalfd signalfd4 pause wait4 waitid poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl
epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 pipe pipe2

sendto recvfrom recvmsg shutdown getsockopt getsockname getpeername

getpid getppid gettid getpgid getpgrp getsid getuid geteuid getgid getegid getresuid getresgid
getgroups capget getrlimit setrlimit getrusage sysinfo uname getrandom
"""
_ALLOWED: Final = kernel.allowing(ALLOWED)
_NAMESPACES: Final = (kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET) | (
    kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS | kernel.CLONE_NEWCGROUP
)
# Own name, timer slack, names of memory areas, huge pages, and questions; not the signal on the
# parent's death, not dumpable.
_PRCTL: Final = (15, 16, 29, 30, 0x53564D41, 41, 42, 3, 21, 23, 39, 51, 64)
# Locks on shared files are a channel between workers; leases, notification and owners send signals.
_FCNTL_REFUSED: Final = (6, 7, 37, 38, 8, 10, 15, 1024, 1026)
_IOCTL_REFUSED: Final = (0x5412, 0x541C, 0x540E)  # TIOCSTI, TIOCLINUX, TIOCSCTTY: typing into a terminal


def _rules(pid: int) -> dict[str, bytes]:
    """Calls allowed for some arguments: threads but no processes, signals to itself, its own limits."""
    me, here = kernel.only(0, [pid]), kernel.only(0, [0, pid])
    return {
        "clone": kernel.masked(
            0, kernel.CLONE_THREAD | _NAMESPACES | kernel.CLONE_NEWUSER, kernel.CLONE_THREAD
        ),
        "clone3": kernel.deny(errno.ENOSYS),  # its flags are behind a pointer; the C library then uses clone
        **dict.fromkeys(("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"), me),
        **dict.fromkeys(("prlimit64", "sched_setaffinity"), here),
        "prctl": kernel.only(0, _PRCTL),
        "fcntl": kernel.barring(1, _FCNTL_REFUSED),
        "ioctl": kernel.barring(1, _IOCTL_REFUSED),
    }


# ---- who the worker is

_FIRST_UID: Final = 0x70000000  # nobody's, by convention: above those for containers
_FIRST_UID_IN_CONTAINER, _UIDS_IN_CONTAINER = 61184, 4336  # free for short-lived services
_UID_IN_NAMESPACE: Final = 1000


def _own_uid() -> int | None:
    """The user id a worker of root changes to, unlike that of any other; None: it stays who it is.

    Root in a user namespace that maps one id only is an ordinary user outside of it.
    """
    if os.geteuid() != 0:
        return None
    mapped = sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())
    # Not getpid: in a namespace of its own each worker is process 1.
    outside = int(Path("/proc/self").readlink().name)
    return None if mapped == 1 else _free_uid(mapped, outside)


def may_wait(mode: str) -> bool:
    """Whether what confines a worker is still right when it is first used long after its start.

    The kernel counts threads for each user. A worker that shares its user with other processes is given
    as many as those have at its start, and some more; and without confinement others can reach it.
    """
    return mode == "full" or (mode == "core" and _own_uid() is not None)


def _free_uid(mapped: int, pid: int) -> int:
    """An id of nobody else's, among the first `mapped` ones that exist."""
    if mapped > _FIRST_UID + pid:
        return _FIRST_UID + pid
    return _FIRST_UID_IN_CONTAINER + pid % _UIDS_IN_CONTAINER


def _threads_of_user() -> int:
    """Threads of this user's other processes, which the kernel counts together with the worker's."""
    total, uid, me = 0, os.getuid(), str(os.getpid())
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):  # it ended in between
            if entry.name.isdigit() and entry.name != me and entry.stat().st_uid == uid:
                total += sum(1 for _ in Path(entry.path, "task").iterdir())
    return total


# ---- the steps


def fork(mode: str) -> tuple[int, int | None]:
    """Fork a process that will `enter`; where this user may, it is born in the pid namespace that it needs.

    Root may, in full mode. A namespace for an ordinary user's worker would need a user namespace first,
    which this process could not leave again.

    Returns:
        The child's process id, 0 in the child; and there, a pidfd of this process for `enter`, or None
        where that has to make the namespace.
    """
    if mode == "full" and (forked := _forked_inside()):
        return forked
    return os.fork(), None


def _forked_inside() -> tuple[int, int | None] | None:
    """What `fork` returns where the namespace can be had first; None where that is refused."""
    child = parent = None
    try:
        if _own_uid() is None:
            return None
        parent = os.pidfd_open(os.getpid())
        child = kernel.fork_into_pid_namespace()
    except OSError:  # what is refused here is refused to `enter` as well, and that says so
        return None
    finally:
        if child != 0 and parent is not None:
            os.close(parent)
    return child, parent if child == 0 else None


def enter(policy: Policy, parent: int | None = None) -> Applied:
    """Confine this process for good; returns only in the process that shall run a student's code.

    Call it in a fresh fork with one thread, whose descriptors are already those the worker shall
    have, and with what `fork` returned there. Without that it forks once more in full mode: the
    caller's process becomes a watcher that ends as the worker ends, by the same exit code or signal,
    and takes the worker with it when it is killed.

    Raises:
        GraderFault: the kernel refused a step; nothing untrusted may run in this process.
    """
    try:
        return _enter(policy, parent)
    except Refused as refused:
        raise GraderFault(_refusal(policy.mode, refused)) from None
    except OSError as error:
        raise GraderFault(f"isolation {policy.mode!r} could not be set up: {error}") from error


def _enter(policy: Policy, parent: int | None) -> Applied:
    """The steps; their order is the point, and each place that a step cannot move from says why."""
    _check(policy)
    baseline = _virtual_size()  # what the worker may use is counted from there
    if policy.mode == "none":
        return _enter_none(policy, baseline)
    uid = _own_uid()
    if uid is not None:
        kernel.need_capability(kernel.CAP_KILL, "kill")  # else nobody could end a worker of another user
    readable = _outermost((*INSTALLED, *policy.readable)) if policy.readable else INSTALLED
    Path("/proc/self/oom_score_adj").write_text("1000")  # when memory runs out: this, not the grader
    _leave_session()
    if policy.mode == "full":
        parent = _new_namespaces(uid, parent)
        _new_root(policy, readable, _UID_IN_NAMESPACE if uid is None else uid)
    scratch = _own_scratch(policy, uid)
    others = _threads_counted_with_ours(policy, uid)
    kept = _leave_root(uid, (*readable, *policy.devices))
    kernel.die_with(parent)  # after the last change of user, which would undo it
    _limit(policy, baseline, others)
    _settle(scratch, policy.visible)
    kernel.no_new_privileges()  # before Landlock and seccomp, which otherwise ask for a capability
    abi = kernel.landlock_restrict(_grants(policy, readable, scratch), MINIMUM_LANDLOCK_ABI)
    kernel.set_capabilities(kept)  # after Landlock: they may be needed to open what it grants
    kernel.set_dumpable(False)  # after all use of /proc/self, which then belongs to root
    kernel.seccomp(_rules(os.getpid()), _ALLOWED)
    layers = ["namespaces"] * (policy.mode == "full") + ["own user id"] * (uid is not None)
    layers += ["capability dac_read_search"] * bool(kept) + ["limits", f"landlock {abi}", "seccomp"]
    return _applied(policy, baseline, others, abi, tuple(layers))


def _enter_none(policy: Policy, baseline: int) -> Applied:
    """What every platform has of sessions, limits and folders."""
    assert policy.scratch is not None  # _check
    if sys.platform != "win32":
        _leave_session()
        _limit(policy, baseline, None)
    if sys.platform == "linux":
        kernel.die_with(None)
    _settle(policy.scratch, policy.visible)
    return _applied(policy, baseline, None, None, ("limits",))


def _check(policy: Policy) -> None:
    if policy.mode not in MODES:
        raise GraderFault(f"unknown isolation mode {policy.mode!r}; expected one of {', '.join(MODES)}")
    if policy.mode != "full" and not (policy.scratch and Path(policy.scratch).is_dir()):
        raise GraderFault(
            f"isolation {policy.mode!r} needs an existing scratch folder, got {policy.scratch!r}"
        )
    missing = [path for path in (*policy.readable, *policy.devices) if not os.access(path, os.F_OK)]
    if missing:
        raise GraderFault(f"the worker was granted {missing[0]!r}, which does not exist")
    threads = sum(1 for _ in Path("/proc/self/task").iterdir()) if policy.mode != "none" else 1
    if threads != 1:  # Landlock and user namespaces do not reach the others
        raise GraderFault(f"the sandbox was entered with {threads} threads; enter it right after the fork")


def _leave_session() -> None:
    """No terminal, and no signals meant for the caller's group."""
    with contextlib.suppress(PermissionError):  # the caller has done so
        os.setsid()


def _virtual_size() -> int:
    """Bytes of address space, less the room for what is to come; 0 where the system does not say."""
    if sys.platform != "linux":
        return 0
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize() - hugepages.reserved()


def _new_namespaces(uid: int | None, parent: int | None) -> int:
    """Move into new namespaces, as their process 1: a process not born so stays outside, and watches.

    Root needs no user namespace to make the others, and owning them it leaves the worker no power in
    any; an ordinary user's come with one.

    Returns:
        A pidfd of the parent, whoever that is now.
    """
    if parent is not None:
        kernel.unshare(_NAMESPACES & ~kernel.CLONE_NEWPID)
    else:
        parent = _watched(_NAMESPACES | (kernel.CLONE_NEWUSER if uid is None else 0))
    _leave_session()
    kernel.set_host_name(b"worker")
    return parent


def _watched(namespaces: int) -> int:
    """Fork into new namespaces and go on as the child, under a watcher, of which it returns a pidfd."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    kernel.unshare(namespaces)
    if namespaces & kernel.CLONE_NEWUSER:
        kernel.map_ids(outside_uid, outside_gid, _UID_IN_NAMESPACE)
    kernel.die_with(None)
    watcher = os.pidfd_open(os.getpid())
    worker = os.fork()
    if worker:
        _watch(worker)
    return watcher


def _watch(worker: int) -> NoReturn:
    """End as the worker ends; nothing of the worker's is open here, so that its end is seen at once."""
    code = 1
    try:
        kernel.close_from(0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = os.waitpid(worker, 0)[1]
        if os.WIFSIGNALED(status):
            _die_by(os.WTERMSIG(status))
        code = os.waitstatus_to_exitcode(status)
    finally:  # never back into the caller's code: this process is not confined
        os._exit(code)


def _die_by(number: int) -> None:
    if number != signal.SIGKILL:  # whose handler cannot be set
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _new_root(policy: Policy, readable: Sequence[str], owner: int) -> None:
    """A root of nothing but read-only copies of what is granted, a private tmpfs, /proc and /dev."""
    limits, hidden = policy.limits, kernel.NO_SUID | kernel.NO_DEV
    trees = [(path, kernel.copy_tree(path, kernel.READ_ONLY | hidden)) for path in readable]
    trees += [(path, kernel.copy_tree(path, kernel.NO_SUID)) for path in (*_DEVICES, *policy.devices)]
    options = {"size": str(limits.scratch_bytes), "nr_inodes": str(limits.scratch_files)}
    options |= {"mode": "0700", "uid": str(owner), "gid": str(owner)}
    trees += [
        (_SCRATCH_IN_FULL, kernel.new_filesystem(b"tmpfs", hidden | kernel.NO_EXEC, options)),
        ("/proc", kernel.new_filesystem(b"proc", hidden | kernel.NO_EXEC, {})),
    ]
    kernel.make_mounts_private()
    place = "/tmp"  # any folder: what it hides was copied above
    kernel.attach(kernel.new_filesystem(b"tmpfs", hidden, {"mode": "0755", "size": "1m"}), place)
    os.chdir(place)
    for path, tree in trees:
        _make_mount_point(Path(path.lstrip("/")), is_folder=stat.S_ISDIR(os.fstat(tree).st_mode))
        kernel.attach(tree, path.lstrip("/"))
    Path("dev/shm").symlink_to(_SCRATCH_IN_FULL)  # shared memory counts as scratch
    kernel.pivot_here()
    kernel.set_mount_attributes(b"/", kernel.READ_ONLY | hidden)


def _make_mount_point(point: Path, is_folder: bool) -> None:
    if is_folder:
        point.mkdir(parents=True, exist_ok=True)
    else:
        point.parent.mkdir(parents=True, exist_ok=True)
        point.touch()


def _own_scratch(policy: Policy, uid: int | None) -> str:
    """The folder the worker may write; made over to the user it will be."""
    if policy.mode == "full":
        return _SCRATCH_IN_FULL
    assert policy.scratch is not None  # _check
    if uid is not None:
        kernel.give_away(policy.scratch, uid)
    return policy.scratch


def _threads_counted_with_ours(policy: Policy, uid: int | None) -> int:
    """How many threads outside the worker count towards its limit."""
    if uid is not None:
        return 0
    return 1 if policy.mode == "full" else _threads_of_user()  # full: the watcher, in the same namespace


def _leave_root(uid: int | None, needed: Iterable[str]) -> list[int]:
    """Become the worker's own user, if the caller is root.

    Returns:
        The capabilities to keep: one to read what Landlock grants, where an installation below a
        closed folder such as /root is root's alone to read; else none.
    """
    if uid is None:
        return []
    kernel.become(uid, uid, keep_capabilities=True)
    kernel.set_dumpable(True)  # the change cleared it, and with it the use of /proc/self
    if all(os.access(path, os.R_OK) for path in needed):
        return []
    kept = [kernel.CAP_DAC_READ_SEARCH]
    kernel.set_capabilities(kept)
    return kept


def _limit(policy: Policy, baseline: int, others: int | None) -> None:
    """Set each limit for good, soft and hard; never above what this process had."""
    limits = policy.limits
    wanted: dict[int, int | None] = {
        resource.RLIMIT_CORE: 0,  # a core file would hold what the process held
        resource.RLIMIT_CPU: limits.cpu_seconds,
        # without a baseline what torch has mapped is unknown, and a limit could be below it
        resource.RLIMIT_AS: None if policy.devices or not baseline else baseline + limits.memory_bytes,
        resource.RLIMIT_NPROC: None if others is None else others + limits.threads,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_FSIZE: limits.scratch_bytes,
    }
    for kind, value in wanted.items():
        if value is not None:
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (value, value))


def _applied(
    policy: Policy, baseline: int, others: int | None, abi: int | None, layers: tuple[str, ...]
) -> Applied:
    """Read back what the kernel now enforces."""
    if sys.platform == "win32":  # has none of these limits
        return Applied(policy.mode, None, 0, None, None, None, None, None, ())

    def limit(kind: int, already: int = 0) -> int | None:
        value = resource.getrlimit(kind)[0]
        return None if value == resource.RLIM_INFINITY else value - already

    return Applied(
        mode=policy.mode,
        landlock_abi=abi,
        uid=os.getuid(),
        memory_bytes=limit(resource.RLIMIT_AS, baseline),
        threads=None if others is None else limit(resource.RLIMIT_NPROC, others),
        scratch_bytes=limit(resource.RLIMIT_FSIZE),
        open_files=limit(resource.RLIMIT_NOFILE),
        cpu_seconds=limit(resource.RLIMIT_CPU),
        layers=layers,
    )


def _settle(scratch: str, visible: str | None) -> None:
    """Make scratch the home, temporary and working folder; nothing else stays in the environment."""
    os.environ.clear()
    os.environ.update(HOME=scratch, TMPDIR=scratch, USER="worker")  # USER: the id has no entry to look up
    if visible is not None:
        os.environ[VISIBLE] = visible
    tempfile.tempdir = scratch  # it may have been asked before, in the zygote
    os.chdir(scratch)


def _grants(policy: Policy, readable: Iterable[str], scratch: str) -> list[tuple[str, int]]:
    return [
        *((path, _READ) for path in (*readable, *_PROC)),
        *((path, _STREAM) for path in _DEVICES),
        *((path, _STREAM | kernel.IOCTL_DEVICE) for path in policy.devices),
        (scratch, _OWN),
    ]


# ---- what works here


def _refusal(mode: str, refused: Refused) -> str:
    """One sentence on what was refused, one on what helps."""
    return f"isolation {mode!r} is not possible here: the kernel refused {refused}; {_remedy(refused)}"


_SWITCHES: Final = (  # each forbids user namespaces while it has this value
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("user/max_user_namespaces", "0", "10000"),
)


def _remedy(refused: Refused) -> str:
    if refused.call.startswith("landlock"):
        return "start Linux 6.2 or later with 'landlock' in its lsm= list"
    if refused.call in ("setresuid", "setresgid", "setgroups", "fchownat", "kill"):
        return "run as an ordinary user, or give root CAP_SETUID, CAP_SETGID, CAP_CHOWN and CAP_KILL"
    if refused.call == "seccomp":
        return "use a kernel with CONFIG_SECCOMP_FILTER"
    for name, bad, good in _SWITCHES:
        path = Path("/proc/sys", name)
        if os.geteuid() != 0 and path.exists() and path.read_text().strip() == bad:
            return f"run 'sudo sysctl -w {name.replace('/', '.')}={good}', or accept isolation 'core'"
    return "a container must allow namespaces (such as --security-opt seccomp=unconfined), or accept 'core'"


# ---- from outside


def worker_pid(pid: int) -> int:
    """The process that runs the student's code, of the one that was forked: its child, where that watches."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


def peak_memory(pid: int) -> int | None:
    """Largest resident bytes of a worker so far; None once it has ended."""
    try:
        lines = Path(f"/proc/{worker_pid(pid)}/status").read_text().splitlines()
    except OSError:
        return None
    peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return peaks[0] if peaks else None
