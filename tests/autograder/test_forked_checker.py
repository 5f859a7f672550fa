"""The fork of the checker that waits for the next submission, with a worker, on a tiny course."""

import errno
import json
import os
import signal
import socket
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from dlgrade import sandbox
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

LITTERS = """
import os
import time


def double(x):
    for number in range(1000):
        with open(os.path.join(os.environ["TMPDIR"], f"{number}.litter"), "w") as file:
            file.write("left")
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
    """Without namespaces, so that a worker knows the number that the system has for it."""
    if not sandbox.may_wait("core"):
        pytest.skip(
            "no worker waits here: in 'core' an ordinary user's workers count their threads at the start"
        )
    plan = RunPlan(course.exercise("tiny"), RunSettings("quick", 11, mode="core"), hidden=False)
    with Run(zygote, plan) as running:
        yield running


def submission(text: str) -> Submission:
    return Submission("someone", "someone", textwrap.dedent(text), Path("someone"), "py")


def grade(run: Run, text: str) -> Report:
    [report] = run.grade([submission(text)])
    return report


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


class Ready:
    """What waits for the next submission once a run has begun: a fork of the checker, and a worker."""

    def __init__(self, zygote: Zygote) -> None:
        self._zygote = zygote._process.pid
        assert wait_until(self._found, 60)

    def _found(self) -> bool:
        self.forks, self.workers = self._seen()
        time.sleep(0.2)  # by then the last run's worker has ended, which may be seen beside this one's fork
        return len(self.forks) == len(self.workers) == 1 and self._seen() == (self.forks, self.workers)

    def _seen(self) -> tuple[set[int], set[int]]:
        born = children(self._zygote)
        forks = {fork for child in born for fork in children(child)}
        return forks, {child for child in born if not children(child)}


def test_a_submission_is_graded_in_a_worker_that_waited_for_it(run, zygote):
    """Its process is the one that was there before; then another one waits."""
    ready = Ready(zygote)
    report = grade(run, TELLS_ITS_PROCESS)
    assert report.output.split() == ["I", "am", str(*ready.workers)]
    assert Ready(zygote).workers.isdisjoint(ready.workers)


@pytest.mark.parametrize("what", ["workers", "forks"])
def test_what_was_ended_while_it_waited_costs_nobody_a_point(course, run, zygote, what):
    """The system may take its memory back, a moment before the submission comes too: another one is made."""
    [pid] = getattr(Ready(zygote), what)
    os.kill(pid, signal.SIGKILL)
    report = grade(run, tiny_course.answer_with(course))
    assert (report.score, report.complete, report.exit_code) == (report.max_score, True, 0)
    assert pid not in Ready(zygote).workers | Ready(zygote).forks  # and again something waits


def test_what_a_submission_wrote_is_gone_when_its_report_is_there(course, zygote):
    """A thousand files each: of three submissions, and of one that nobody waits for any more."""
    writes = tiny_course.answer_with(course, double=LITTERS)
    plan = RunPlan(course.exercise("tiny"), RunSettings("quick", 11, mode="core"), hidden=False)
    with Run(zygote, plan) as run:
        folder = run._folder.path
        for _ in range(3):
            assert grade(run, writes).complete
            assert len(list(folder.glob("scratch-*"))) <= 1  # the next one's
        abandoned = submission(writes.replace("return 2 * x", "time.sleep(600)"))
        with pytest.raises(Enough):
            list(run.grade([abandoned], idle=give_up_on(folder)))
        assert wait_until(lambda: not list(folder.rglob("*.litter")), 20)
        assert grade(run, writes).complete


class Enough(Exception):
    """Nobody waits for the report any more."""


def give_up_on(folder: Path):
    """An `idle` that does so once the submission has written its files."""

    def idle() -> None:
        if len(list(folder.rglob("*.litter"))) >= 1000:
            raise Enough

    return idle


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

        def grade(self, job, emit) -> dict:
            return {"event": "done", "graded": job["name"]}

        def close(self) -> None:
            """Nothing to do."""

    fork = os.fork
    refused = [errno.EAGAIN, errno.ENOMEM] * 2  # at the start, twice for the first submission, after it

    def fork_now_and_then() -> int:
        if refused:  # a mock: as root no limit of processes holds, which would refuse them
            raise OSError(refused.pop(), "no process to be had")
        return fork()

    monkeypatch.setattr(os, "fork", fork_now_and_then)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        supervisor = ForkingSupervisor(theirs)
        serving = threading.Thread(target=supervisor.serve, args=[Desk, 10.0])
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
        with suppress(ConnectionResetError, BrokenPipeError):  # closed without having read the job
            stream.sendall(json.dumps({"name": name}).encode() + b"\n")
            return b"".join(iter(lambda: stream.recv(4096), b""))
        return b""
