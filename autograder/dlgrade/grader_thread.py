"""A grader for programs that live long, such as a kernel: one thread that keeps the zygote warm.

The kernel ends a zygote with the *thread* that started it, not with its process, so it must be a thread
that outlives every caller: a notebook's cells may run in threads that come and go.
"""

from __future__ import annotations

import atexit
import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dlgrade.checks import Check
from dlgrade.engine import Run, RunPlan, Watch, Zygote
from dlgrade.errors import DlgradeError, GraderFault
from dlgrade.report import Report
from dlgrade.submission import Submission

LOOK_SECONDS = 1.0  # how soon a caller notices that the thread is gone


@dataclass(frozen=True)
class Graded:
    """A finished submission, and the checks that it was held against."""

    report: Report
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class _Job:
    """What to grade, and where its events and at last its `Graded` or its fault go."""

    plan: RunPlan
    submission: Submission
    mail: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)


class GraderThread:
    """Grades one submission at a time, warm from the second on.

    Args:
        preload: modules for the zygote to import.
        idle_seconds: after this long without work its processes end; None keeps them.
    """

    def __init__(self, preload: Iterable[str], *, idle_seconds: float | None = None) -> None:
        self._preload = tuple(preload)
        self._idle = idle_seconds
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._zygote: Zygote | None = None
        self._open: tuple[RunPlan, Zygote, Run] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="dlgrade", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def grade(self, plan: RunPlan, submission: Submission, watch: Watch) -> Graded:
        """Grade and wait; `watch` is called in the caller's thread.

        Raises:
            DlgradeError: it could not be graded at all.
            KeyboardInterrupt: the caller was interrupted; nothing of the submission runs any more.
        """
        job = _Job(plan, submission)
        self._jobs.put(job)
        try:
            while True:
                mail = self._next_of(job)
                if isinstance(mail, Graded):
                    return mail
                if isinstance(mail, BaseException):
                    raise mail
                watch(*mail)
        except KeyboardInterrupt:
            self._stop()
            raise

    def close(self) -> None:
        """End the thread and all it started."""
        self._closed = True
        atexit.unregister(self.close)
        self._jobs.put(None)
        self._stop()
        self._thread.join()

    def _next_of(self, job: _Job) -> Any:
        while True:
            try:
                return job.mail.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if not self._thread.is_alive():
                    raise GraderFault("the grader's thread has ended; run the cell again") from None

    def _stop(self) -> None:
        """End the zygote, and with it whatever a submission is doing; the next job starts another."""
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.close()

    # --- in the thread --------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._closed:
            try:
                job = self._jobs.get(timeout=self._idle)
            except queue.Empty:
                self._rest()
                continue
            if job is not None:
                self._answer(job)
        self._rest()

    def _answer(self, job: _Job) -> None:
        try:
            run = self._run(job.plan)
            [report] = run.grade([job.submission], watch=lambda *event: job.mail.put(event))
            job.mail.put(Graded(report, tuple(run.checks)))
        except DlgradeError as error:
            self._rest()  # what failed once is not kept for the next
            job.mail.put(error)
        except BaseException as error:  # the caller waits for an answer, whatever happens here
            self._rest()
            job.mail.put(error)

    def _run(self, plan: RunPlan) -> Run:
        """The run of this plan: the one of the job before if nothing changed."""
        if self._zygote is None:
            self._zygote = Zygote(self._preload)
        if self._open is not None:
            if self._open[:2] == (plan, self._zygote):
                return self._open[2]
            self._close_run()
        run = Run(self._zygote, plan)
        self._open = plan, self._zygote, run
        return run

    def _close_run(self) -> None:
        if self._open is not None:
            self._open[2].close()
            self._open = None

    def _rest(self) -> None:
        self._close_run()
        self._stop()
