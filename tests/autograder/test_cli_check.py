"""`dlgrade check` on the real engine: what staff and students get, and what their code may do to it."""

import json
import shutil
import subprocess
import sys

import pytest

from dlgrade.build import build
from dlgrade.fingerprints import fingerprints
from dlgrade.runsettings import PUBLISHED_SEED
from tests.autograder import tiny_course
from tests.autograder.command_line import DLGRADE, dlgrade, environment

TRIPLED = "def double(x):\n    print('called with', tuple(x.shape))\n    return 3 * x\n"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    made = tiny_course.make(tmp_path_factory.mktemp("course"))
    build(made, ["tiny"], extra=fingerprints(made.exercise("tiny")))
    return made


@pytest.fixture
def student(course, tmp_path):
    """A course folder as a student has it: assignments only."""
    shutil.copytree(course.root / "assignments", tmp_path / "student" / "assignments")
    return tmp_path / "student"


def one_report(text: str) -> dict:
    [line] = text.splitlines()
    return json.loads(line)


def test_staff_check_hidden_checks_too(course):
    """The full answer passes everything of the tier: exit 0, and the report as one line of JSON on stdout."""
    done = dlgrade("check", "solutions/tiny/tiny.py", "--format", "json", "--seed", 7, cwd=course.root)
    report = one_report(done.stdout)
    assert done.returncode == 0
    assert (report["score"], report["max_score"], report["deferred_points"]) == (10, 10, 1)
    assert (report["tier"], report["seed"], report["hidden_left"]) == ("quick", 7, 0)
    assert sum(check["hidden"] for check in report["checks"]) == 3


def test_a_student_sees_a_mistake_by_name_and_what_is_left_for_grading(student, course):
    """From a folder without staff files: exit 1, the sentence, the next step, and never a full score."""
    (student / "tiny.py").write_text(tiny_course.answer_with(course, double=TRIPLED))
    done = dlgrade("check", "tiny.py", cwd=student)
    assert done.returncode == 1
    assert "mistake: You add the input three times." in done.stdout
    assert "next: add it to itself" in done.stdout
    assert "called with (2, 3)" in done.stdout
    assert "Score on the visible checks: 4 / 6" in done.stdout
    assert "3 hidden checks (5 points) run at grading." in done.stdout
    assert done.stdout.endswith("Next: mend double, then\n      dlgrade check tiny.py --part double\n")
    assert "100" not in done.stdout
    assert "\x1b" not in done.stdout


def test_a_student_is_checked_at_the_published_seed(student, course):
    """So that the recorded answers fit; a part alone can be checked, and the others are left out."""
    (student / "tiny.py").write_text(tiny_course.answer_with(course))
    done = dlgrade("check", "tiny.py", "--part", "double", "--format", "json", cwd=student)
    report = one_report(done.stdout)
    assert report["seed"] == PUBLISHED_SEED
    assert (done.returncode, report["score"], report["max_score"]) == (0, 3, 3)


def test_code_at_the_top_level_can_do_nothing_but_fail(course, tmp_path):
    """Raising, exiting, sleeping and printing a megabyte each end in a verdict, told once and capped."""
    tops = {
        "raises": "raise ValueError('[bold]no\\x1b[31m')\n",
        "exits": "import sys\nsys.exit(0)\n",
        "sleeps": "import time\ntime.sleep(600)\n",
        "prints": "print('x' * 1000)\n" + "print('line')\n" * 20 + "print('y' * (1 << 20))\n",
    }
    for name, top in tops.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "tiny.py").write_text(top + tiny_course.answer_with(course))
    done = dlgrade("check", tmp_path, "--exercise", "tiny", "--course", course.root, cwd=course.root)
    pages = dict(
        zip(("exits", "prints", "raises", "sleeps"), done.stdout.split("A tiny exercise")[1:], strict=True)
    )
    assert done.returncode == 1
    assert pages["raises"].count("ValueError: [bold]no\\x1b[31m") == 1
    assert "tiny.py:1 in <module>" in pages["raises"]
    assert "SystemExit: 0" in pages["exits"]
    assert "took longer than 3 s" in pages["sleeps"]
    assert "Score: 10 / 10" in pages["prints"]
    assert len(pages["prints"]) < 20_000
    lines = [line for line in done.stdout.splitlines() if "dlgrade check" not in line]
    assert max(map(len, lines)) <= 80


REFUSING_KERNEL = """
import errno, os, sys
from dlgrade import kernel
if os.geteuid() != 0:
    kernel.no_new_privileges()
kernel.seccomp({"landlock_create_ruleset": kernel.deny(errno.ENOSYS)}, kernel._ALLOW)
os.execv(sys.argv[1], sys.argv[1:])
"""


def on_a_kernel_without_landlock(*arguments, cwd):
    """The command in a process whose kernel refuses what `core` and `full` need."""
    command = [sys.executable, "-c", REFUSING_KERNEL, DLGRADE, *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, encoding="utf-8", timeout=120, check=False
    )


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp stands in for another kernel")
def test_without_isolation_check_is_practice_and_says_so(course):
    """One sentence on stderr, and the report says none."""
    done = on_a_kernel_without_landlock(
        "check", "solutions/tiny/tiny.py", "--format", "json", cwd=course.root
    )
    [sentence] = [line for line in done.stderr.splitlines() if "practice mode" in line]
    assert "your code runs unconfined" in sentence
    assert "landlock" in sentence
    assert one_report(done.stdout)["isolation"] == "none"


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp stands in for another kernel")
@pytest.mark.parametrize(
    "arguments",
    [("grade", "tiny", "solutions/tiny/tiny.py"), ("check", "solutions/tiny/tiny.py", "--isolation", "core")],
)
def test_without_isolation_nothing_is_graded(course, arguments):
    """`grade`, and `check` when a mode is asked for, refuse with exit 3 and the reason."""
    done = on_a_kernel_without_landlock(*arguments, cwd=course.root)
    assert done.returncode == 3
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert "is not possible here" in line


def test_a_check_that_cannot_be_loaded_is_our_fault(tmp_path):
    """Exit 3, one sentence with the file's name, no score."""
    course = tiny_course.make(tmp_path)
    (tmp_path / "solutions/tiny/checks/hidden/test_broken.py").write_text("import nothing_like_this\n")
    done = dlgrade("check", "solutions/tiny/tiny.py", cwd=course.root)
    assert (done.returncode, done.stdout) == (3, "")
    assert "test_broken.py" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_a_terminal_gets_colours_and_a_spinner(student):
    """On a terminal what is going on is shown while torch loads, and the page is coloured."""
    import pexpect

    seen = pexpect.run(
        f"{DLGRADE} check assignments/tiny/tiny.py",
        cwd=str(student),
        env=environment(TERM="xterm-256color"),
        encoding="utf-8",
        timeout=60,
    )
    before, _, page = seen.partition("A tiny exercise")
    assert "loading torch" in before
    assert "\x1b[33mmissing" in page
    assert "not filled in yet: double is still the stub" in page
