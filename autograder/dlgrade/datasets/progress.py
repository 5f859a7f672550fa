"""Progress on stderr: a bar with the time left on a terminal, else a line for each quarter done."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from .records import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


@contextmanager
def shown(stream: TextIO | None = None) -> Iterator[Progress]:
    """A progress callback that suits the stream, stderr by default."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield PlainProgress(stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with RichProgress(*columns, console=Console(file=stream)) as bars:
        yield _Bars(bars)


class _Bars:
    """One bar for each thing that is reported on."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int | None, /) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)


class PlainProgress:
    """A line when something begins, and for each further quarter of it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown: dict[str, int] = {}

    def __call__(self, what: str, done: int, total: int | None, /) -> None:
        quarter = done * 4 // total if total else 0
        if quarter > self._shown.get(what, -1):
            self._shown[what] = quarter
            suffix = f": {min(quarter, 4) * 25} %" if total else ""
            print(f"{what}{suffix}", file=self._stream, flush=True)
