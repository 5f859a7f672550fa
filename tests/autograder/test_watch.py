"""`dlgrade check --watch` in a terminal: what a save checks again, what the keys do, and how it ends."""

import json
import shutil
import signal
import sys

import pytest

from dlgrade.build import build
from dlgrade.fingerprints import fingerprints
from dlgrade.keyboard import Keys, opened
from dlgrade.places import place
from dlgrade.saves import GONE_SECONDS, QUIET_SECONDS, Saves
from tests.autograder import tiny_course
from tests.autograder.command_line import dlgrade, forked_from, started, wait_until
from tests.autograder.terminal import Terminal, save_by_moving

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")

TRIPLED = "def double(x):\n    print('called with', tuple(x.shape))\n    return 3 * x\n"
HANGS = "def double(x):\n    while True: pass\n"
PASSES = "Every part passes here. 3 hidden checks (5 points) run at grading."


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    made = tiny_course.make(tmp_path_factory.mktemp("course"))
    build(made, ["tiny"], extra=fingerprints(made.exercise("tiny")))
    return made


@pytest.fixture
def home(course, tmp_path):
    """The folder of a student who has just started the exercise."""
    shutil.copytree(course.root / "assignments", tmp_path / "assignments")
    dlgrade("start", "tiny", cwd=tmp_path)
    return tmp_path / "tiny"


@pytest.fixture
def watching(home):
    """Starts the command in a terminal; it is ended at the latest with the test."""
    terminals = []

    def start(*options, **more) -> Terminal:
        terminals.append(Terminal("check", "--watch", *options, cwd=home, **more))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.child.close(force=True)


# --- a student's session ------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 120])
def test_a_student_starts_fails_takes_a_hint_mends_and_passes(course, home, watching, columns):
    """Every screen says what is open, where, why, and what to do; all keys do what they say."""
    terminal = watching(columns=columns)
    screen = terminal.until("not filled in yet: double is still the stub", "Visible checks: 0 / 6", "q quit")
    assert "○ double   ○ Affine" in screen
    assert f"{home}/tiny.py#12\x1b\\" in terminal.raw  # the link behind tiny.py:12

    save_by_moving(home / "tiny.py", tiny_course.answer_with(course, double=TRIPLED))
    screen = terminal.until("Visible checks: 4 / 6", "q quit")
    assert "✗ double   ✓ Affine" in screen
    assert "mistake: You add the input three times." in screen
    assert "called with (2, 3)" in screen

    terminal.press("h")
    terminal.until("double: hint 1 of 2", "1. think of addition")
    terminal.press("h")
    terminal.until("double: hint 2 of 2", "2. x + x", "That was the last one.")

    save_by_moving(home / "tiny.py", tiny_course.answer_with(course))
    screen = terminal.until(PASSES, "q quit")
    assert "✓ double   ✓ Affine" in screen
    assert "hint 2" not in screen

    terminal.press("\x1b[A")  # the up arrow, whose bytes end in a letter
    terminal.press("p")
    terminal.until("✓ Affine                      3 / 3   tiny.py:")
    assert "Score" not in terminal.text
    terminal.press("A")
    screen = terminal.until("Score on the visible checks: 6 / 6", "q quit")
    assert screen.count("✓ passed") == 4
    terminal.press("q")
    assert terminal.ended() == 0
    assert terminal.echoed
    assert json.loads((home / ".dlgrade.json").read_text())["exercises"]["tiny"]["double"]["shown"] == 2


# --- what is checked again ----------------------------------------------------------------------------


def reports(process, count: int) -> list[dict]:
    """The next lines of JSON."""
    return [json.loads(process.stdout.readline()) for _ in range(count)]


def test_a_save_checks_only_what_it_touches(course, home):
    """What a part printed when it was checked tells whether it ran: untouched parts keep their results."""
    both = {
        "double": "def double(x):\n    print('double ran')\n    return 2 * x\n",
        "Affine": """
            import torch
            from torch import nn
            def loudly(x):
                print('Affine ran')
                return x
            class Affine(nn.Module):
                def __init__(self, width):
                    super().__init__()
                    self.linear = nn.Linear(3, width)
                def forward(self, x):
                    return loudly(self.linear(x))
        """,
    }
    whole = tiny_course.answer_with(course, **both)
    (home / "tiny.py").write_text(whole)
    process = started("check", "--watch", "--format", "json", cwd=home)
    try:
        [first] = reports(process, 1)
        assert (first["score"], first["max_score"]) == (6, 6)
        saves = {
            "double": whole.replace("return 2 * x", "return 3 * x"),
            "Affine": whole.replace("return 2 * x", "return 3 * x").replace(
                "return x\n", "return x.relu()\n"
            ),
        }
        for name, text in saves.items():
            save_by_moving(home / "tiny.py", text)
            [report] = reports(process, 1)
            assert set(report["output"].split()) == {name, "ran"}
        assert report["score"] == 2  # of both parts, whenever they were checked
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.communicate()


def test_the_watch_goes_on_whatever_is_saved(course, home, watching):
    """A syntax error with its line, an empty file, none at all; and a check that hangs is abandoned.

    Ctrl-C in the middle of one leaves no process, and a terminal that echoes again.
    """
    whole = tiny_course.answer_with(course)
    (home / "tiny.py").write_text("import torch\n\ndef double(x:\n    return x\n")
    terminal = watching()
    terminal.until("tiny.py:3  '(' was never closed: def double(x:", "until the next save")
    (home / "tiny.py").write_text("")
    terminal.until("tiny.py is empty; expected your answer to tiny")
    (home / "tiny.py").unlink()
    terminal.until("no submission of tiny in '.'")
    (home / "tiny.py").write_text(tiny_course.answer_with(course, double=HANGS))
    # zygote, checker, the submission's fork of it and that for the next one, and a worker of each
    assert wait_until(lambda: terminal.read() and len(forked_from(terminal.child.pid)) >= 6)
    hanging = forked_from(terminal.child.pid)
    save_by_moving(home / "tiny.py", whole)
    assert "longer than" not in terminal.until(PASSES)
    assert wait_until(lambda: len(hanging & forked_from(terminal.child.pid)) == 2, 10)  # zygote, checker

    save_by_moving(home / "tiny.py", tiny_course.answer_with(course, double=HANGS))
    assert wait_until(lambda: terminal.read() and len(forked_from(terminal.child.pid)) >= 6)
    terminal.press("\x03")
    assert terminal.ended() == 130
    assert terminal.echoed
    assert "dlgrade: interrupted" in terminal.text
    assert "Traceback" not in terminal.raw
    assert wait_until(lambda: not forked_from(terminal.child.pid), 10)


# --- keys ---------------------------------------------------------------------------------------------


def test_a_link_has_the_form_that_the_terminal_knows(tmp_path):
    """Visual Studio Code's own scheme there, a file URL with a fragment elsewhere; blanks are escaped."""
    file = tmp_path / "my file.py"
    code = place(file, 7, {"TERM_PROGRAM": "vscode"})
    assert code.url == f"vscode://file{tmp_path}/my%20file.py:7"
    assert place(file, 7, {}).url.endswith(f"{tmp_path}/my%20file.py#7")
    assert place(tmp_path / "a\x1b.py", 7, {}).shown == "a\\x1b.py:7"


def test_without_a_terminal_there_are_no_keys():
    """Nothing is read and nothing is changed; waiting takes the time it should."""
    with open("/dev/null") as null, opened(null) as keys:  # noqa: PTH123  as a shell redirects
        assert not keys.usable
        assert keys.pressed(0.0) == ""
    assert Keys(None).pressed(0.001) == ""


# --- the end ------------------------------------------------------------------------------------------


def test_several_answers_cannot_be_watched(course, tmp_path):
    """Exit 2 before torch is loaded."""
    for name in ("anna", "ben"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tiny.py").write_text("x = 1\n")
    done = dlgrade("check", tmp_path, "--watch", "--exercise", "tiny", "--course", course.root, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'check --watch' looks at one answer, and there are 2" in done.stderr


# --- saves --------------------------------------------------------------------------------------------


class Clock:
    """A clock that stands still until it is told the time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_save_is_noticed_once_it_has_come_to_rest(tmp_path):
    """Pieces written shortly after one another are one save; so is a file moved over the old one."""
    file, clock = tmp_path / "a.py", Clock()
    file.write_text("1")
    saves = Saves([file], clock)
    assert not saves.settled()
    for number in range(3):
        file.write_text("1" * (number + 2))
        clock.now += QUIET_SECONDS / 2
        assert not saves.settled()
    clock.now += QUIET_SECONDS
    assert saves.settled()
    assert not saves.settled()
    save_by_moving(file, "1111")
    assert not saves.settled()
    clock.now += QUIET_SECONDS
    assert saves.settled()


def test_a_file_may_be_away_for_a_moment(tmp_path):
    """Some editors remove the old file before they put the new one there."""
    file, clock = tmp_path / "a.py", Clock()
    file.write_text("1")
    saves = Saves([file], clock)
    file.unlink()
    clock.now += QUIET_SECONDS * 2
    assert not saves.settled()
    clock.now += GONE_SECONDS / 2
    assert not saves.settled()
    clock.now += GONE_SECONDS
    assert saves.settled()
