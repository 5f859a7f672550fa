"""`dlgrade grade --gradebook` into nbgrader's database: SQLite, and a real PostgreSQL server."""

import csv
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from dlgrade.classroom.scores import Ledger, open_gradebook
from dlgrade.errors import UsageError
from dlgrade.report import CheckResult, Report
from tests.autograder import tiny_course
from tests.autograder.command_line import dlgrade
from tests.nbgrader.nbgrader_commands import Command, nbgrader


@pytest.fixture(scope="module")
def answers(staff, tmp_path_factory):
    """Two students' .py files: a full answer and a known mistake."""
    folder = tmp_path_factory.mktemp("answers")
    tripled = tiny_course.answer_with(staff, double="def double(x):\n    return 3 * x\n")
    for student, text in {"anna": tiny_course.answer_with(staff), "bert": tripled}.items():
        (folder / student).mkdir()
        (folder / student / "tiny.py").write_text(text)
    return folder


def grade(staff, answers, url: str, *options: str):
    return dlgrade("grade", "tiny", answers, "--gradebook", url, *options, cwd=staff.root)


def exported(folder: Path, url: str) -> dict[str, tuple[float, float]]:
    """Score and maximum by student, as `nbgrader export` writes them."""
    (folder / "nbgrader_config.py").write_text(f"c = get_config()\nc.CourseDirectory.db_url = {url!r}\n")
    [done] = nbgrader(Command(["export"], str(folder)))
    assert done.code == 0, done.output
    with (folder / "grades.csv").open(newline="") as file:
        return {
            row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in csv.DictReader(file)
        }


def test_py_submissions_are_in_nbgraders_export(staff, answers, tmp_path):
    """Into a database that did not exist: one row a student, each check cell with its part's points."""
    url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    done = grade(staff, answers, url)
    assert done.returncode == 1, done.stderr
    assert exported(tmp_path, url) == {"anna": (11, 11), "bert": (8, 11)}
    with Gradebook(url) as book:
        assert book.find_grade("double-check", "tiny", "tiny", "bert").auto_score == 1
        assert not book.find_grade("double-check", "tiny", "tiny", "bert").needs_manual_grade


def test_an_unusable_gradebook_is_refused_before_grading(staff, answers):
    """Exit 2 with one sentence, and nothing was graded."""
    done = grade(staff, answers, "sqlite:////nowhere/at/all.db")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("dlgrade: --gradebook cannot be used: ")
    assert done.stdout == ""


@pytest.mark.parametrize("url", ["no address", "nosuchdatabase://x/y", "postgresql://x@/y?host=/nowhere"])
def test_what_is_no_address_of_a_database_is_refused(staff, url):
    """One sentence with the reason and an address that would do."""
    with pytest.raises(UsageError, match="--gradebook cannot be used: "):
        Ledger(url, staff.exercise("tiny"), "cpu")


def test_another_tier_than_the_graded_one_is_refused(staff):
    """A quick run has fewer points than the gradebook's maximum, so it may not be recorded."""
    with pytest.raises(UsageError, match="points of tier 'cpu', and this run is of tier 'quick'"):
        Ledger("sqlite://", staff.exercise("tiny"), "quick")


def test_points_that_changed_since_the_release_are_refused(staff, tmp_path):
    """Where the gradebook's maximum is another one, the message says how to bring both together."""
    url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    with open_gradebook(url) as book:
        book.add_assignment("tiny")
        book.add_notebook("tiny", "tiny")
        book.add_grade_cell("double-check", "tiny", "tiny", max_score=99, cell_type="code")
    with pytest.raises(UsageError, match="99 points for 'double-check' of tiny, and its checks are worth 4"):
        Ledger(url, staff.exercise("tiny"), "cpu")


def test_an_incomplete_report_is_not_recorded(staff, tmp_path):
    """What the grader could not judge stays out of the gradebook, to be graded again."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'gradebook.db'}", staff.exercise("tiny"), "cpu")
    ledger.record(Report("tiny", "anna/tiny.py", "anna", "cpu", 5, (), fault="the checker ended"))
    ledger.close()
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        assert book.students == []


def test_a_check_is_taken_back_in_the_gradebook(staff, answers, tmp_path):
    """Voided: the check counts in full, in the database and for its export; restored: as it was graded."""
    url, out = f"sqlite:///{tmp_path / 'gradebook.db'}", tmp_path / "out"
    assert grade(staff, answers, url, "--out", str(out)).returncode == 1
    assert exported(tmp_path, url) == {"anna": (11, 11), "bert": (8, 11)}
    rescore = ("rescore", out, "--gradebook", url)
    done = dlgrade(*rescore, "--void", "double_doubles", cwd=staff.root)
    assert done.stdout.splitlines() == ["bert/tiny.py: 8 -> 10 of 11", "1 of 2 scores changed"], done.stderr
    assert exported(tmp_path, url) == {"anna": (11, 11), "bert": (10, 11)}
    assert dlgrade(*rescore, "--restore", "double_doubles", cwd=staff.root).returncode == 0
    assert exported(tmp_path, url) == {"anna": (11, 11), "bert": (8, 11)}


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """The address of a server that only this test knows, on a socket in a folder of its own."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [
        Path(shutil.which("initdb") or "").parent
    ]
    if not (programs[-1] / "initdb").is_file():
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = tmp_path_factory.mktemp("postgres")
    as_postgres = []
    if os.getuid() == 0:  # the server refuses to run as root
        for place in (folder, *folder.parents):
            if Path(tempfile.gettempdir()) in place.parents:
                place.chmod(0o755)
        shutil.chown(folder, "postgres")
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = folder / "data"
    run = [
        *as_postgres,
        str(programs[-1] / "initdb"),
        "-D",
        str(data),
        "-U",
        "grader",
        "--auth=trust",
        "--no-sync",
    ]
    subprocess.run(run, check=True, capture_output=True, cwd=folder)
    options = f"-k {folder} -h '' -F"
    control = [*as_postgres, str(programs[-1] / "pg_ctl"), "-D", str(data), "-w"]
    subprocess.run(
        [*control, "-o", options, "-l", str(folder / "log"), "start"],
        check=True,
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    yield f"postgresql://grader@/postgres?host={folder}"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=folder)


def test_postgresql_holds_the_same_grades(staff, answers, postgres, tmp_path):
    """On a real server: recorded, exported and scored again; a student graded again is the same row."""
    done = grade(staff, answers, postgres, "--out", str(tmp_path / "out"))
    assert done.returncode == 1, done.stderr
    assert exported(tmp_path, postgres) == {"anna": (11, 11), "bert": (8, 11)}
    void = ("rescore", tmp_path / "out", "--void", "double_doubles", "--gradebook", postgres)
    assert dlgrade(*void, cwd=staff.root).returncode == 0
    assert exported(tmp_path, postgres) == {"anna": (11, 11), "bert": (10, 11)}
    better = CheckResult("c", "double", "value", "title", False, "passed", 4.0, 4.0)
    ledger = Ledger(postgres, staff.exercise("tiny"), "cpu")
    ledger.record(Report("tiny", "bert/tiny.py", "bert", "cpu", 5, (better,)))
    ledger.close()
    assert exported(tmp_path, postgres) == {"anna": (11, 11), "bert": (4, 11)}
