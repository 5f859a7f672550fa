"""The path of systems without fork, forced here: the same verdicts as forked processes give."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dlgrade.build import build
from dlgrade.engine import RunPlan
from dlgrade.errors import GraderFault
from dlgrade.fingerprints import fingerprints
from dlgrade.runsettings import RunSettings
from dlgrade.spawned import SpawnedRun
from tests.autograder import tiny_course
from tests.autograder.command_line import dlgrade, environment, forked_from, started, wait_until
from tests.autograder.test_engine import grade, result, submission, verdicts

SEED = 11


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    made = tiny_course.make(tmp_path_factory.mktemp("course"))
    build(made, ["tiny"], extra=fingerprints(made.exercise("tiny")))
    return made


@pytest.fixture(scope="module")
def run(course):
    plan = RunPlan(course.exercise("tiny"), RunSettings("quick", SEED, mode="none"), hidden=False)
    with SpawnedRun(plan) as running:
        yield running


def test_the_full_answer_gets_every_point(course, run):
    """The same score and maximum; the report says that nothing was confined."""
    report = grade(run, tiny_course.answer_with(course))
    assert (report.score, report.max_score) == (6, 6)
    assert (report.complete, report.exit_code, report.isolation) == (True, 0, "none")


def test_a_known_mistake_is_named_and_prints_are_shown(course, run):
    """Diagnosis and the students' own output come the same way."""
    body = "def double(x):\n    print('called')\n    return 3 * x\n"
    report = grade(run, tiny_course.answer_with(course, double=body))
    assert result(report, "double_doubles").diagnosis["mistake"] == "tripled"
    assert report.output == "called\n" * 2
    assert report.score == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "verdict", "sentence"),
    [
        ("import os\ndef double(x):\n    os._exit(0)\n", "violation", "exit code 0"),
        ("import os, signal\ndef double(x):\n    os.kill(os.getpid(), 11)\n", "violation", "SIGSEGV"),
        ("def double(x):\n    while True: pass\n", "timeout", "longer than 3 s"),
        ("def double(x):\n    raise SystemExit(0)\n", "raised", "SystemExit: 0"),
    ],
)
def test_each_way_to_fail_has_its_verdict_and_the_others_still_run(course, run, body, verdict, sentence):
    """A worker that dies or hangs is replaced by one that starts anew."""
    report = grade(run, tiny_course.answer_with(course, double=body))
    first = result(report, "double_keeps_the_shape")
    assert (first.verdict, report.complete, report.score) == (verdict, True, 3)
    assert sentence in first.message


def test_the_stub_starts_no_worker(course, run):
    """Every part is `missing`."""
    report = grade(run, course.exercise("tiny").released_source)
    assert set(verdicts(report).values()) == {"missing"}


class Enough(Exception):
    """Raised by who waits."""


def test_what_nobody_waits_for_is_abandoned(course, run):
    """The checker ends with its worker and starts anew; the next submission is graded as ever."""
    hanging = submission(tiny_course.answer_with(course, double="def double(x):\n    while True: pass\n"))
    before = run._process.pid

    def idle():
        if children_of(before):
            raise Enough

    with pytest.raises(Enough):
        list(run.grade([hanging], idle=idle))
    assert run._process.pid != before
    assert wait_until(lambda: not children_of(before), 10)
    assert grade(run, tiny_course.answer_with(course)).score == 6


def children_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def test_a_check_that_cannot_be_loaded_is_our_fault(tmp_path):
    """The run ends before any submission, with the file's name."""
    course = tiny_course.make(tmp_path)
    (tmp_path / "solutions/tiny/checks/hidden/test_broken.py").write_text("import nothing_like_this\n")
    plan = RunPlan(course.exercise("tiny"), RunSettings("quick", SEED, mode="none"), hidden=True)
    with pytest.raises(GraderFault, match=r"test_broken.py.*nothing_like_this"):
        SpawnedRun(plan)


def test_the_command_takes_this_path_when_told_to(course, tmp_path):
    """A hidden flag; one sentence says that it is practice, and asking for isolation is refused."""
    shutil.copytree(course.root / "assignments", tmp_path / "assignments")
    (tmp_path / "tiny.py").write_text(tiny_course.answer_with(course))
    arguments = ("check", "tiny.py", "--spawn", "--format", "json")
    done = dlgrade(*arguments, cwd=tmp_path)
    report = json.loads(done.stdout)
    assert (done.returncode, report["score"], report["isolation"]) == (0, 6, "none")
    assert "practice mode: your code runs unconfined" in done.stderr
    refused = dlgrade(*arguments, "--isolation", "core", cwd=tmp_path)
    assert refused.returncode == 3
    assert "isolation 'core' needs Linux" in refused.stderr


def test_an_interrupt_leaves_nothing(course, tmp_path):
    """Checker and worker end with the command, also when it is killed and can do nothing about it."""
    (tmp_path / "tiny.py").write_text(
        tiny_course.answer_with(course, double="def double(x):\n    while True: pass\n")
    )
    process = started("check", "tiny.py", "--spawn", "--course", course.root, cwd=tmp_path)
    try:
        # One process with one child: a child that has not yet exec'ed still carries the checker's arguments.
        assert wait_until(lambda: [len(children_of(pid)) for pid in forked_from(process.pid)] == [1])
        [checker] = forked_from(process.pid)
        workers = [int(pid) for pid in children_of(checker)]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in (checker, *workers)), 20)
    finally:
        process.kill()


WITHOUT = """
import os, sys
for name in ("resource", "fcntl", "termios", "tty"):
    sys.modules[name] = None
for name in ("fork", "pidfd_open", "pipe2", "sysconf", "O_DIRECTORY", "geteuid"):
    delattr(os, name)
sys.platform = "win32"
import dlgrade.cli, dlgrade.checking, dlgrade.watching, dlgrade.watch_page, dlgrade.hinting
import dlgrade.spawned, dlgrade.spawned_checker, dlgrade.spawned_worker, dlgrade.debugging, dlgrade.probing
assert dlgrade.spawned.needed()
assert dlgrade.probing.strongest("none") == "none"
"""


def test_what_a_student_needs_imports_without_what_only_linux_has(tmp_path):
    """No `resource`, `fcntl` or `termios`, no fork, pidfd or pipe2 is needed to import the modules."""
    command = [
        sys.executable,
        "-c",
        "import click, torch, pytest, rich.console, subprocess, socket, tempfile\n" + WITHOUT,
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert os.name == "posix"  # where this stands in for another system
