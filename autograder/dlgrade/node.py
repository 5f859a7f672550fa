"""A node of a cluster: one Dask worker process, which keeps a zygote of its own while a run lasts.

What is graded, and by what, comes with the run as content: the staff's files of the exercise once for each
node, a submission's text with each task. No path of the instructor's machine is looked up here. Data sets
are the node's own, by name, and the driver compares their checksums.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from distributed import Reschedule, Worker, WorkerPlugin, get_worker

from dlgrade import planning
from dlgrade.checks import Check
from dlgrade.course import Course
from dlgrade.engine import Results, Run, RunPlan, Zygote, import_path
from dlgrade.errors import DlgradeError, GraderFault
from dlgrade.exercise import Exercise
from dlgrade.report import Report
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission

IDLE_SECONDS: Final = 600.0  # then a zygote ends; a run whose driver was killed never says so

# In a process of its own: the sandbox is tried in a fork, and a Dask worker has threads.
_PROBE: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]);"
    "from dlgrade import planning; from dlgrade.errors import GraderFault\n"
    "try: print(planning.graded_isolation(None)[0])\n"
    "except GraderFault as fault: sys.exit(str(fault))"
)


def strongest_isolation() -> str:
    """The strongest mode, at least core, in which submissions can be confined on this node.

    Raises:
        GraderFault: there is none; the sentence says what is refused.
    """
    command = [sys.executable, "-I", "-X", "utf8", "-c", _PROBE, json.dumps(import_path())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GraderFault(done.stderr.strip())
    return done.stdout.strip()


@dataclass(frozen=True)
class Parcel:
    """A run as it travels: the files of the course that it needs, by their path in it, and its settings."""

    exercise: str
    files: Mapping[str, bytes]
    settings: RunSettings
    hidden: bool

    @classmethod
    def of(cls, plan: RunPlan) -> Parcel:
        """Pack the exercise's own folders and the reference."""
        exercise = plan.exercise
        folders = (exercise.folder, exercise.release, exercise.root / "reference")
        files = {
            str(file.relative_to(exercise.root)): file.read_bytes()
            for folder in folders
            for file in sorted(folder.rglob("*"))
            if file.is_file() and "__pycache__" not in file.parts
        }
        return cls(exercise.id, files, plan.settings, plan.hidden)

    @contextmanager
    def unpacked(self, folder: Path) -> Iterator[Exercise]:
        """The exercise in a course folder below `folder` that only this user can read."""
        with tempfile.TemporaryDirectory(prefix="dlgrade-course-", dir=folder) as name:
            for path, content in self.files.items():
                file = Path(name, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            yield Course(Path(name)).exercise(self.exercise)


class Keeper:
    """Holds an open run for the tasks of this process, in a thread of its own.

    The kernel ends a zygote with the thread that started it, and threads of a pool come and go.
    """

    def __init__(self, parcel: Parcel, folder: Path, jobs: int) -> None:
        self._parcel = parcel
        self._folder = folder
        self._threads = planning.worker_threads(jobs, parcel.settings.tier)
        self._lock = threading.Lock()
        self._run: Future[Run] | None = None
        self._users = 0
        self._last_used = 0.0
        self._closed = threading.Event()

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def start(self) -> Future[Run]:
        """Begin to load, unless that was done; the run, once it is open."""
        with self._lock:
            if self._run is None:
                self._run = Future()
                self._last_used = time.monotonic()
                threading.Thread(target=self._keep, args=[self._run], daemon=True).start()
            return self._run

    @contextmanager
    def run(self) -> Iterator[Run]:
        """The open run, which stays open while somebody is inside.

        Raises:
            DlgradeError: it could not be opened.
        """
        with self._lock:
            self._users += 1
        try:
            yield self.start().result()
        finally:
            with self._lock:
                self._users -= 1
                self._last_used = time.monotonic()

    def close(self) -> None:
        """End the zygote, and with it what is being graded."""
        self._closed.set()

    def _keep(self, opened: Future[Run]) -> None:
        try:
            with self._parcel.unpacked(self._folder) as exercise, Zygote(exercise.preload) as zygote:
                settings = replace(self._parcel.settings, threads=self._threads)
                with Run(zygote, RunPlan(exercise, settings, self._parcel.hidden)) as run:
                    opened.set_result(run)
                    while not self._closed.wait(IDLE_SECONDS / 10) and not self._abandoned():
                        pass
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    def _abandoned(self) -> bool:
        """Whether nobody has come for long; who comes next opens another run."""
        with self._lock:
            if self._users or time.monotonic() - self._last_used < IDLE_SECONDS:
                return False
            self._run = None
            return True


class Node(WorkerPlugin):
    """A run on one Dask worker, for as long as the driver has it registered.

    Dask sends it to every worker, those that join later and those that come back included.
    """

    def __init__(self, parcel: Parcel) -> None:
        self.name = f"dlgrade-{secrets.token_hex(8)}"
        self._parcel = parcel
        self._keeper: Keeper | None = None

    def setup(self, worker: Worker) -> None:
        """Start loading at once, on all nodes at a time, and hold up nobody."""
        self._keeper = Keeper(self._parcel, Path(worker.local_directory), worker.state.nthreads)
        self._keeper.start()

    def teardown(self, worker: Worker) -> None:
        if self._keeper is not None:
            self._keeper.close()

    @property
    def keeper(self) -> Keeper:
        assert self._keeper is not None  # Dask calls setup before any task
        return self._keeper


@dataclass(frozen=True)
class Opened:
    """What a node says of a run, once it is open: the same on every node, or they must not be mixed."""

    address: str
    checks: Sequence[Check]
    ready: Mapping[str, Any]


def open_run(name: str) -> Opened:
    """The task that asks what a run is like: that of the plugin `name`."""
    with _told_by_address() as worker, _keeper(worker, name).run() as run:
        return Opened(worker.address, run.checks, run.ready)


def grade(name: str, submission: Submission, known: Results) -> tuple[Opened, Report]:
    """The task that grades one submission."""
    with _told_by_address() as worker:
        keeper = _keeper(worker, name)
        try:
            with keeper.run() as run:
                [report] = run.grade([submission], known=lambda _: known)
        except GraderFault:
            if keeper.closed:
                raise Reschedule from None
            raise
        if report.fault is not None and keeper.closed:  # this node leaves; another one shall grade it
            raise Reschedule
        return Opened(worker.address, (), run.ready), report


def _keeper(worker: Worker, name: str) -> Keeper:
    node = worker.plugins.get(name)
    if not isinstance(node, Node):  # this node has left the run
        raise Reschedule
    return node.keeper


@contextmanager
def _told_by_address() -> Iterator[Worker]:
    """The worker that runs this task; whatever goes wrong names it."""
    worker = get_worker()
    try:
        yield worker
    except (DlgradeError, OSError) as error:
        raise GraderFault(f"the Dask worker at {worker.address}: {error}") from None
