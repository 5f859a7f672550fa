"""Checks without fork, for practice on other systems: checker and workers are started anew by exec.

The same checks, the same checker and the same worker's code give the same verdicts; each process imports
torch itself, so it is slower, and nothing confines the student's code. `DLGRADE_SPAWN=1` has Linux do it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any, Final

from dlgrade.checks import Check
from dlgrade.engine import (
    IDLE_SECONDS,
    Flight,
    Idle,
    Known,
    Run,
    RunPlan,
    Watch,
    Zygote,
    collected,
    import_path,
    job_of,
    report_of,
    request_of,
)
from dlgrade.report import Report
from dlgrade.run_folder import RunFolder
from dlgrade.submission import Submission

SWITCH: Final = "DLGRADE_SPAWN"
START_SECONDS: Final = 300.0
KEPT_ON_WINDOWS: Final = ("SYSTEMROOT", "TEMP", "TMP", "USERPROFILE", "LOCALAPPDATA")

BOOT: Final = (
    "import sys, json; options = json.loads(sys.argv[1]); sys.path[:] = options['path'];"
    "from dlgrade.spawned_checker import main; main()"
)


def needed() -> bool:
    """Whether this system has no zygote: it needs Linux, or was told to do without."""
    return sys.platform != "linux" or os.environ.get(SWITCH) == "1"


@contextmanager
def opened(plan: RunPlan) -> Iterator[Run | SpawnedRun]:
    """A run of the plan, by the means that this system has."""
    if needed():
        with SpawnedRun(plan) as spawned_run:
            yield spawned_run
    else:
        with Zygote(plan.exercise.preload) as zygote, Run(zygote, plan) as run:
            yield run


class SpawnedRun:
    """A checker behind two pipes, with a line of JSON for each message; it grades one job after the other."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._folder = RunFolder()
        self.checks: list[Check] = []
        self.ready: dict[str, Any] = {}
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-X",
                "utf8",
                "-c",
                BOOT,
                json.dumps({"parent": os.getpid(), "path": import_path()}),
            ],
            env={name: os.environ[name] for name in KEPT_ON_WINDOWS if name in os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the supervisor's to answer
        )
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        reader = threading.Thread(target=_read_lines, args=[self._process.stdout, self._lines], daemon=True)
        reader.start()
        try:
            self._send({"run": request_of(self._plan, str(self._folder.path))})
            self.checks, self.ready = collected(self._messages())
        except BaseException:
            self.close()
            raise

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # a pipe, above
        with contextlib.suppress(BrokenPipeError):  # its end is told by what it does not say
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def _messages(self) -> Iterator[bytes]:
        """What the checker says, to its end; b"" every now and then while it says nothing is left out."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                line = self._lines.get(timeout=IDLE_SECONDS)
                if not line:
                    return
                yield line

    def grade(
        self,
        submissions: Iterable[Submission],
        *,
        jobs: int = 1,
        watch: Watch = lambda _submission, _event: None,
        known: Known = lambda _submission: {},
        idle: Idle = lambda: None,
    ) -> Iterator[Report]:
        """As `Run.grade`, one submission at a time whatever `jobs` says."""
        for submission in submissions:
            flight = Flight(submission)
            self._send(job_of(submission, self._plan.exercise, known(submission)))
            try:
                self._follow(flight, watch, idle)
            except BaseException:
                self._stop()  # it would go on with what nobody waits for
                self._start()
                raise
            yield report_of(self._plan, self.checks, self.ready, flight)
            if flight.done is None:
                self._stop()
                self._start()

    def _follow(self, flight: Flight, watch: Watch, idle: Idle) -> None:
        """Take events until the submission is done or the checker ends."""
        while flight.done is None:
            with contextlib.suppress(queue.Empty):
                line = self._lines.get(timeout=IDLE_SECONDS)
                if not line:
                    return
                watch(flight.submission.name, flight.take(line))
            idle()

    def _stop(self) -> None:
        """End the checker; its workers see their input end."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]  # both are pipes

    def __enter__(self) -> SpawnedRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the checker and remove the run's folder."""
        self._stop()
        self._folder.close()


def _read_lines(stream: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    """Pass on what comes, and an empty line for the end."""
    with contextlib.suppress(OSError, ValueError):  # closed while it was read
        for line in stream:
            lines.put(line)
    lines.put(b"")
