"""`dlgrade check --debug`: breakpoints work, because everything runs in one process."""

import pytest

from tests.autograder import tiny_course
from tests.autograder.command_line import dlgrade
from tests.autograder.terminal import Terminal

DEBUGGED = "def double(x):\n    y = 3 * x\n    breakpoint()\n    return y\n"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return tiny_course.make(tmp_path_factory.mktemp("course"))


def test_breakpoint_stops_in_the_students_code(course, tmp_path):
    """The debugger shows the line and the local values, goes on from check to check, and can be left."""
    (tmp_path / "tiny.py").write_text(tiny_course.answer_with(course, double=DEBUGGED))
    terminal = Terminal("check", "tiny.py", "--debug", "--course", course.root, cwd=tmp_path)
    terminal.until(
        "dlgrade: your code runs in this process, unconfined; there is no score", "(Pdb)", "return y"
    )
    terminal.press("p y.shape, y.is_leaf\n")
    terminal.until("(torch.Size([2, 3]), True)")
    terminal.press("c\n")
    terminal.until("double: each value is doubled", "✓ passed")
    terminal.press("q\n")
    assert terminal.ended() == 130
    assert "Score" not in terminal.text


def test_the_visible_checks_of_the_first_open_part_run_and_nothing_is_scored(course, tmp_path):
    """Exit 1 with what was wrong; hidden checks, other parts and points are not there."""
    body = "def double(x):\n    print('here')\n    return x + 'y'\n"
    (tmp_path / "tiny.py").write_text(tiny_course.answer_with(course, double=body))
    done = dlgrade("check", "tiny.py", "--debug", "--course", course.root, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.count("here") == 2
    assert "TypeError: " in done.stdout
    assert "return x + 'y'" in done.stdout
    assert "0 of 2 checks passed" in done.stdout
    assert "secret title" not in done.stdout
    assert "Affine" not in done.stdout
    assert "/ 3" not in done.stdout


def test_a_part_that_is_right_passes(course, tmp_path):
    """Exit 0."""
    (tmp_path / "tiny.py").write_text(tiny_course.answer_with(course))
    done = dlgrade("check", "tiny.py", "--debug", "--part", "Affine", "--course", course.root, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "2 of 2 checks passed" in done.stdout


def test_code_that_does_not_import_is_told(course, tmp_path):
    """Where it raised; no check is run."""
    (tmp_path / "tiny.py").write_text("import absent_package\n" + tiny_course.answer_with(course))
    done = dlgrade("check", "tiny.py", "--debug", "--course", course.root, cwd=tmp_path)
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'absent_package'" in done.stdout
    assert "tiny.py:1 in <module>" in done.stdout


def test_a_part_without_visible_checks_cannot_be_debugged(course, tmp_path):
    """Exit 2."""
    (tmp_path / "tiny.py").write_text(tiny_course.answer_with(course))
    done = dlgrade("check", "tiny.py", "--debug", "--part", "descend", "--course", course.root, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "part 'descend' of exercise 'tiny' has no visible check that can be debugged" in done.stderr
