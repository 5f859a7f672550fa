"""`dlgrade grade`, `build` and `verify` on the real engine, and the folder of results."""

import csv
import io
import json
import re

import pytest

from dlgrade.report import CheckResult, Report
from dlgrade.results import ResultsFolder, grades_csv, safe_id
from tests.autograder import tiny_course
from tests.autograder.command_line import dlgrade


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return tiny_course.make(tmp_path_factory.mktemp("course"))


def report(submission: str, verdict: str = "passed", student: str = "") -> Report:
    points = 2.0 if verdict == "passed" else 0.0
    check = CheckResult("c", "part", "value", "title", False, verdict, points, 2.0)
    return Report("tiny", submission, student, "quick", 5, (check,))


def grades(folder) -> list[dict[str, str]]:
    with (folder / "grades.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_batch_is_graded_whatever_is_in_it(course, tmp_path):
    """A row for each submission, one secret seed for all, exit 1, and files that agree with the table."""
    answers = {
        "anna": tiny_course.answer_with(course).encode(),
        "bert": tiny_course.answer_with(course, double="def double(x):\n    return 3 * x\n").encode(),
        "carl": b"def double(x:\n",
        "=dora": b"\x00\xff\x00",
        "emil": b"import os\nos._exit(0)\n",
    }
    for name, content in answers.items():
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "tiny.py").write_bytes(content)
    out = tmp_path / "out"
    done = dlgrade("grade", "tiny", tmp_path / "in", "--out", out, "--tier", "quick", cwd=course.root)
    assert done.returncode == 1
    rows = {row["student"]: row for row in grades(out)}
    assert {name: float(row["score"]) for name, row in rows.items()} == {
        "anna": 10, "bert": 7, "carl": 0, "'=dora": 0, "emil": 0,
    }  # fmt: skip
    reports = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    [seed] = {report["seed"] for report in reports}
    assert f"seed {seed}" in done.stderr
    assert seed > 1 << 20  # not a number anyone would guess
    assert all(report["complete"] and report["isolation"] != "none" for report in reports)
    single = {json.loads(file.read_text())["submission"] for file in (out / "reports").iterdir()}
    assert single == {report["submission"] for report in reports} == {f"{name}/tiny.py" for name in answers}
    table = " ".join(done.stdout.split())
    assert "anna/tiny.py 10 10 6 passed" in table
    assert "5 submissions, tier quick" in table
    assert "You add the input" in table
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_none_has_to_be_asked_for_and_warns(course):
    """Graded without isolation, and told that the scores are worth nothing; JSON on stdout alone."""
    done = dlgrade(
        "grade", "tiny", "solutions/tiny/tiny.py", "--isolation", "none", "--format", "json", "--seed", 3,
        cwd=course.root,
    )  # fmt: skip
    assert done.returncode == 0
    assert "scores are not trustworthy" in done.stderr
    [line] = done.stdout.splitlines()
    values = json.loads(line)
    assert (values["isolation"], values["seed"], values["tier"], values["score"]) == ("none", 3, "cpu", 11)


def test_build_tells_of_drift_and_mends_it(tmp_path):
    """`build --check` writes nothing and ends with 1 where `build` would; recorded answers count, too."""
    course = tiny_course.make(tmp_path)
    released = tmp_path / "assignments" / "tiny"
    (released / "tiny.py").write_text("# changed\n")
    drift = "assignments/tiny/fingerprints.json\nassignments/tiny/tiny.py\n"
    checked = dlgrade("build", "tiny", "--check", cwd=course.root)
    assert (checked.returncode, checked.stdout) == (1, drift)
    assert (released / "tiny.py").read_text() == "# changed\n"
    built = dlgrade("build", cwd=course.root)
    assert (built.returncode, built.stdout) == (0, drift)
    assert (released / "tiny.py").read_text() != "# changed\n"


def test_verify_ends_with_1_where_a_property_does_not_hold(tmp_path):
    """Every mistake is tried, and one that nothing catches is a problem."""
    course = tiny_course.make(tmp_path)
    mistakes = tmp_path / "solutions/tiny/mistakes.toml"
    mistakes.write_text(mistakes.read_text().replace("3 * x", "2 * x + 0"))
    done = dlgrade("verify", "tiny", "--format", "json", cwd=course.root)
    proof = json.loads(done.stdout)
    assert done.returncode == 1
    assert (proof["mistakes"], proof["caught"], len(proof["matrix"])) == (6, 5, 6)
    assert "mistake 'tripled' is not caught by double_doubles: passed" in proof["problems"]


# --- the folder of results ----------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_the_grades_is_a_formula(start):
    """A name that a spreadsheet would run is quoted; a harmless one stays as it is."""
    text = grades_csv([report(f"{start}cmd|' /C calc'!A0", student="anna")])
    [row] = csv.DictReader(io.StringIO(text, newline=""))
    assert row["submission"] == f"'{start}cmd|' /C calc'!A0"
    assert row["student"] == "anna"


def test_a_report_that_is_not_complete_has_no_score():
    """Nobody may import the 0 points of our own fault; the maximum stays."""
    [row] = csv.DictReader(io.StringIO(grades_csv([report("anna", "internal")])))
    assert (row["score"], row["max_score"], row["complete"]) == ("", "2.0", "false")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b/c.py", ".hidden", "x" * 500, "naïve ☃\u202e", "", "CON"]
)
def test_file_names_come_from_ids_never_from_students(name):
    """Plain characters, a bounded length, no way out of the folder."""
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", safe_id(name))


def test_names_that_look_alike_get_different_files():
    """Also on a file system that ignores case."""
    names = ["Anna/a.py", "anna/a.py", "anna_a.py", "anna a.py"]
    assert len({safe_id(name).lower() for name in names}) == len(names)


def test_results_are_whole_after_each_report(tmp_path):
    """After every single one the table, the lines and the file are there, and nothing half written."""
    folder = ResultsFolder(tmp_path / "out")
    for number, name in enumerate(["b.py", "a.py"], 1):
        folder.add(report(name))
        lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
        rows = grades(tmp_path / "out")
        assert len(lines) == len(rows) == len(list((tmp_path / "out" / "reports").iterdir())) == number
    assert [row["submission"] for row in rows] == ["a.py", "b.py"]
    assert not list((tmp_path / "out").rglob(".*"))


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_graded(course, tmp_path):
    """Exit 2 with the path, at once."""
    (tmp_path / "file").write_text("")
    done = dlgrade("grade", "tiny", "solutions/tiny", "--out", tmp_path / "file" / "x", cwd=course.root)
    assert done.returncode == 2
    assert "cannot be written: Not a directory" in done.stderr
