"""What an exercise's notebook calls: its checks, and what it shows between them.

    dlgrade.notebook.check("SimpleCNN")    the visible checks of a part, on what your cells define now
    with dlgrade.notebook.look():          a picture of what a part does, or what is not there yet

The checks run outside of the kernel, in processes that stay warm as long as it lives. Interrupting the
kernel ends them.
"""

from __future__ import annotations

import contextlib
import html
import os
import shutil
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dlgrade import notebook_page, planning
from dlgrade.cell_history import current_module
from dlgrade.course import Course, find_course
from dlgrade.display import printable
from dlgrade.engine import RunPlan
from dlgrade.errors import DlgradeError, SubmissionError, UsageError
from dlgrade.exercise import TIERS, Exercise
from dlgrade.grader_thread import GraderThread
from dlgrade.outcome import PASSED
from dlgrade.report import Report
from dlgrade.runsettings import PUBLISHED_SEED, RunSettings
from dlgrade.submission import Submission

QUIET_SECONDS: Final = 1.0  # a check that is faster shows no progress
UPDATE_SECONDS: Final = 0.2
WIDTH: Final = 200  # characters of an error's message
VALIDATING: Final = "NBGRADER_EXECUTION"  # nbgrader sets it where a failed check has to be an error
_NEEDED: Final = ("exercise.toml", "fingerprints.json", "checks")

_graders: dict[tuple[str, ...], GraderThread] = {}
_copies: dict[Path, tempfile.TemporaryDirectory[str]] = {}


class NotPassed(DlgradeError):
    """A check did not pass, where `nbgrader validate` runs the notebook."""

    exit_code = 1


class Results:
    """A part's results as a cell shows them; `report` is the whole record."""

    def __init__(self, report: Report, part: str) -> None:
        self.report = report
        self.part = part

    @property
    def passed(self) -> bool:
        return all(check.verdict == PASSED for check in notebook_page.of_part(self.report, self.part))

    def _repr_html_(self) -> str:
        return notebook_page.part_html(self.report, self.part)

    def __repr__(self) -> str:
        return notebook_page.part_text(self.report, self.part)


def check(part: str, *, tier: str = "quick") -> Results:
    """Run the visible checks of `part` on what the cells that were run define of it.

    Args:
        part: the function or class to check.
        tier: quick takes seconds; cpu also trains, for about a minute.

    Raises:
        UsageError: no such part or tier, or no exercise here.
        GraderFault: the checks could not be run.
    """
    if tier not in TIERS:
        raise UsageError(f"tier {tier!r} is unknown; expected one of {', '.join(TIERS)}")
    exercise = exercise_here(Path.cwd())
    exercise.part(part)
    submission = _submission(exercise)
    mode, _warning = planning.practice_isolation(None)
    settings = RunSettings(
        tier=planning.choose_tier(tier),
        seed=PUBLISHED_SEED,
        part=part,
        threads=planning.worker_threads(1, tier),
        mode=mode,
        device=planning.device_of(tier),
    )
    grader = _graders.get(exercise.preload)
    if grader is None:
        grader = _graders[exercise.preload] = GraderThread(exercise.preload)
    progress = _Progress(part)
    graded = grader.grade(RunPlan(exercise, settings, hidden=False), submission, progress.watch)
    progress.close()
    results = Results(graded.report, part)
    if os.environ.get(VALIDATING) and not results.passed:
        raise NotPassed(repr(results))
    return results


@contextlib.contextmanager
def look() -> Iterator[None]:
    """Run a cell that shows what a part does; where that is not there yet, say so in a sentence and go on."""
    import torch

    threads = torch.get_num_threads()
    # Notebooks share their machine: a training of 15 s with one thread took minutes with two on busy cores.
    torch.set_num_threads(1)
    try:
        yield
    except Exception as error:
        print(_nothing_to_see(error))
    finally:
        torch.set_num_threads(threads)


def _nothing_to_see(error: Exception) -> str:
    if isinstance(error, NotImplementedError) and error.args:
        stub = printable(str(error.args[0]), WIDTH)
        return f"{stub} is still the stub: fill it in, run its cell, and then this one."
    if isinstance(error, ModuleNotFoundError) and error.name == "matplotlib":
        return "Pictures need matplotlib: pip install 'dlgrade[notebook]', and run this cell again."
    if isinstance(error, NameError) and error.name:
        return f"{printable(error.name, WIDTH)} is not defined yet: run the cells above, and then this one."
    said = printable(str(error).partition("\n")[0], WIDTH)
    return f"Nothing to see yet, {type(error).__name__}: {said}. The check above tells more."


def exercise_here(folder: Path) -> Exercise:
    """The exercise whose files lie in `folder` or above it, as a student has it.

    Raises:
        UsageError: there is no exercise.toml, or it names an exercise that nobody has.
    """
    for place in (folder, *folder.parents):
        file = place / "exercise.toml"
        if file.is_file():
            break
    else:
        raise UsageError(
            f"no exercise.toml in {folder} or above; run the notebook in the folder you were given it in"
        )
    name = tomllib.loads(file.read_text(encoding="utf-8")).get("id")
    if not isinstance(name, str):
        raise UsageError(f"{file} names no exercise; take the file again that came with the notebook")
    if place.parent.name in ("assignments", "solutions"):
        return Course(place.parent.parent.resolve()).exercise(name)
    if not (place / "checks").is_dir():
        return find_course(None).exercise(name)
    return _course_of(place, name).exercise(name)


def _course_of(place: Path, name: str) -> Course:
    """A course of this one exercise, from a copy of what a student was given."""
    if place not in _copies:
        folder = tempfile.TemporaryDirectory(prefix="dlgrade-course-", ignore_cleanup_errors=True)
        target = Path(folder.name, "assignments", name)
        target.mkdir(parents=True)
        for item in filter(Path.exists, (place / needed for needed in _NEEDED)):
            copy = shutil.copytree if item.is_dir() else shutil.copy
            copy(item, target / item.name)
        _copies[place] = folder
    return Course(Path(_copies[place].name).resolve())


def _submission(exercise: Exercise) -> Submission:
    shell = _shell()
    if shell is None:
        raise UsageError("dlgrade.notebook.check works in a notebook; for a file run 'dlgrade check'")
    try:
        found = current_module(shell.history_manager.input_hist_raw, [part.name for part in exercise.parts])
    except SubmissionError as error:
        return Submission("notebook", "", "", Path.cwd(), "ipynb", problem=str(error))
    return Submission("notebook", "", found.text, Path.cwd(), "ipynb", notes=found.notes)


def _shell() -> Any:
    """IPython's shell, or None outside of one."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return None
    return get_ipython()


class _Progress:
    """A line under the cell while its checks take long; it goes when they are done."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._start = self._last = time.monotonic()
        self._shown: Any = None
        self._check = ""

    def watch(self, _submission: str, event: dict[str, Any]) -> None:
        now = time.monotonic()
        if event["event"] == "start":
            self._check = event["check"]
        if now - self._start < QUIET_SECONDS or now - self._last < UPDATE_SECONDS:
            return
        self._last = now
        self._show(event.get("done") if event["event"] == "progress" else None)

    def _show(self, done: float | None) -> None:
        from IPython.display import HTML, display

        bar = "" if done is None else f' <progress value="{done:.3f}" max="1"></progress> {done:.0%}'
        checking = f"<div>checking {html.escape(self._part)}: {html.escape(self._check)}{bar}</div>"
        line = HTML(checking)  # type: ignore[no-untyped-call]  # IPython is untyped
        if self._shown is None:
            self._shown = display(line, display_id=True)  # type: ignore[no-untyped-call]  # IPython is untyped
        else:
            self._shown.update(line)

    def close(self) -> None:
        if self._shown is not None:
            from IPython.display import clear_output

            clear_output(wait=True)  # type: ignore[no-untyped-call]  # IPython is untyped
