"""The workers of one submission: each group has its own, and the next one's comes while one is asked."""

import os
import signal
import socket
from pathlib import Path

import pytest

from dlgrade import sandbox, wire
from dlgrade.children import WorkerSettings, forked_by
from dlgrade.engine import Zygote
from dlgrade.outcome import Outcome, TimedOut
from dlgrade.process import Budget, Deadline, WorkerProcess
from dlgrade.submitted import Job, Workers
from tests.autograder.command_line import wait_until

TEXT = """
import os


def process():
    print("asked")
    return os.getpid()
"""


@pytest.fixture(scope="module")
def zygote():
    with Zygote(["torch"]) as running:
        running.wait()
        yield running


@pytest.fixture
def workers(zygote, tmp_path):
    """Without namespaces, so that a worker knows the number that the system has for it."""
    if not sandbox.may_wait("core"):
        pytest.skip("in 'core' an ordinary user's workers do not wait")
    made = Workers(
        forked_by(zygote.control),
        Job("a", "", TEXT),
        settings_for(tmp_path),
        seed=1,
        request_seconds=60.0,
        budget=Budget(600.0),
    )
    yield made
    made.close()


def settings_for(folder: Path) -> WorkerSettings:
    limits = {"scratch_bytes": 1 << 20}
    return WorkerSettings("a", 1, {"mode": "core", "scratch": str(folder), "limits": limits})


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def processes(zygote: Zygote) -> set[int]:
    pid = zygote._process.pid
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def test_the_next_groups_worker_comes_while_one_is_asked(zygote, workers):
    """It is the one that the next group then gets; behind the last group that is expected none comes."""
    workers.expect(["first", "second"])
    first = workers.answer("first").process()
    assert wait_until(lambda: len(processes(zygote)) == 2, 60)
    [waiting] = processes(zygote) - {first}
    assert workers.answer("second").process() == waiting
    assert workers.answer("first").process() == first
    assert processes(zygote) == {first, waiting}


def test_without_an_expected_group_none_comes(zygote, workers):
    """A worker that nobody will ask costs a start and an end."""
    workers.expect(["first"])
    first = workers.answer("first").process()
    assert processes(zygote) == {first}


def test_one_that_was_ended_while_it_waited_is_replaced(zygote, workers):
    """The system may take its memory back; the group that it was for does not see that."""
    workers.expect(["first", "second"])
    first = workers.answer("first").process()
    assert wait_until(lambda: len(processes(zygote)) == 2, 60)
    [waiting] = processes(zygote) - {first}
    os.kill(waiting, signal.SIGKILL)
    assert workers.answer("second").process() not in {first, waiting}


def test_one_that_nobody_took_ends_with_the_others(zygote, workers):
    """Also one that is just being started."""
    workers.expect(["first", "second"])
    workers.answer("first")
    workers.close()
    assert wait_until(lambda: not processes(zygote), 60)


def test_one_that_was_only_asked_for_can_be_closed(zygote, tmp_path):
    """Also twice, and whether or not its process is there by then."""
    worker = WorkerProcess(forked_by(zygote.control), settings_for(tmp_path), ahead=True)
    worker.close()
    worker.close()
    assert wait_until(lambda: not processes(zygote), 60)


def test_starts_that_fail_leave_nothing_open(tmp_path):
    """Here the zygote is gone; whoever asks again and again runs out of no descriptors."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    before = descriptors()
    for _ in range(5):
        with pytest.raises(OSError, match="Broken pipe"):
            WorkerProcess(forked_by(ours), settings_for(tmp_path))
    assert descriptors() == before
    ours.close()


def test_without_time_left_nothing_is_asked(zygote, tmp_path):
    """Also where the reply would be there at once; the worker is ended, and stays so."""
    worker = WorkerProcess(forked_by(zygote.control), settings_for(tmp_path))
    ping = {"id": 1, "op": "ping", "seed": 0}
    worker.exchange(ping, [], wire.ANSWER, Deadline(60.0, budget=Budget(60.0)))
    for budget in (Budget(0.0), Budget(60.0)):
        with pytest.raises(TimedOut, match="all checks together"):
            worker.exchange(ping, [], wire.ANSWER, Deadline(60.0, budget=budget))
    worker.close()
    assert wait_until(lambda: not processes(zygote), 60)


def test_answers_that_cannot_be_loaded_leave_nobody_waiting(zygote, workers):
    """What fails on import fails in every worker."""
    workers._job = Job("a", "", "1 / 0")
    workers.expect(["first", "second"])
    for group in ("first", "second"):
        with pytest.raises(Outcome, match="ZeroDivisionError"):
            workers.answer(group)
    workers.close()
    assert wait_until(lambda: not processes(zygote), 60)


def test_what_was_printed_last_is_there(workers):
    """A reply that comes at once leaves what was printed before it in the pipe."""
    for times in range(1, 51):
        workers.answer("visible").process()
        assert workers.output == "asked\n" * times
