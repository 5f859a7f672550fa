"""The trusted process: collects the checks once, then has each submission graded in pytest's run loop.

It exists before any secret does, and then loads checks, reference and held-out data. It tells the supervisor
{"event": "ready", "versions", "data", "titles"}, {"event": "collected", "check"} for each, {"event": "open"},
or {"event": "fault", "message"}, and is then handed submissions. How both go to and fro, and in which process
a submission is graded, is the `Supervisor`'s: `forked_checker.py`, or `spawned_checker.py` without fork.
"""

from __future__ import annotations

import gc
import os
import platform
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import pytest

import dlgrade
from dlgrade import canaries, checks, hugepages, scratch
from dlgrade.children import Launcher
from dlgrade.course import Course
from dlgrade.decision import RUNS
from dlgrade.desk import Desk, Exam, Item, OpenDesk
from dlgrade.errors import DlgradeError, GraderFault
from dlgrade.exercise import Exercise
from dlgrade.knowledge import Knowledge
from dlgrade.process import MOST_WALL, try_canaries
from dlgrade.runsettings import RunSettings

# Nothing that lies around may steer pytest: no configuration, no conftest, no cache, no plugins.
SEALED = (
    *("-c", os.devnull, "--noconftest", "--import-mode=importlib", "--capture=no", "--assert=plain"),
    *("-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:faulthandler", "-p", "no:warnings"),
    *("-p", "no:logging", "-p", "no:unraisableexception", "-p", "no:threadexception", "-p", "no:dlgrade"),
)


@dataclass(frozen=True)
class RunRequest:
    """The supervisor's first message."""

    course: str
    exercise: str
    hidden: bool
    settings: RunSettings
    policy: dict[str, Any]
    folder: str
    environment: dict[str, str]

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> RunRequest:
        return cls(**{**values, "settings": RunSettings(**values["settings"])})


class Supervisor(Protocol):
    """The other end of a run: it hears what there is, and hands out submissions."""

    def tell(self, message: dict[str, Any]) -> None:
        """Send one message about the run."""

    def serve(self, open_desk: OpenDesk, seconds: float) -> None:
        """Grade each submission at a desk of its own, until the supervisor hangs up.

        None takes longer than `seconds`, unless something keeps the checker itself busy.
        """


def conduct(request: RunRequest, supervisor: Supervisor, launch: Launcher) -> None:
    """Collect, say what there is, and grade submissions until the supervisor hangs up."""
    os.environ.update(request.environment)
    os.environ.pop("PYTEST_ADDOPTS", None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.dont_write_bytecode = True
    with told_in_one_sentence(supervisor):
        run = Run(request, supervisor, launch)
        folders = [str(folder) for folder in run.folders]
        pytest.main([*SEALED, f"--rootdir={request.folder}", *folders], plugins=[_core(), run])


def _core() -> Any:
    """The fixtures and the collection rule, which plain pytest gets from the same plugin."""
    from dlgrade import plugin

    return plugin


@contextmanager
def told_in_one_sentence(supervisor: Supervisor) -> Iterator[None]:
    """Tell the supervisor of a fault; the traceback of an unexpected one goes to stderr."""
    try:
        yield
    except DlgradeError as error:
        supervisor.tell({"event": "fault", "message": str(error)})
    except Exception as error:
        traceback.print_exc()
        supervisor.tell({"event": "fault", "message": f"{type(error).__name__}: {error}"[:2000]})


class Run:
    """The pytest plugin of one run: what there is to do before its first submission."""

    def __init__(self, request: RunRequest, supervisor: Supervisor, launch: Launcher) -> None:
        self._request = request
        self._supervisor = supervisor
        self._launch = launch
        self._settings = request.settings
        self._exercise: Exercise = Course(Path(request.course)).exercise(request.exercise)
        knowledge = Path(request.folder) / "knowledge"
        knowledge.mkdir(mode=0o700, exist_ok=True)  # a checker that starts anew goes on with what is known
        self._knowledge = Knowledge(self._exercise, request.settings.seed, knowledge)
        self._faults: list[str] = []

    @property
    def folders(self) -> list[Path]:
        """Folders of checks to collect: the visible ones, and for grading the hidden ones."""
        hidden = self._exercise.hidden_checks if self._request.hidden else None
        return [folder for folder in (self._exercise.visible_checks, hidden) if folder and folder.is_dir()]

    # --- pytest's hooks ---------------------------------------------------------------------------

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._faults.append(f"{report.nodeid}: {report.longreprtext.strip().splitlines()[-1]}")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running the items once: say what was collected, and run them for each submission."""
        with told_in_one_sentence(self._supervisor):
            if self._faults:
                raise GraderFault(f"a check cannot be loaded: {'; '.join(self._faults)}")
            exam = self._exam(session.items)
            self._prove_isolation(exam)
            self._open_datasets(exam)
            self._announce(exam)
            _settle()
            self._supervisor.serve(lambda: self._desk(exam), _longest(exam))
        return True

    def _desk(self, exam: Exam) -> Desk:
        """A place for the next submission, which knows what earlier ones led to."""
        if self._knowledge.gather():
            _settle()
        return Desk(exam, scratch.make(self._request.folder))

    # --- before the first submission --------------------------------------------------------------

    def _exam(self, items: list[pytest.Item]) -> Exam:
        return Exam(
            self._exercise,
            self._settings,
            self._arrange(items),
            self._knowledge,
            self._launch,
            self._request.policy,
        )

    def _arrange(self, items: list[pytest.Item]) -> list[Item]:
        hidden = self._exercise.hidden_checks
        found = {}
        for item in items:
            record = checks.of(
                getattr(item, "obj", None), item.path, hidden is not None and hidden in item.path.parents
            )
            found[record.id] = record, item
            _ = item.location  # looked up once for all forks
        if len(found) < len(items):
            raise GraderFault("two checks of the exercise share a name; rename one")
        ordered = checks.in_order([record for record, _ in found.values()])
        if not ordered:
            raise GraderFault(f"exercise '{self._exercise.id}' has no checks in {self.folders}")
        return [found[record.id] for record in ordered]

    def _prove_isolation(self, exam: Exam) -> None:
        """Before anything is graded, a worker like those to come tries to get out and must not."""
        if not self._request.hidden or self._settings.mode == "none":
            return
        with scratch.folder(self._request.folder) as folder:
            settings = exam.worker_settings(folder)
            canaries.self_test(lambda bait: try_canaries(self._launch, replace(settings, bait=bait)))

    def _open_datasets(self, exam: Exam) -> None:
        from dlgrade.contest import open_data

        for record, _ in exam.items:
            name = record.data
            if name and record.runs_at(self._settings.tier) and name not in exam.datasets:
                folder = Path(self._request.folder)
                exam.datasets[name] = open_data(name, folder, seed=self._settings.seed)

    def _announce(self, exam: Exam) -> None:
        versions = {"python": platform.python_version(), "dlgrade": dlgrade.__version__}
        for name in {"torch": None} | dict.fromkeys(self._exercise.preload):
            with suppress(PackageNotFoundError):  # a module may be called other than its distribution
                versions[name] = version(name)
        data = {opened.title: opened.checksum for opened in exam.datasets.values()}
        titles = {name: opened.title for name, opened in exam.datasets.items()}
        ready = {"event": "ready", "versions": versions, "data": data, "titles": titles}
        self._supervisor.tell(ready)
        for record, _ in exam.items:
            self._supervisor.tell({"event": "collected", "check": asdict(record)})
        self._supervisor.tell({"event": "open"})


def _settle() -> None:
    """Spare the forks to come: the collector looks at nothing that is here, and it lies in huge pages."""
    gc.collect()
    gc.freeze()
    hugepages.collapse()


def _longest(exam: Exam) -> float:
    """Seconds: what the deadlines of all requests of a submission can add up to."""
    trainings = sum(record.data is not None for record, _ in exam.items)
    return exam.budget_seconds + trainings * RUNS * MOST_WALL * exam.exercise.limits.training_seconds
