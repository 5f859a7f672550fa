"""The command line: what it refuses, how it ends, and that it loads only what a command needs."""

import re
import signal
import subprocess
import sys

import pytest

from dlgrade import cli
from dlgrade.build import build
from dlgrade.fingerprints import fingerprints
from tests.autograder import tiny_course
from tests.autograder.command_line import DLGRADE, dlgrade, environment, forked_from, started, wait_until

HEAVY = {"torch", "numpy", "pytest", "rich", "nbformat", "transformers"}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    made = tiny_course.make(tmp_path_factory.mktemp("course"))
    build(made, ["tiny"], extra=fingerprints(made.exercise("tiny")))
    return made


@pytest.fixture
def answer(course, tmp_path):
    """Writes an answer's text or bytes into a file of its own and returns the path."""

    def write(content: str | bytes, name: str = "tiny.py"):
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return write


# --- parsing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["check", "--help"], 0),
        (["chekc"], 2),
        (["check", "--tier", "tpu"], 2),
        (["grade"], 2),
    ],
)
def test_help_and_usage_errors_load_nothing_heavy(arguments, code, tmp_path):
    """No torch, NumPy, pytest or rich is imported to print help or to refuse a command line."""
    command = [sys.executable, "-X", "importtime", DLGRADE, *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert done.returncode == code
    assert "click" in imported
    assert not imported & HEAVY


def test_help_lists_the_commands_in_the_order_in_which_they_are_met(tmp_path):
    """list, start, hint and check come first, what staff do after them."""
    text = dlgrade("--help", cwd=tmp_path).stdout
    names = re.findall(r"^  ([a-z]+) ", text.partition("Commands:")[2], re.MULTILINE)
    assert names[:5] == ["list", "start", "hint", "check", "grade"]
    assert names.index("build") < names.index("verify") < names.index("data")


def test_list_names_every_exercise_with_its_parts(course):
    """Name, title and parts of each."""
    done = dlgrade("list", cwd=course.root)
    assert done.returncode == 0
    assert "tiny  A tiny exercise" in done.stdout
    assert "parts: double, Affine, descend" in done.stdout


def test_start_copies_an_exercise_that_check_then_recognises(course, tmp_path):
    """The copy lies in a folder of the exercise's name, as a .py file or as a notebook."""
    done = dlgrade("start", "tiny", "--course", course.root, cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "tiny" / "tiny.py").is_file()
    assert dlgrade("start", "tiny", "n", "--notebook", "--course", course.root, cwd=tmp_path).returncode == 0
    assert (tmp_path / "n" / "tiny.ipynb").is_file()


# --- one sentence for everything that cannot be done --------------------------------------------------


def refused(done, code: int = 2) -> str:
    """The one line on stderr of a command that did nothing."""
    assert done.returncode == code, done
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("check", "--exercise", "tinny"), "exercise 'tinny' not found; did you mean 'tiny'?"),
        (("grade", "tinny", "."), "exercise 'tinny' not found; did you mean 'tiny'?"),
        (("start", "tinny"), "exercise 'tinny' not found; did you mean 'tiny'?"),
        (("check", "nowhere/tiny.py"), "'nowhere/tiny.py' not found; expected a .py, an .ipynb or a folder"),
        (("check", "nowhere.py"), "'nowhere.py' not found; expected a .py, an .ipynb or a folder"),
        (("check", "solutions/tiny/tini.py"), "did you mean 'solutions/tiny/tiny.py'?"),
        (
            ("check", "tiny"),
            "expected a .py, an .ipynb or a folder; 'dlgrade start tiny' makes the folder 'tiny'",
        ),
        (
            ("check", "tinny"),
            "'tinny' not found; expected a .py, an .ipynb or a folder; 'dlgrade start tiny'",
        ),
        (("grade", "tiny", "nowhere"), "'nowhere' not found"),
        (("check", "solutions/tiny/README.md"), "is neither a .py nor an .ipynb file"),
        (("check", "solutions"), "cannot tell which exercise 'solutions' answers; name it with --exercise"),
        (("check", "solutions/tiny/tiny.py", "--part", "half"), "exercise 'tiny' has no part 'half'"),
        (("list", "--course", "reference"), "--course 'reference' has no assignments/ or solutions/ in it"),
    ],
)
def test_what_cannot_be_found_is_told_in_one_sentence(course, arguments, sentence):
    """Exit 2, nothing on stdout, and a sentence that names the thing and the way out."""
    assert sentence in refused(dlgrade(*arguments, cwd=course.root))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "tiny.py is empty; expected your answer to tiny"),
        (b" \n\n", "tiny.py is empty"),
        (b"\x7fELF\x00\x01", "has a NUL character at position 4: it is binary"),
        (b"# " + b"x" * 10_000_000, "has 10000002 bytes, expected at most 1000000"),
        ("# für dich\n".encode("latin-1"), "is not valid utf-8 at byte 3 (0xfc); save it again as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_sentence(course, answer, content, sentence):
    """Exit 2 at once, before torch is loaded."""
    done = dlgrade("check", answer(content), "--course", course.root, cwd=course.root)
    assert sentence in refused(done)


def test_a_syntax_error_is_shown_with_its_line_at_once(course, answer):
    """Exit 1, as the answer is wrong and the command is not; the line is named and shown."""
    path = answer("import torch\n\ndef double(x:\n    return x\n")
    done = dlgrade("check", path, "--course", course.root, cwd=course.root)
    assert done.returncode == 1
    assert done.stdout == "tiny.py, line 3: '(' was never closed: def double(x:\n"
    assert done.stderr == ""


def test_grading_needs_the_staffs_course(course, answer, tmp_path):
    """In a course without solutions grade, build and verify say so."""
    (tmp_path / "assignments").symlink_to(course.root / "assignments")
    path = answer(tiny_course.answer_with(course))
    assert "needs the staff's course" in refused(dlgrade("grade", "tiny", path, cwd=tmp_path))
    assert "has no solutions/" in refused(dlgrade("verify", "--course", tmp_path, cwd=tmp_path))
    assert "has no solutions/" in refused(dlgrade("build", "--course", tmp_path, cwd=tmp_path))


def test_an_error_nobody_foresaw_is_a_sentence_and_a_log(monkeypatch, capsys, tmp_path):
    """Exit 3; the traceback is in the file that the sentence names."""

    def broken(_course):  # stands in for a bug, of which there is none to use
        raise ZeroDivisionError("a secret of the grader")

    monkeypatch.setattr("dlgrade.listing.listing", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli.run(["list"]) == 3
    [line] = capsys.readouterr().err.splitlines()
    [log] = tmp_path.iterdir()
    assert line == f"dlgrade: unexpected ZeroDivisionError, our own fault; the traceback is in {log}"
    assert "a secret of the grader" in log.read_text()


# --- ending early -------------------------------------------------------------------------------------


def interrupt(process, number: signal.Signals, when) -> tuple[int, str, str]:
    """Signal the command alone once `when` holds; its end, after which nothing of it may live."""
    assert wait_until(lambda: process.poll() is not None or when())
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert wait_until(lambda: not forked_from(process.pid), 10)
    return process.returncode, out, err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_while_torch_loads_leaves_nothing(course, number, code):
    """One line at most, no traceback, no process; SIGTERM ends in the same way."""
    process = started("check", "solutions/tiny/tiny.py", cwd=course.root)
    ended, out, err = interrupt(process, number, lambda: forked_from(process.pid))
    assert ended == code
    assert out == ""
    assert "Traceback" not in err
    assert [line for line in err.splitlines() if line.strip()][1:] == ["dlgrade: interrupted"] * (code == 130)


def test_an_interrupt_in_the_middle_of_a_check_leaves_nothing(course, answer, tmp_path):
    """Zygote, checkers and a worker that sleeps in the student's code all end."""
    path = answer("import time\n\n\ndef double(x):\n    time.sleep(600)\n")
    process = started("check", path, "--course", course.root, cwd=course.root)
    # zygote, checker, the submission's fork of it and that for the next one, and a worker of each
    ended, out, err = interrupt(process, signal.SIGINT, lambda: len(forked_from(process.pid)) >= 6)
    assert (ended, out) == (130, "")
    assert err.splitlines()[-1] == "dlgrade: interrupted"
    assert "Traceback" not in err
