"""Every Linux system call the sandbox makes, through ctypes, and nothing else: mechanism without policy.

Each function is one step that either happened or raised `Refused` with the name of the call; what
is allowed, in which order and why is `sandbox.py`. Numbers are for x86-64 and aarch64.

Covered:
    Landlock, ABI 1-7: files, TCP, abstract sockets and signals, with every right of the running ABI
    seccomp filters: allowed calls, calls allowed for some arguments, foreign architectures killed
    unshare and id maps; detached mounts (open_tree, fsopen, mount_setattr, move_mount), pivot_root
    capabilities, no_new_privs, dumpable, death with the parent

Not covered:
    cgroups, which need a delegated tree: memory is limited as address space, so not under CUDA
    the total of scratch files without a mount namespace: there a single file's size is limited
    `stat` of a path whose name is known, without a mount namespace: Landlock does not mediate it
    supplementary groups of an ordinary user, which only root may give up
    timing and cache side channels between workers on the same cores
    bugs of the kernel itself: only a virtual machine stands below those
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import select
import signal
import stat
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

if sys.platform != "win32":  # where a student may import this, and calls none of it
    import fcntl

# Name = number on x86-64 / number on aarch64, where "-" means that the architecture has no such call.
# Blocks: files, memory, threads and time, signals and waiting, the open socket, questions, calls that
# are allowed for some arguments, calls of this file, calls that the self-test tries and must not get.
_TABLE: Final = """
read=0/63 write=1/64 readv=19/65 writev=20/66 pread64=17/67 pwrite64=18/68 preadv=295/69 pwritev=296/70
preadv2=327/286 pwritev2=328/287 open=2/- openat=257/56 openat2=437/437 creat=85/- close=3/57
close_range=436/436 lseek=8/62 dup=32/23 dup2=33/- dup3=292/24 stat=4/- fstat=5/80 lstat=6/-
newfstatat=262/79 statx=332/291 statfs=137/43 fstatfs=138/44 access=21/- faccessat=269/48
faccessat2=439/439 readlink=89/- readlinkat=267/78 getdents=78/- getdents64=217/61 getcwd=79/17
chdir=80/49 fchdir=81/50 mkdir=83/- mkdirat=258/34 rmdir=84/- rename=82/- renameat=264/38
renameat2=316/276 unlink=87/- unlinkat=263/35 truncate=76/45 ftruncate=77/46 fallocate=285/47
fadvise64=221/223 readahead=187/213 fsync=74/82 fdatasync=75/83 sync_file_range=277/84 sendfile=40/71
copy_file_range=326/285 splice=275/76 umask=95/166 cachestat=451/451

mmap=9/222 munmap=11/215 mremap=25/216 mprotect=10/226 madvise=28/233 msync=26/227 mincore=27/232
brk=12/214 mlock=149/228 mlock2=325/284 munlock=150/229 mlockall=151/230 munlockall=152/231 mbind=237/235
get_mempolicy=239/236 set_mempolicy=238/237 membarrier=324/283 mseal=462/462 map_shadow_stack=453/453
pkey_alloc=330/289 pkey_free=331/290 pkey_mprotect=329/288

exit=60/93 exit_group=231/94 futex=202/98 futex_waitv=449/449 futex_wake=454/454 futex_wait=455/455
futex_requeue=456/456 set_robust_list=273/99 set_tid_address=218/96 rseq=334/293 sched_yield=24/124
sched_getaffinity=204/123 sched_getparam=143/121 sched_getscheduler=145/120 sched_getattr=315/275
sched_get_priority_max=146/125 sched_get_priority_min=147/126 sched_rr_get_interval=148/127
getpriority=140/141 ioprio_get=252/31 getcpu=309/168 arch_prctl=158/- get_thread_area=211/-
set_thread_area=205/- nanosleep=35/101 clock_nanosleep=230/115 clock_gettime=228/113 clock_getres=229/114
gettimeofday=96/169 time=201/- times=100/153 alarm=37/- getitimer=36/102 setitimer=38/103
timer_create=222/107 timer_settime=223/110 timer_gettime=224/108 timer_getoverrun=225/109
timer_delete=226/111 timerfd_create=283/85 timerfd_settime=286/86 timerfd_gettime=287/87
restart_syscall=219/128

rt_sigaction=13/134 rt_sigprocmask=14/135 rt_sigreturn=15/139 rt_sigpending=127/136 rt_sigsuspend=130/133
rt_sigtimedwait=128/137 sigaltstack=131/132 signalfd=282/- signalfd4=289/74 pause=34/- wait4=61/260
waitid=247/95 poll=7/- ppoll=271/73 select=23/- pselect6=270/72 epoll_create=213/- epoll_create1=291/20
epoll_ctl=233/21 epoll_wait=232/- epoll_pwait=281/22 epoll_pwait2=441/441 eventfd=284/- eventfd2=290/19
pipe=22/- pipe2=293/59

sendto=44/206 recvfrom=45/207 recvmsg=47/212 shutdown=48/210 getsockopt=55/209 getsockname=51/204
getpeername=52/205

getpid=39/172 getppid=110/173 gettid=186/178 getpgid=121/155 getpgrp=111/- getsid=124/156 getuid=102/174
geteuid=107/175 getgid=104/176 getegid=108/177 getresuid=118/148 getresgid=120/150 getgroups=115/158
capget=125/90 getrlimit=97/163 setrlimit=160/164 getrusage=98/165 sysinfo=99/179 uname=63/160
getrandom=318/278

clone=56/220 clone3=435/435 kill=62/129 tgkill=234/131 rt_sigqueueinfo=129/138
rt_tgsigqueueinfo=297/240 prlimit64=302/261 sched_setaffinity=203/122 prctl=157/167 fcntl=72/25
ioctl=16/29

unshare=272/97 umount2=166/39 pivot_root=155/41 open_tree=428/428 move_mount=429/429
fsopen=430/430 fsconfig=431/431 fsmount=432/432 mount_setattr=442/442
sethostname=170/161 fchownat=260/54 setgroups=116/159 setresgid=119/149 setresuid=117/147
capset=126/91 seccomp=317/277
landlock_create_ruleset=444/444 landlock_add_rule=445/445 landlock_restrict_self=446/446

ptrace=101/117 process_vm_readv=310/270 pidfd_getfd=438/438 setns=308/268 keyctl=250/219 add_key=248/217
bpf=321/280 perf_event_open=298/241 userfaultfd=323/282 io_uring_setup=425/425 shmget=29/194
msgget=68/186 semget=64/190 mq_open=240/180 execve=59/221 inotify_init1=294/26 fanotify_init=300/262
open_by_handle_at=304/265 kcmp=312/272 setpriority=141/140 setuid=105/146 chroot=161/51 syslog=103/116
linkat=265/37 setxattr=188/5 setsid=112/157 sendmsg=46/211 mount=165/40
"""
HIGHEST_KNOWN: Final = 469  # file_setattr, Linux 6.17: later calls have never been looked at

_MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # table column, AUDIT_ARCH_*
_COLUMN, _AUDIT_ARCH = _MACHINES.get(platform.machine(), (0, 0))


def _parse(table: str) -> dict[str, int]:
    calls = (entry.split("=") for entry in table.split())
    columns = ((name, numbers.split("/")[_COLUMN]) for name, numbers in calls)
    return {name: int(number) for name, number in columns if number != "-"}


NUMBERS: Final = _parse(_TABLE)  # of this machine

_AT_FDCWD: Final = -100  # a path is relative to the working directory
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 1, 4, 8, 38


class Refused(OSError):
    """The kernel did not do what was asked; `call` names the system call."""

    def __init__(self, number: int, call: str) -> None:
        super().__init__(number, f"{call}: {os.strerror(number)}")
        self.call = call

    def __str__(self) -> str:
        return str(self.strerror)


@cache
def _libc() -> ctypes.CDLL:
    if platform.system() != "Linux" or platform.machine() not in _MACHINES:
        raise Refused(errno.ENOSYS, f"sandboxing on {platform.system()} {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def syscall(call: str, *arguments: Any) -> int:
    """Make one system call by name; ints become longs, bytes and ctypes objects pointers.

    Raises:
        Refused: the call returned an error, or this architecture does not have it.
    """
    libc = _libc()
    if call not in NUMBERS:
        raise Refused(errno.ENOSYS, call)
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = libc.syscall(ctypes.c_long(NUMBERS[call]), *converted)
    if result < 0:
        raise Refused(ctypes.get_errno(), call)
    return result


# ---- process attributes


def prctl(option: int, value: int) -> None:
    """One process attribute; the unused arguments must be zero, or newer options are refused."""
    syscall("prctl", option, value, 0, 0, 0)


def die_with(parent: int | None) -> None:
    """Have the kernel kill this process when its parent thread ends.

    A change of user or namespace clears this, so it comes after those.

    Args:
        parent: pidfd of the parent, to catch its death before this call, closed here; None where
            nobody has one.
    """
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None:
        if select.select([parent], [], [], 0)[0]:
            os._exit(1)
        os.close(parent)


def close_from(first: int) -> None:
    """Close every descriptor from `first` on, at once: a limit of a million open files costs nothing."""
    syscall("close_range", first, 0xFFFFFFFF, 0)


def keep_only(*descriptors: int | None) -> None:
    """Make these descriptors 0, 1, 2 and so on, without those that are None, and close all others."""
    wanted = [descriptor for descriptor in descriptors if descriptor is not None]
    count = len(wanted)
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, count) for descriptor in wanted]
    for target, source in enumerate(high):
        os.dup2(source, target)
    os.closerange(count, max(int(entry.name) for entry in os.scandir("/proc/self/fd")) + 1)


def set_dumpable(dumpable: bool) -> None:
    """False closes this process's memory, descriptors and environment in /proc to its own user."""
    prctl(_PR_SET_DUMPABLE, int(dumpable))


def no_new_privileges() -> None:
    """No later exec can gain anything; Landlock and seccomp ask for it."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


# ---- users, capabilities, namespaces

CLONE_THREAD: Final = 0x00010000
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

CAP_DAC_READ_SEARCH: Final = 2
CAP_KILL: Final = 5
_CAPABILITY_VERSION_3: Final = 0x20080522


def become(uid: int, gid: int, keep_capabilities: bool) -> None:
    """Give up the present user and all groups; `keep_capabilities` leaves them permitted, not effective."""
    if keep_capabilities:
        prctl(_PR_SET_KEEPCAPS, 1)
    syscall("setgroups", 0, None)  # the raw calls, since this process has one thread
    syscall("setresgid", gid, gid, gid)
    syscall("setresuid", uid, uid, uid)


def give_away(path: str, uid: int) -> None:
    """Make `uid`, as user and as group, the owner of a file or folder."""
    syscall("fchownat", _AT_FDCWD, os.fsencode(path), uid, uid, 0)


def need_capability(number: int, call: str) -> None:
    """Require a capability that a later `call` is made with.

    Raises:
        Refused: it is not in effect.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    held = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    if not held >> number & 1:
        raise Refused(errno.EPERM, call)


def set_capabilities(kept: Iterable[int]) -> None:
    """Drop every capability but `kept` (numbers below 32), permitted and effective; none is inheritable."""
    mask = sum(1 << number for number in kept)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    syscall("capset", header, struct.pack("=6I", mask, mask, 0, 0, 0, 0))


def unshare(flags: int) -> None:
    """New namespaces for this process; the pid namespace begins with its next child."""
    syscall("unshare", flags)


def fork_into_pid_namespace() -> int:
    """Like `os.fork`, but the child is process 1 of a new pid namespace; the next is born outside again.

    Raises:
        OSError: this process may not go there and back, or no process can be had now; nothing has changed.
    """
    here = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscall("setns", here, CLONE_NEWPID)  # the way back, tried where it leads nowhere
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # handlers may raise
        try:
            return _forked_away_from(here)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    finally:
        os.close(here)


def _forked_away_from(here: int) -> int:
    child = None
    try:
        unshare(CLONE_NEWPID)
        child = os.fork()
    finally:
        if child != 0:
            _return_to(here)
    return child


def _return_to(pid_namespace: int) -> None:
    """Have this process's next children born there, or end: elsewhere they would be a worker's prey."""
    try:
        syscall("setns", pid_namespace, CLONE_NEWPID)
    except BaseException:
        os._exit(1)


def set_host_name(name: bytes) -> None:
    """The name of this machine, in the worker's own uts namespace."""
    syscall("sethostname", name, len(name))


def map_ids(outside_uid: int, outside_gid: int, inside: int) -> None:
    """In a new user namespace: this user and group are called `inside` there, and nobody else exists."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inside} {outside_uid} 1"),
        ("gid_map", f"{inside} {outside_gid} 1"),
    ):
        try:
            Path("/proc/self", name).write_text(text)
        except OSError as error:
            raise Refused(error.errno or errno.EPERM, f"write to /proc/self/{name}") from None


# ---- mounts

READ_ONLY, NO_SUID, NO_DEV, NO_EXEC = 1, 2, 4, 8  # MOUNT_ATTR_*

_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000
_MS_PRIVATE: Final = 1 << 18
_MNT_DETACH: Final = 2


def make_mounts_private() -> None:
    """Stop mounts of this namespace from travelling to the one it was copied from."""
    attributes = struct.pack("=4Q", 0, 0, _MS_PRIVATE, 0)
    syscall("mount_setattr", _AT_FDCWD, b"/", _AT_RECURSIVE, attributes, len(attributes))


def set_mount_attributes(path: bytes, attributes: int) -> None:
    """Set attributes on the one mount at `path`."""
    packed = struct.pack("=4Q", attributes, 0, 0, 0)
    syscall("mount_setattr", _AT_FDCWD, path, 0, packed, len(packed))


def copy_tree(path: str, attributes: int) -> int:
    """A detached copy of the mounts at and below `path`, with `attributes` set on each; a descriptor."""
    clone, recursive = 1, _AT_RECURSIVE if Path(path).is_dir() else 0
    tree = syscall("open_tree", _AT_FDCWD, os.fsencode(path), clone | os.O_CLOEXEC | recursive)
    packed = struct.pack("=4Q", attributes, 0, 0, 0)
    syscall("mount_setattr", tree, b"", _AT_EMPTY_PATH | recursive, packed, len(packed))
    return tree


def new_filesystem(kind: bytes, attributes: int, options: Mapping[str, str]) -> int:
    """A new detached file system, such as tmpfs or proc; a descriptor."""
    set_string, create, close_on_exec = 1, 6, 1
    context = syscall("fsopen", kind, close_on_exec)
    try:
        for key, value in options.items():
            syscall("fsconfig", context, set_string, key.encode(), value.encode(), 0)
        syscall("fsconfig", context, create, None, None, 0)
        return syscall("fsmount", context, close_on_exec, attributes)
    finally:
        os.close(context)


def attach(tree: int, path: str) -> None:
    """Mount the detached `tree` at `path`, relative to the working directory, and close it."""
    from_is_empty_path = 4
    syscall("move_mount", tree, b"", _AT_FDCWD, os.fsencode(path), from_is_empty_path)
    os.close(tree)


def pivot_here() -> None:
    """The working directory, a mount, becomes the root; everything outside it is gone."""
    syscall("pivot_root", b".", b".")  # the old root now lies on top of the new one, at "."
    syscall("umount2", b".", _MNT_DETACH)
    os.chdir("/")


# ---- Landlock

KNOWN_ABI: Final = 7

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_DIR, MAKE_REGULAR = 1 << 7, 1 << 8
REFER, TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_ONLY_ON_DIRECTORIES: Final = sum(1 << bit for bit in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13))


def landlock_abi() -> int:
    """Version of the running kernel's Landlock.

    Raises:
        Refused: this kernel has none, or it was not switched on at boot.
    """
    return syscall("landlock_create_ruleset", None, 0, 1)


def landlock_restrict(grants: Sequence[tuple[str, int]], minimum_abi: int) -> int:
    """Deny this thread all files, TCP, abstract sockets and signals to others but `grants`.

    Threads that exist already are not covered.

    Args:
        grants: paths, each with the rights on it and on everything below it.
        minimum_abi: below it the restriction would have holes, and nothing is restricted.

    Returns:
        The ABI whose rights are all handled.

    Raises:
        Refused: the ABI is below the minimum, or a path does not exist.
    """
    abi = min(landlock_abi(), KNOWN_ABI)
    if abi < minimum_abi:
        raise Refused(errno.EOPNOTSUPP, f"landlock_create_ruleset (ABI {minimum_abi}, the kernel has {abi})")
    files = _file_rights(abi)
    tcp, scopes = (3 if abi >= 4 else 0), (3 if abi >= 6 else 0)
    handled = struct.pack("=3Q", files, tcp, scopes)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    ruleset = syscall("landlock_create_ruleset", handled, len(handled), 0)
    try:
        for path, rights in grants:
            _landlock_grant(ruleset, path, rights & files)
        syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)
    return abi


def _file_rights(abi: int) -> int:
    bits = 13 + (abi >= 2) + (abi >= 3) + (abi >= 5)
    return (1 << bits) - 1


def _landlock_grant(ruleset: int, path: str, rights: int) -> None:
    path_beneath = 1
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(error.errno or errno.ENOENT, f"open of {path!r} for landlock_add_rule") from None
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= ~_ONLY_ON_DIRECTORIES
        syscall("landlock_add_rule", ruleset, path_beneath, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)


# ---- seccomp: a program in classic BPF over (number, architecture, arguments)

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_IF_EQUAL, _IF_GREATER, _IF_AT_LEAST, _IF_ANY_BIT = 0x15, 0x25, 0x35, 0x45
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # offsets in struct seccomp_data
_X32_BIT: Final = 0x40000000  # x86-64's 32-bit pointer ABI: same architecture, other numbers


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


_ALLOW: Final = _instruction(_RETURN, 0x7FFF0000)
_KILL: Final = _instruction(_RETURN, 0x80000000)


def deny(number: int) -> bytes:
    """The call fails with this errno."""
    return _instruction(_RETURN, 0x00050000 | number)


def only(argument: int, values: Iterable[int]) -> bytes:
    """Allow where the low 32 bits of the argument are one of `values`: all the kernel itself reads."""
    tests = b"".join(_instruction(_IF_EQUAL, value, 0, 1) + _ALLOW for value in values)
    return _load_argument(argument) + tests + deny(errno.EPERM)


def barring(argument: int, values: Iterable[int]) -> bytes:
    """Allow unless the low 32 bits of the argument are one of `values`."""
    refuse = deny(errno.EPERM)
    tests = b"".join(_instruction(_IF_EQUAL, value, 0, 1) + refuse for value in values)
    return _load_argument(argument) + tests + _ALLOW


def masked(argument: int, mask: int, value: int) -> bytes:
    """Allow where the argument's bits under `mask` are `value`."""
    compare = _instruction(_IF_EQUAL, value, 0, 1) + _ALLOW + deny(errno.EPERM)
    return _load_argument(argument) + _instruction(_AND, mask) + compare


def _load_argument(argument: int) -> bytes:
    return _instruction(_LOAD, _ARGUMENTS_AT + 8 * argument)  # both architectures are little-endian


def allowing(calls: str) -> bytes:
    """Program part: allow `calls`, names separated by blanks.

    As ranges of numbers: the kernel runs the program once for each call when it is loaded.
    """
    numbers = sorted(NUMBERS[call] for call in calls.split() if call in NUMBERS)
    firsts = [n for n in numbers if n - 1 not in numbers]
    lasts = [n for n in numbers if n + 1 not in numbers]
    return b"".join(
        _instruction(_IF_AT_LEAST, first, 0, 2) + _instruction(_IF_GREATER, last, 1, 0) + _ALLOW
        for first, last in zip(firsts, lasts, strict=True)
    )


def seccomp(rules: Mapping[str, bytes], allowed: bytes) -> None:
    """Filter every later call of this process; the last step, since it forbids most of the others.

    Foreign architectures are killed, calls newer than this file do not exist (ENOSYS, so that
    libraries fall back), and what neither `rules` nor `allowed` lets through fails with EPERM.

    Args:
        rules: calls with their own verdict: `deny`, `only`, `barring`, `masked`.
        allowed: `allowing(...)`.
    """
    program = _instruction(_LOAD, _ARCHITECTURE_AT)
    program += _instruction(_IF_EQUAL, _AUDIT_ARCH, 1, 0) + _KILL + _instruction(_LOAD, _NUMBER_AT)
    program += _instruction(_IF_ANY_BIT, _X32_BIT, 0, 1) + _KILL
    program += _instruction(_IF_GREATER, HIGHEST_KNOWN, 0, 1) + deny(errno.ENOSYS)
    for call, verdict in rules.items():
        if call in NUMBERS:
            program += _instruction(_IF_EQUAL, NUMBERS[call], 0, len(verdict) // 8) + verdict
    program += allowed + deny(errno.EPERM)
    set_mode_filter = 1
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    syscall("seccomp", set_mode_filter, 0, header)
