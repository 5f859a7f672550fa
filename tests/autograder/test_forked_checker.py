"""The fork of the checker that waits for the next submission, with a worker, on a tiny course."""

import errno
import json
import os
import signal
import socket
import textwrap
import threading
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.forked_checker import ForkingSupervisor
from dlgrade.report import Report
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission
from tests.autograder import tiny_course
from tests.autograder.command_line import wait_until

TELLS_ITS_PROCESS = """
    import os

    print("I am", os.getpid())

    def double(x):
        return 2 * x
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return tiny_course.make(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def zygote():
    with Zygote(["torch"]) as running:
        yield running


@pytest.fixture
def run(course, zygote):
    """Without a sandbox, so that a worker knows the number that the system has for it."""
    plan = RunPlan(course.exercise("tiny"), RunSettings("quick", 11, mode="none"), hidden=False)
    with Run(zygote, plan) as running:
        yield running


def grade(run: Run, text: str) -> Report:
    [report] = run.grade([Submission("someone", "someone", textwrap.dedent(text), Path("someone"), "py")])
    return report


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


class Ready:
    """What waits for the next submission once a run has begun: a fork of the checker, and a worker."""

    def __init__(self, zygote: Zygote) -> None:
        self._zygote = zygote._process.pid
        assert wait_until(self._found, 60)

    def _found(self) -> bool:
        born = children(self._zygote)
        self.forks = {fork for child in born for fork in children(child)}
        self.workers = {child for child in born if not children(child)}
        return len(self.forks) == len(self.workers) == 1


def test_a_submission_is_graded_in_a_worker_that_waited_for_it(run, zygote):
    """Its process is the one that was there before; then another one waits."""
    ready = Ready(zygote)
    report = grade(run, TELLS_ITS_PROCESS)
    assert report.output.split() == ["I", "am", str(*ready.workers)]
    assert Ready(zygote).workers.isdisjoint(ready.workers)


def test_a_worker_that_was_ended_while_it_waited_costs_nobody_a_point(course, run, zygote):
    """The system may take its memory back; no answer was in it, so a new one is started."""
    [worker] = Ready(zygote).workers
    os.kill(worker, signal.SIGKILL)
    assert wait_until(lambda: worker not in children(zygote._process.pid), 10)
    report = grade(run, tiny_course.answer_with(course))
    assert (report.score, report.complete, report.exit_code) == (report.max_score, True, 0)


def test_a_fork_that_was_ended_while_it_waited_loses_no_submission(course, run, zygote):
    """Another one is made when the submission comes; its idle worker ends with it."""
    ready = Ready(zygote)
    [fork] = ready.forks
    os.kill(fork, signal.SIGKILL)
    assert wait_until(lambda: not ready.workers & children(zygote._process.pid), 10)
    report = grade(run, tiny_course.answer_with(course))
    assert (report.score, report.complete, report.exit_code) == (report.max_score, True, 0)


def test_what_waits_ends_with_the_run(course, zygote):
    """Nothing of a run lives after it, though its zygote goes on."""
    with Run(zygote, RunPlan(course.exercise("tiny"), RunSettings("quick", 11), hidden=False)):
        Ready(zygote)
    assert wait_until(lambda: not children(zygote._process.pid), 10)


def test_without_a_process_to_be_had_a_submission_gets_no_result_and_the_next_one_does(monkeypatch):
    """Its stream closes, which the supervisor reports as a fault of the grader; the run goes on."""

    class Desk:
        def prepare(self) -> None:
            """Nothing to do."""

        def grade(self, job, emit) -> None:
            emit({"event": "done", "graded": job["name"]})

    fork, refused = os.fork, [1, 2, 3]  # the one at the start, the one for the first, the next one

    def fork_now_and_then() -> int:
        if refused:  # a mock: as root no limit of processes holds, which would refuse them
            refused.pop()
            raise BlockingIOError(errno.EAGAIN, "no process to be had")
        return fork()

    monkeypatch.setattr(os, "fork", fork_now_and_then)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        supervisor = ForkingSupervisor(theirs)
        serving = threading.Thread(target=supervisor.serve, args=[lambda: nullcontext(Desk()), 10.0])
        serving.start()
        assert answer_to(ours, "first") == b""
        assert json.loads(answer_to(ours, "second")) == {"event": "done", "graded": "second"}
        ours.shutdown(socket.SHUT_RDWR)  # forks of this very process hold it too
        serving.join(10)
        assert not serving.is_alive()


def answer_to(control: socket.socket, name: str) -> bytes:
    """What comes back on the stream of a submission until it closes."""
    stream, theirs = socket.socketpair()
    with stream:
        stream.settimeout(30)
        socket.send_fds(control, [b'{"job": 1}'], [theirs.fileno()])
        theirs.close()
        stream.sendall(json.dumps({"name": name}).encode() + b"\n")
        with suppress(ConnectionResetError):  # closed without having read the job
            return b"".join(iter(lambda: stream.recv(4096), b""))
        return b""
