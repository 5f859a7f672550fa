"""Progress on stderr while a run lasts: bars with the time left on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from dlgrade.tally import duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from dlgrade.checks import Check

QUIET_SECONDS: Final = 10.0  # between two plain lines
LOADING: Final = "loading torch and the checks (usually about 5 s)"

Event = dict[str, Any]


class Progress(Protocol):
    """What a run tells whoever looks on."""

    def loading(self) -> None:
        """The zygote is starting."""

    def opened(self, checks: Sequence[Check], submissions: int) -> None:
        """The checks are collected; now come the submissions."""

    def watch(self, submission: str, event: Event) -> None:
        """One event of the engine: a check starts, gets on, or has ended; a submission is done."""

    def kept(self) -> None:
        """A submission needs nothing: an earlier run has graded it."""

    def graded(self, submission: str, score: str, tally: str) -> None:
        """One of a cohort has its report; `tally` says how far the cohort is."""


@contextmanager
def shown(*, plain: bool = False, stream: TextIO | None = None) -> Iterator[Progress]:
    """The display that suits the stream, stderr by default; a bar is gone at the end."""
    stream = stream or sys.stderr
    if plain or not stream.isatty():
        yield PlainProgress(stream)
        return
    from rich.console import Console

    display = BarProgress(Console(file=stream, highlight=False, markup=False, emoji=False))
    try:
        yield display
    finally:
        display.close()


class Shares:
    """How much of a run is done, counted in submissions, with fractions of those under way."""

    def __init__(self, checks: int) -> None:
        self._checks = max(1, checks)
        self._ended = 0
        self._current: dict[str, tuple[int, float]] = {}

    def take(self, submission: str, event: Event) -> float:
        """Note an event; submissions done so far."""
        ended, _ = self._current.get(submission, (0, 0.0))
        if event["event"] == "check":
            self._current[submission] = ended + 1, 0.0
        elif event["event"] == "progress":
            self._current[submission] = ended, min(1.0, event["done"])
        elif event["event"] == "done":
            self._current.pop(submission, None)
            self._ended += 1
        return self.done

    def skip(self) -> float:
        """Note a submission that is finished already; submissions done so far."""
        self._ended += 1
        return self.done

    @property
    def done(self) -> float:
        under_way = sum(ended + fraction for ended, fraction in self._current.values())
        return self._ended + under_way / self._checks


class BarProgress:
    """A spinner while torch loads, then one bar for the whole run, and one below it for each training."""

    def __init__(self, console: Console) -> None:
        from rich import progress as rich

        self._status = console.status(LOADING)
        columns = (
            rich.TextColumn("{task.description}", markup=False),
            rich.BarColumn(bar_width=24),
            rich.TaskProgressColumn(),
            rich.TimeElapsedColumn(),
            rich.TextColumn("left:"),
            rich.TimeRemainingColumn(),
        )
        self._bars = rich.Progress(*columns, console=console, transient=True, speed_estimate_period=120)
        self._whole = self._bars.add_task("", total=None)
        self._trainings: dict[str, TaskID] = {}
        self._checks: dict[str, Check] = {}
        self._shares = Shares(0)

    def loading(self) -> None:
        self._status.start()

    def opened(self, checks: Sequence[Check], submissions: int) -> None:
        self._checks = {check.id: check for check in checks}
        self._shares = Shares(len(checks))
        what = "checking" if submissions == 1 else f"grading {submissions} submissions"
        self._bars.reset(self._whole, total=submissions, description=what)
        self._status.stop()
        self._bars.start()

    def close(self) -> None:
        """Remove what is still shown."""
        self._status.stop()
        self._bars.stop()

    def watch(self, submission: str, event: Event) -> None:
        self._bars.update(self._whole, completed=self._shares.take(submission, event))
        if event["event"] == "start" and self._checks[event["check"]].data is not None:
            self._bars.update(self._training(submission), visible=True)
        elif event["event"] == "progress":
            self._bars.update(self._training(submission), completed=event["done"])
        elif event["event"] in ("check", "done") and submission in self._trainings:
            self._bars.remove_task(self._trainings.pop(submission))

    def kept(self) -> None:
        self._bars.update(self._whole, completed=self._shares.skip())

    def graded(self, submission: str, score: str, tally: str) -> None:
        self._bars.update(self._whole, description=tally.rpartition(", about")[0] or tally)

    def _training(self, submission: str) -> TaskID:
        if submission not in self._trainings:
            self._trainings[submission] = self._bars.add_task(f"training {submission}"[:40], total=1.0)
        return self._trainings[submission]


class PlainProgress:
    """A line when it starts, one for each of a cohort, and one when ten seconds went by without any."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._shares = Shares(0)
        self._submissions = 0
        self._start = self._last = clock()

    def loading(self) -> None:
        self._say(LOADING)

    def opened(self, checks: Sequence[Check], submissions: int) -> None:
        self._shares = Shares(len(checks))
        self._submissions = submissions
        self._start = self._last = self._clock()

    def watch(self, submission: str, event: Event) -> None:
        done, now = self._shares.take(submission, event), self._clock()
        if now - self._last < QUIET_SECONDS:
            return
        self._last = now
        share = done / self._submissions
        left = f", {duration((now - self._start) * (1 - share) / share)} left" if share > 0 else ""
        self._say(f"{share:.0%} done ({int(done)} of {self._submissions} submissions){left}")

    def kept(self) -> None:
        self._shares.skip()

    def graded(self, submission: str, score: str, tally: str) -> None:
        self._last = self._clock()
        self._say(f"{submission}: {score} ({tally})")

    def _say(self, text: str) -> None:
        print(f"dlgrade: {text}", file=self._stream, flush=True)
