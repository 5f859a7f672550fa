"""Checks that are taken back after grading."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from dlgrade.item_analysis import analyse
from dlgrade.report import CheckResult, Report
from dlgrade.results import ResultsFolder, reports_in
from dlgrade.voiding import standing
from tests.autograder.command_line import dlgrade


def check(name: str, verdict: str) -> CheckResult:
    points = 2.0 if verdict == "passed" else 0.0
    return CheckResult(name, "Part", "value", f"title {name}", False, verdict, points, 2.0, message="why")


def report(student: str, first: str, second: str = "passed") -> Report:
    checks = (check("first", first), check("second", second))
    return Report("tiny", f"{student}/tiny.py", student, "quick", 5, checks)


@pytest.fixture
def out(tmp_path) -> Path:
    """Four students: one has it all, one fails, one wrote nothing, one was not judged."""
    verdicts = {"anna": ("passed",), "bert": ("failed", "blocked"), "carl": ("missing", "missing")}
    with ResultsFolder(tmp_path / "out") as folder:
        for student, found in verdicts.items():
            folder.add(report(student, *found))
        folder.add(report("dora", "internal"))
    return tmp_path / "out"


def grades(out: Path) -> dict[str, str]:
    """Scores in the table, by student."""
    with (out / "grades.csv").open(newline="") as file:
        return {row["student"]: row["score"] for row in csv.DictReader(file)}


def test_a_void_check_counts_in_full_where_the_part_is_there(out):
    """Who failed it or was not judged by it has its points, who wrote nothing has none, no one loses any."""
    assert grades(out) == {"anna": "4.0", "bert": "0.0", "carl": "0.0", "dora": ""}
    done = dlgrade("rescore", out, "--void", "first", cwd=out)
    assert done.returncode == 0, done.stderr
    assert grades(out) == {"anna": "4.0", "bert": "2.0", "carl": "0.0", "dora": "4.0"}
    assert done.stdout.splitlines()[:3] == [
        "bert/tiny.py: 0 -> 2 of 4",
        "dora/tiny.py: not judged -> 4 of 4",
        "2 of 4 scores changed",
    ]


def test_what_the_void_check_held_up_is_named(out):
    """Blocked checks of the same part never ran: that they still count 0 is said, with the way out."""
    done = dlgrade("rescore", out, "--void", "first", cwd=out)
    assert "1 did not pass first and have blocked checks of the same part" in done.stdout
    assert "'dlgrade grade --regrade' runs them" in done.stdout


def test_what_was_graded_stays_and_can_be_restored(out):
    """The reports keep what was found, so restoring gives every score back; each change is in changes.csv."""
    before = {file.name: file.read_bytes() for file in (out / "reports").iterdir()}
    scores = grades(out)
    dlgrade("rescore", out, "--void", "first", cwd=out)
    assert {file.name: file.read_bytes() for file in (out / "reports").iterdir()} == before
    assert json.loads((out / "voided.json").read_text()) == ["first"]
    dlgrade("rescore", out, "--restore", "first", cwd=out)
    assert grades(out) == scores
    assert (out / "changes.csv").read_text().count("bert/tiny.py,bert") == 2


def test_everything_made_from_the_reports_follows(out):
    """Lines, exports and the analysis are by what counts, and say which check was taken back."""
    dlgrade("rescore", out, "--void", "first", cwd=out)
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert {line["student"]: line["score"] for line in lines} == {"anna": 4, "bert": 2, "carl": 0, "dora": 4}
    titles = {line["student"]: line["checks"][0]["title"] for line in lines}
    assert titles["anna"] == titles["bert"] == "title first (taken back: it counts in full)"
    assert titles["carl"] == "title first"
    canvas = dlgrade("export", out, "--to", "canvas", cwd=out).stdout
    assert "bert,,,bert,,2.0" in canvas
    assert len(analyse(reports_in(out)).judged) == 4


def test_a_later_submission_is_scored_alike(out):
    """What is graded into the folder afterwards counts by the same rule."""
    dlgrade("rescore", out, "--void", "first", cwd=out)
    with ResultsFolder(out) as folder:
        folder.add(report("emil", "failed"))
    assert grades(out)["emil"] == "4.0"


def test_nothing_of_what_was_found_is_told_of_a_void_check():
    """No message, diagnosis, help or traceback is left of what a wrong check said."""
    said = {"help": "h", "diagnosis": {"mistake": "m", "text": "t"}, "frames": ((1, "f", "x"),)}
    failed = replace(check("first", "failed"), **said)
    [after] = standing(Report("e", "s", "s", "quick", 1, (failed,)), {"first"}).checks
    assert (after.verdict, after.points) == ("passed", 2.0)
    assert [after.message, after.help, after.diagnosis, after.frames] == ["", "", None, ()]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--void", "third"), "'third' is no check of tiny; it has first, second"),
        (("--void", "first", "--restore", "first"), "'first' is both taken back and restored; name it once"),
    ],
)
def test_what_cannot_be_taken_back_is_refused(out, arguments, sentence):
    """Exit 2 with one sentence, and nothing was written."""
    done = dlgrade("rescore", out, *arguments, cwd=out)
    assert (done.returncode, done.stderr) == (2, f"dlgrade: {sentence}\n")
    assert not (out / "voided.json").exists()


def test_a_folder_without_results_is_refused(tmp_path):
    """The sentence says what would write them; no folder is made."""
    done = dlgrade("rescore", tmp_path / "none", "--void", "first", cwd=tmp_path)
    assert done.returncode == 2
    assert "expected what 'dlgrade grade --out" in done.stderr
    assert not (tmp_path / "none").exists()
