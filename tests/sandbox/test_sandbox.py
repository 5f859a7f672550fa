"""What a worker cannot do, what limits it, how it ends, and what is left of it."""

import contextlib
import errno
import faulthandler
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import pytest

from dlgrade import canaries, kernel, probing, sandbox
from dlgrade.canaries import CANARIES
from dlgrade.errors import GraderFault
from dlgrade.sandbox import Limits, Policy

REPOSITORY = Path(__file__).parents[2]
MODES = ("core", "full")
# The environment that this process was started with stays on its stack: the zygote has none, pytest has.
OF_THE_ZYGOTE = "read the environment"


@pytest.fixture(params=MODES)
def mode(request):
    if refused := probing.probe().refused[request.param]:
        pytest.skip(refused)
    return request.param


@pytest.fixture
def policy(mode, tmp_path):
    return Policy(mode, scratch=str(tmp_path))


def inside(policy, function):
    """The result of `function` in a worker."""
    return probing.in_fork(policy)(function)


def error_of(function, *arguments):
    """The errno by which a call fails, 0 where it works."""
    try:
        function(*arguments)
    except OSError as error:
        return error.errno
    return 0


def start(policy, function, fork=sandbox.fork):
    """Fork a worker that runs `function`, and return the forked process."""
    child, parent = fork(policy.mode)
    if child == 0:
        faulthandler.disable()  # pytest's would report what these workers do on purpose
        with contextlib.suppress(BaseException):
            sandbox.enter(policy, parent)
            os._exit(function() or 0)
        os._exit(99)
    return child


def plainly(_mode):
    """A fork that leaves all namespaces to `enter`, as every fork of an ordinary user does."""
    return os.fork(), None


def status_of(policy, function, fork=sandbox.fork):
    """How a worker ends: its exit code, or minus the signal's number."""
    return os.waitstatus_to_exitcode(os.waitpid(start(policy, function, fork), 0)[1])


@cache
def breaches(mode):
    """What each canary did in a worker of this mode."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch:

        def run(bait):
            found.update(inside(Policy(mode, scratch=scratch), lambda: canaries.canaries(bait)))
            return dict.fromkeys(found, False)

        canaries.self_test(run)
    return found


# ---- canaries


@pytest.mark.parametrize("name", [name for name in CANARIES if name != OF_THE_ZYGOTE])
def test_a_worker_cannot(mode, name):
    """No canary gets through, in either mode."""
    assert breaches(mode)[name] is False


def test_canaries_get_through_without_isolation():
    """The canaries are real attacks: nearly all of them work in mode none."""
    worked = [name for name, breached in breaches("none").items() if breached]
    assert len(worked) >= 30
    assert {"read a file outside", "connect by TCP", "fork", "signal the grader"} <= set(worked)


def test_the_environment_is_empty_below_a_clean_zygote(mode):
    """Of a process started with an empty environment, a worker finds no variable, nor any other breach."""
    code = (
        "import sys; from dlgrade import canaries, probing, sandbox; import tempfile\n"
        "with tempfile.TemporaryDirectory() as d:\n"
        "    run = probing.in_fork(sandbox.Policy(sys.argv[1], scratch=d))\n"
        "    canaries.self_test(lambda bait: run(lambda: canaries.canaries(bait)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, mode], env={}, capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_the_self_test_names_what_got_through():
    """One breached canary stops everything, by name; an answer that leaves one out does too."""
    with pytest.raises(GraderFault, match="a worker could fork; nothing can be graded"):
        canaries.self_test(lambda _: {name: name == "fork" for name in CANARIES})
    with pytest.raises(GraderFault, match="did not try 'fork'"):
        canaries.self_test(lambda _: {name: False for name in CANARIES if name != "fork"})


# ---- system calls


def test_every_call_that_is_not_listed_fails(policy):
    """Whatever its number: fork, reboot and hundreds of others answer EPERM; only clone3 does not exist."""
    listed = {kernel.NUMBERS[name] for name in sandbox.ALLOWED.split() if name in kernel.NUMBERS}
    listed |= {kernel.NUMBERS[name] for name in sandbox._rules(1)}
    exempt = {335, 336} if platform.machine() == "x86_64" else set()  # uprobes: no filter sees them
    rest = [number for number in range(kernel.HIGHEST_KNOWN + 1) if number not in listed | exempt]

    def attempt():
        libc = kernel._libc()
        results = [(libc.syscall(number, 0, 0, 0, 0, 0, 0), kernel.ctypes.get_errno()) for number in rest]
        return {str(n): r for n, r in zip(rest, results, strict=True) if r != (-1, errno.EPERM)}

    assert len(rest) > 150
    assert inside(policy, attempt) == {}


def test_calls_are_allowed_for_harmless_arguments_only(policy):
    """The same call works on the worker itself and is refused elsewhere."""
    me, other = "me", "other"

    def attempt():
        pid, name = os.getpid(), kernel.ctypes.create_string_buffer(b"name")
        null = os.open("/dev/null", os.O_RDONLY)
        calls = {
            me: [
                ("kill", pid, 0),
                ("tgkill", pid, threading.get_native_id(), 0),
                ("prctl", 15, kernel.ctypes.addressof(name), 0, 0, 0),
                ("fcntl", null, 3, 0),
                ("prlimit64", 0, resource.RLIMIT_CORE, None, None),
            ],
            other: [
                ("kill", 0, 0),
                ("kill", os.getppid() or 2, 0),
                ("tgkill", pid + 1, pid + 1, 0),
                ("prctl", 4, 1, 0, 0, 0),
                ("prctl", 1, 0, 0, 0, 0),
                ("fcntl", null, 6, None),
                ("fcntl", null, 8, pid),
                ("ioctl", null, 0x5412, None),
                ("prlimit64", pid + 1, resource.RLIMIT_CORE, None, None),
                ("sched_setaffinity", pid + 1, 0, None),
            ],
        }
        return {whose: [error_of(kernel.syscall, *call) for call in calls[whose]] for whose in calls}

    answers = inside(policy, attempt)
    assert set(answers[me]) == {0}
    assert set(answers[other]) == {errno.EPERM}


# ---- files


@pytest.mark.parametrize("name", ["pyproject.toml", "solutions", "reference", "assignments", "tests", ".git"])
def test_the_course_is_out_of_reach(policy, name):
    """Nothing of the repository opens, though packages may be installed inside it."""
    path = REPOSITORY / name
    if not path.exists():
        pytest.skip(f"{name} is not there")
    open_it = os.listdir if path.is_dir() else os.open
    arguments = [str(path)] if path.is_dir() else [str(path), os.O_RDONLY]
    assert inside(policy, lambda: error_of(open_it, *arguments)) in (errno.EACCES, errno.ENOENT)


def test_full_does_not_even_know_the_names(policy, mode):
    """In full a path outside does not exist; in core `stat` still answers, which is its known weakness."""
    found = inside(policy, lambda: error_of(os.stat, str(REPOSITORY / "pyproject.toml")))
    assert found == (errno.ENOENT if mode == "full" else 0)


def test_a_granted_file_is_readable_and_nothing_beside_it(policy, tmp_path_factory):
    """Training data is granted file by file: its labels' neighbour is not, and writing is not."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("train", "test"):
        (folder / name).write_text(name)
        (folder / name).chmod(0o666)
    granted = replace(policy, readable=(str(folder / "train"),))
    text, neighbour, write = inside(
        granted,
        lambda: [
            (folder / "train").read_text(),
            error_of((folder / "test").read_text),
            error_of((folder / "train").write_text, "x"),
        ],
    )
    assert text == "train"
    assert neighbour in (errno.EACCES, errno.ENOENT)
    assert write in (errno.EACCES, errno.EROFS)


def test_a_granted_file_is_found_through_a_symbolic_link(policy, tmp_path_factory):
    """A path is granted as it is written, wherever it leads."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "real").mkdir()
    (folder / "real" / "train").write_text("train")
    (folder / "link").symlink_to("real")
    granted = replace(policy, readable=(str(folder / "link" / "train"),))
    assert inside(granted, (folder / "link" / "train").read_text) == "train"


def test_granting_what_is_missing_is_the_graders_fault(policy):
    """A wrong path in a policy is named, before anything is confined."""
    with pytest.raises(GraderFault, match="'/no/such/file', which does not exist"):
        inside(replace(policy, readable=("/no/such/file",)), lambda: None)


def test_scratch_is_home_and_temporary_folder(policy):
    """tempfile, the home and the working folder all lead to the one place that can be written."""

    def places():
        with tempfile.NamedTemporaryFile() as file:
            named = str(Path(file.name).parent)
        return [named, str(Path.home()), str(Path.cwd()), sorted(os.environ)]

    named, home, cwd, variables = inside(policy, places)
    assert named == home == cwd
    assert variables == ["HOME", "TMPDIR", "USER"]


def test_a_worker_knows_which_gpus_are_its_own(policy):
    """Where several share a machine; libraries read the variable when they start."""
    granted = replace(policy, visible="7,3")
    assert inside(granted, lambda: os.environ["CUDA_VISIBLE_DEVICES"]) == "7,3"


def test_a_program_in_scratch_cannot_be_mapped_where_scratch_is_private(policy, mode):
    """In full, scratch is mounted without execution: no library can be brought along."""
    if mode == "core":
        pytest.skip("core writes to the caller's file system, with its options")
    library = Path(sys.modules["_ctypes"].__file__).read_bytes()

    def load():
        Path("library.so").write_bytes(library)
        with contextlib.suppress(OSError):
            kernel.ctypes.CDLL(str(Path("library.so").absolute()))
            return True
        return False

    assert inside(policy, load) is False


# ---- limits


def test_memory_is_limited_above_the_baseline(policy):
    """256 MiB above what the process had: 128 fit, 512 do not."""
    limited = replace(policy, limits=Limits(memory_bytes=256 << 20))

    def allocate(size):
        try:
            return len(bytearray(size))
        except MemoryError:
            return None

    assert inside(limited, lambda: [allocate(128 << 20), allocate(512 << 20)]) == [128 << 20, None]


def test_threads_are_limited(policy):
    """Exactly as many threads as the limit says, the main one included."""
    limited = replace(policy, limits=Limits(threads=8))

    def count():
        done = threading.Event()
        started = 0
        with contextlib.suppress(RuntimeError):
            for _ in range(20):
                threading.Thread(target=done.wait, daemon=True).start()
                started += 1
        done.set()
        return started + 1

    found = inside(limited, count)
    if policy.mode == "core" and os.geteuid() != 0:
        assert found < 21  # processes of this user that ended meanwhile make room
    else:
        assert found == 8


def test_open_files_are_limited(policy):
    """The limit counts every descriptor, those the worker was given included."""
    limited = replace(policy, limits=Limits(open_files=32))

    def highest():
        with contextlib.suppress(OSError):
            while True:
                last = os.open("/dev/null", os.O_RDONLY)
        return last

    assert inside(limited, highest) == 31


def test_a_file_is_limited(policy):
    """One file cannot grow beyond the scratch limit."""
    limited = replace(policy, limits=Limits(scratch_bytes=1 << 20))
    found = inside(limited, lambda: error_of(Path("big").write_bytes, bytes(2 << 20)))
    assert found in (errno.EFBIG, errno.ENOSPC)


def test_all_files_together_are_limited_where_scratch_is_private(policy, mode):
    """In full, many files and empty ones end at the limits too."""
    if mode == "core":
        pytest.skip("core limits each file; the total is the caller's to watch")
    limited = replace(policy, limits=Limits(scratch_bytes=1 << 20, scratch_files=50))

    def fill():
        sizes = [error_of(Path(f"large{i}").write_bytes, bytes(300 << 10)) for i in range(5)]
        shared = error_of(Path("/dev/shm/more").write_bytes, bytes(300 << 10))
        empty = [error_of(Path(f"empty{i}").touch) for i in range(60)]
        return [sizes, shared, empty]

    sizes, shared, empty = inside(limited, fill)
    assert sizes == [0, 0, 0, errno.ENOSPC, errno.ENOSPC]
    assert shared == errno.ENOSPC
    assert empty[0] == 0
    assert empty[-1] == errno.ENOSPC


def test_a_busy_worker_is_killed_at_its_cpu_limit(policy):
    """A loop that ignores signals ends by SIGKILL after one second of CPU, in full as well."""
    limited = replace(policy, limits=Limits(cpu_seconds=1))

    def spin():
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        while True:
            pass

    assert status_of(limited, spin) == -signal.SIGKILL


def test_limits_cannot_be_raised(policy):
    """Soft and hard limits are the same."""
    found = inside(policy, lambda: resource.getrlimit(resource.RLIMIT_NOFILE))
    assert found == [256, 256]


def test_what_was_applied_is_what_the_kernel_enforces(policy, mode):
    """The record in a report is read back from the kernel, and names every layer."""
    limits = Limits(memory_bytes=1 << 30, threads=9, scratch_bytes=1 << 20, open_files=99, cpu_seconds=7)
    read, write = os.pipe()
    child, parent = sandbox.fork(mode)
    if child == 0:
        record = asdict(sandbox.enter(replace(policy, limits=limits), parent))
        os.write(write, repr(record).encode())
        os._exit(0)
    os.waitpid(child, 0)
    record = eval(os.read(read, 1 << 16))
    os.close(read)
    os.close(write)
    assert record.items() >= {**asdict(limits), "mode": mode}.items() - {("scratch_files", 4096)}
    assert record["landlock_abi"] >= sandbox.MINIMUM_LANDLOCK_ABI
    assert {f"landlock {record['landlock_abi']}", "seccomp", "limits"} <= set(record["layers"])
    assert ("namespaces" in record["layers"]) == (mode == "full")


def test_a_worker_is_never_root(policy):
    """Neither by name nor by capability; for root two workers differ, so that they share no limit."""
    first, second = (inside(policy, lambda: [os.getuid(), os.getgid()]) for _ in range(2))
    assert 0 not in first
    assert (first != second) == (os.geteuid() == 0)


def test_a_worker_has_no_capability_but_to_read(policy, mode):
    """At most reading is kept, and only where the interpreter lies in a folder that is root's alone."""
    lines = inside(policy, lambda: Path("/proc/self/status").read_text().splitlines())
    held = {line.split()[0]: int(line.split()[1], 16) for line in lines if line.startswith("Cap")}
    allowed = 1 << kernel.CAP_DAC_READ_SEARCH if mode == "core" and os.geteuid() == 0 else 0
    assert held["CapEff:"] | held["CapPrm:"] | allowed == allowed
    assert held["CapInh:"] == held["CapAmb:"] == 0


def test_entering_with_two_threads_is_refused(policy):
    """Landlock would not cover the other thread."""

    def enter_late():
        pause = threading.Event()
        thread = threading.Thread(target=pause.wait)
        thread.start()
        try:
            sandbox.enter(policy)
        except GraderFault as fault:
            return 42 if "entered with 2 threads" in str(fault) else 1
        finally:
            pause.set()

    child = os.fork()
    if child == 0:
        os._exit(enter_late() or 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


# ---- the end


@pytest.fixture(params=[sandbox.fork, plainly], ids=["born inside", "watched"])
def fork(request):
    """Both ways into a pid namespace; an ordinary user has the second only."""
    return request.param


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_workers(policy, fork, code):
    """The forked process exits as the worker did."""
    assert status_of(policy, lambda: os._exit(code), fork) == code


def test_a_crash_is_a_crash_outside(policy, fork):
    """A segmentation fault is seen as one, also through the watcher, and leaves no core file."""
    assert status_of(policy, lambda: kernel.ctypes.string_at(0), fork) == -signal.SIGSEGV


def processes():
    """Every process of this machine but those that come and go beside the test."""
    return {entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()}


def gone(pid, seconds=5.0):
    """Whether a process has ended, waiting for it if need be."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def ready(policy, then=lambda: time.sleep(60), fork=sandbox.fork):
    """A worker that has said it runs, as (forked process, process with the student's code)."""
    read, write = os.pipe()
    child = start(policy, lambda: os.write(write, b"!") and then(), fork)
    os.close(write)
    assert os.read(read, 1) == b"!"
    os.close(read)
    return child, sandbox.worker_pid(child)


def test_killing_the_forked_process_kills_the_worker(policy, mode, fork):
    """The checker kills one process by its pidfd; nothing survives, although the worker tries."""

    def cling():
        with contextlib.suppress(OSError):
            kernel.prctl(1, 0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)

    child, worker = ready(policy, cling, fork)
    assert (child != worker) == (mode == "full" and (fork is plainly or os.geteuid() != 0))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert gone(worker)


def test_the_worker_dies_with_its_zygote(policy, fork):
    """When the process that forked the worker is killed, the worker is too."""
    read, write = os.pipe()
    zygote = os.fork()
    if zygote == 0:
        os.write(write, " ".join(map(str, ready(policy, fork=fork))).encode())
        time.sleep(60)
    pids = os.read(read, 100).decode().split()
    os.close(read)
    os.close(write)
    os.kill(zygote, signal.SIGKILL)
    os.waitpid(zygote, 0)
    assert all(gone(pid) for pid in pids)


def namespace(of="self"):
    """The pid namespace that a process is in, or with its name that its children will be in."""
    return Path("/proc", of, "ns/pid").readlink(), Path("/proc", of, "ns/pid_for_children").readlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's worker is born outside, and watched")
def test_only_the_worker_is_born_in_its_namespace():
    """The process that forked it stays where it is, and so do the children that it has next."""
    ours = namespace()
    child, parent = sandbox.fork("full")
    if child == 0:
        os._exit(20 + (os.getpid() == 1 and os.getppid() == 0 and parent is not None))
    assert parent is None
    assert namespace() == ours
    next_one = os.fork()
    if next_one == 0:
        os._exit(20 + (namespace() == ours and os.getpid() != 1))
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in (child, next_one)] == [21, 21]


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's worker is born outside, and watched")
@pytest.mark.parametrize("mode", MODES)
def test_who_could_not_come_back_does_not_leave(mode):
    """Root of a container that shares its host's pid namespace forks as others do, and is where it was."""
    mapped, unshared = os.pipe(), os.pipe()
    contained = os.fork()
    if contained == 0:
        with contextlib.suppress(BaseException):
            kernel.unshare(kernel.CLONE_NEWUSER)
            os.write(unshared[1], b"!")
            os.read(mapped[0], 1)
            ours = namespace()
            child, parent = sandbox.fork(mode)
            if child == 0:
                os._exit(os.getpid() == 1 or parent is not None)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            os._exit(20 + (code == 0 and parent is None and namespace() == ours))
        os._exit(99)
    os.close(unshared[1])
    if not os.read(unshared[0], 1):
        pytest.skip("user namespaces are switched off here")
    for kind in ("uid_map", "gid_map"):
        Path(f"/proc/{contained}/{kind}").write_text("0 0 4294967295")
    os.write(mapped[1], b"!")
    for descriptor in (*mapped, unshared[0]):
        os.close(descriptor)
    assert os.waitstatus_to_exitcode(os.waitpid(contained, 0)[1]) == 21


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's worker is born outside, and watched")
def test_a_fork_that_fails_leaves_everything_as_it_was(monkeypatch):
    """Where no process is to be had, the zygote keeps its namespace and no descriptor, however often."""
    ours, descriptors = namespace(), len([*Path("/proc/self/fd").iterdir()])

    def none_left():
        raise BlockingIOError(errno.EAGAIN, "no process is to be had")

    monkeypatch.setattr(os, "fork", none_left)  # a mock, since a limit would be the whole machine's
    for _ in range(20):
        with pytest.raises(BlockingIOError):
            sandbox.fork("full")
    assert (namespace(), len([*Path("/proc/self/fd").iterdir()])) == (ours, descriptors)


def test_what_cannot_be_prepared_is_left_to_the_worker(monkeypatch):
    """Then the fork is a plain one, and whoever enters hears what is refused; `core` works all the same."""

    def refused(_pid):
        raise PermissionError(errno.EPERM, "no descriptors of processes")

    before = probing.probe.__wrapped__()
    monkeypatch.setattr(os, "pidfd_open", refused)  # a mock: no kernel that runs the sandbox lacks it
    support = probing.probe.__wrapped__()
    assert support.allows("core") == before.allows("core")
    if before.allows("full"):
        assert "no descriptors of processes" in support.refused["full"]


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's worker is born outside, and watched")
def test_a_signal_does_not_keep_the_zygote_away():
    """A handler that raises does so before the fork or after the way back."""
    code = """
import contextlib, os, signal
from pathlib import Path
from dlgrade import sandbox

class Rang(Exception):
    pass

def ring(*_):
    raise Rang

signal.signal(signal.SIGALRM, ring)
ours, rang = Path("/proc/self/ns/pid_for_children").readlink(), 0
me = os.getpid()
for number in range(1500):
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-5 + 1e-6 * (number % 1000))
        child, _ = sandbox.fork("full")
        if child == 0:
            os._exit(0)
    except Rang:
        rang += 1
        if Path("/proc/self").readlink().name != str(me):
            os._exit(0)
    finally:
        with contextlib.suppress(Rang):
            signal.setitimer(signal.ITIMER_REAL, 0)
    with contextlib.suppress(ChildProcessError, Rang):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
assert rang > 100, rang
assert Path("/proc/self/ns/pid_for_children").readlink() == ours
print("at home")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("at home\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user may end its own workers")
def test_root_that_may_not_end_a_worker_has_none(mode):
    """Without the capability to signal another user's process, a worker that hangs would hang for ever."""
    code = "import sys; from dlgrade import probing\nprint(probing.probe().refused[sys.argv[1]])"
    command = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill", sys.executable, "-c", code, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "refused kill" in done.stdout
    assert "CAP_KILL" in done.stdout


@pytest.mark.parametrize("first", [*range(3, 12), *range(94, 106)])
def test_descriptors_find_their_places_whatever_their_numbers(first):
    """Of a zygote with many workers, those that come may have any number."""
    code = """
import os, sys
from dlgrade import kernel
first = int(sys.argv[1])
pipes = [os.memfd_create(str(number)) for number in range(5)]
for number, pipe in enumerate(pipes):
    os.write(pipe, str(number).encode())
high = [os.dup2(pipe, 200 + number) for number, pipe in enumerate(pipes)]
os.closerange(3, 200)
given = [os.dup2(pipe, first + number) for number, pipe in enumerate(high)]
kernel.keep_only(*reversed(given))
found = [os.pread(number, 9, 0).decode() for number in range(5)]
left = {int(name) for name in os.listdir("/proc/self/fd")} - {5}  # 5: the listing's own
os._exit(7 if found == ["4", "3", "2", "1", "0"] and left == set(range(5)) else 1)
"""
    assert subprocess.run([sys.executable, "-c", code, str(first)], check=False).returncode == 7


def test_nothing_is_left(policy, tmp_path):
    """After a worker: no mount, no shared memory, no process of its user, and only its files in scratch."""
    before = Path("/proc/mounts").read_text(), sorted(Path("/dev/shm").iterdir())
    uid = inside(policy, lambda: [Path("left").write_text("x"), os.getuid()])[1]
    assert (Path("/proc/mounts").read_text(), sorted(Path("/dev/shm").iterdir())) == before
    owned = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and _owner(entry) == uid]
    assert os.geteuid() != 0 or owned == []
    assert [path.name for path in tmp_path.iterdir()] == ([] if policy.mode == "full" else ["left"])


def _owner(entry):
    with contextlib.suppress(OSError):
        return entry.stat().st_uid
    return None


def test_peak_memory_is_the_workers(policy):
    """The peak of the process with the student's code, not of the one that watches it."""

    child, _ = ready(replace(policy, limits=Limits(memory_bytes=1 << 30)), lambda: time.sleep(60))
    idle = sandbox.peak_memory(child)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    read, write = os.pipe()
    child = start(policy, lambda: (bytearray(b"x") * (200 << 20), os.write(write, b"!"), time.sleep(60)))
    os.read(read, 1)
    assert sandbox.peak_memory(child) > idle + (180 << 20)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    assert sandbox.peak_memory(child) is None


# ---- choosing a mode


def behind(refusing, function):
    """The result of `function` in a child whose kernel refuses some calls, as a container's would."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        rules = dict.fromkeys(refusing, kernel.deny(errno.EPERM))
        if os.geteuid() != 0:
            kernel.no_new_privileges()
        kernel.seccomp(rules, kernel._ALLOW)
        probing.probe.cache_clear()
        try:
            answer = function()
        except GraderFault as fault:
            answer = str(fault)
        os.write(write, str(answer).encode())
        os._exit(0)
    os.waitpid(child, 0)
    answer = os.read(read, 4096).decode()
    os.close(read)
    os.close(write)
    return answer


def test_without_namespaces_core_is_chosen():
    """Where unshare is refused, as in most containers, the strongest mode is core."""
    assert behind(["unshare"], probing.strongest) == "core"


def test_a_refused_minimum_names_the_call_and_the_remedy():
    """Below the minimum nothing runs, and the sentence says which call was refused and what helps."""
    full = behind(["unshare"], lambda: probing.strongest("full"))
    assert (
        "isolation 'full' is not possible here: the kernel refused unshare: Operation not permitted" in full
    )
    assert "a container must allow namespaces" in full
    core = behind(["unshare", "landlock_create_ruleset"], probing.strongest)
    assert "isolation 'core' is not possible here: the kernel refused landlock_create_ruleset" in core
    assert "lsm=" in core


@pytest.mark.parametrize("call", ["open_tree", "move_mount", "pivot_root", "fsmount", "mount_setattr"])
def test_each_refused_step_of_full_is_named(call):
    """A step that fails half-way ends in the same sentence, never in a weaker sandbox."""
    assert f"the kernel refused {call}: " in behind([call], lambda: probing.strongest("full"))


@pytest.mark.parametrize(
    ("mapped", "pid", "uid"),
    [(2**32 - 1, 4711, 0x70000000 + 4711), (65536, 4711, 61184 + 375), (65536, 4335, 65519)],
)
def test_the_workers_user_exists_in_a_containers_range_too(mapped, pid, uid):
    """A container that maps few ids gets one of those reserved for short-lived services."""
    assert sandbox._free_uid(mapped, pid) == uid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives up being root")
def test_root_that_cannot_change_user_is_refused():
    """Limits do not count for root, so a worker that would stay root does not run."""
    text = behind(["setresuid"], probing.strongest)
    assert "refused setresuid" in text
    assert "run as an ordinary user" in text


def test_no_isolation_is_chosen_only_when_asked_for():
    """`none` is the answer only to a minimum of none."""
    refusing = ["unshare", "landlock_create_ruleset"]
    assert behind(refusing, lambda: probing.strongest("none")) == "none"


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"mode": "core", "colour": 1}, "no field 'colour'"),
        ({"mode": "core", "limits": {"memory": 1}}, "no field 'memory'"),
    ],
)
def test_a_policy_with_an_unknown_field_is_refused(plain, message):
    """A misspelt limit is not silently the default."""
    with pytest.raises(GraderFault, match=message):
        sandbox.policy_from(plain)


def test_a_policy_survives_json():
    """A policy is the same after `asdict` and back."""
    policy = Policy("core", Limits(threads=3), readable=("/a",), scratch="/b")
    assert sandbox.policy_from(asdict(policy)) == policy


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Policy("strict"), "unknown isolation mode 'strict'; expected one of full, core, none"),
        (Policy("core", scratch="/no/such"), "needs an existing scratch folder, got '/no/such'"),
        (Policy("none"), "needs an existing scratch folder, got None"),
    ],
)
def test_a_wrong_policy_is_refused(policy, message):
    """Neither an unknown mode nor a missing scratch folder becomes something weaker."""
    with pytest.raises(GraderFault, match=message):
        inside(policy, lambda: None)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="these tests already ran as an ordinary user")
def test_all_of_this_holds_for_an_ordinary_user():
    """Root's workers and an ordinary user's take different ways to the same confinement."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        here = Path(__file__).parent
        command = [
            sys.executable,
            here / "as_user.py",
            "-m",
            "pytest",
            "-n",
            "0",
            "-p",
            "no:cacheprovider",
            "-rs",
            here,
        ]
        environment = {"TMPDIR": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
