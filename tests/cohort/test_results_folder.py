"""The results folder when writing goes wrong, on real file systems."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dlgrade.errors import UsageError
from dlgrade.report import CheckResult, Report
from dlgrade.results import ResultsFolder, RunRecord
from tests.autograder import tiny_course
from tests.autograder.command_line import DLGRADE, environment
from tests.cohort import cohorts

# Fill a folder on a file system of 256 KiB, free space, go on: all in a namespace where it can be mounted.
ON_A_FULL_DISK = """
import os, sys
from dlgrade.errors import GraderFault
from dlgrade.report import CheckResult, Report
from dlgrade.results import ResultsFolder
out, ballast = sys.argv[1] + "/out", sys.argv[1] + "/ballast"
check = CheckResult("c", "part", "value", "title" * 200, False, "passed", 2.0, 2.0)
reports = [Report("tiny", f"s{n}.py", "", "quick", 5, (check,)) for n in range(40)]
with open(ballast, "wb") as file:
    file.write(bytes(120_000))
from pathlib import Path
try:
    with ResultsFolder(Path(out)) as folder:
        for number, report in enumerate(reports):
            folder.add(report)
    raise SystemExit("the disk never became full")
except GraderFault as fault:
    print(fault)
    assert fault.exit_code == 3
print(number)
for line in open(out + "/results.jsonl"):
    Report.from_json(line)
assert len(open(out + "/results.jsonl").readlines()) in (number, number + 1)
assert not [name for name in os.listdir(out) + os.listdir(out + "/reports") if name.startswith(".")]
os.unlink(ballast)
with ResultsFolder(Path(out)) as folder:
    left = [report for report in reports if folder.report_of(report.submission) is None]
    assert len(left) in (40 - number, 39 - number), (len(left), number)
    for report in left:
        folder.add(report)
lines = [Report.from_json(line).submission for line in open(out + "/results.jsonl")]
assert sorted(lines) == sorted(report.submission for report in reports)
assert len(open(out + "/grades.csv").readlines()) == 41
"""


# The same through the real command: grade into it twice, the second time with space.
GRADED_ON_A_FULL_DISK = """
import subprocess, sys
from pathlib import Path
disk, command = Path(sys.argv[1]), sys.argv[2:] + ["--out", sys.argv[1] + "/out"]
(disk / "ballast").write_bytes(bytes(210_000))
first = subprocess.run(command, capture_output=True, text=True)
print(first.returncode)
print(first.stderr.splitlines()[-1])
(disk / "ballast").unlink()
second = subprocess.run(command, capture_output=True, text=True)
print(second.returncode)
print(len((disk / "out" / "grades.csv").read_text().splitlines()))
print(len((disk / "out" / "results.jsonl").read_text().splitlines()))
print(second.stderr.count(" done, "))
"""


def report(name: str, verdict: str = "passed") -> Report:
    check = CheckResult("c", "part", "value", "title", False, verdict, 2.0 * (verdict == "passed"), 2.0)
    return Report("tiny", name, "", "quick", 5, (check,))


def in_small_disk(folder: Path) -> list[str]:
    """A command prefix: its argument runs where `folder` is a file system of 256 KiB of its own."""
    script = 'mount -t tmpfs -o size=256k tmpfs "$0" && exec "$@"'
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *rights, "sh", "-c", script, str(folder)]


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(tmp_path):
    """Every file stays whole, what is kept is counted, and with space again the rest is added once."""
    if subprocess.run([*in_small_disk(tmp_path), "true"], capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here: namespaces are refused")
    done = subprocess.run(
        [*in_small_disk(tmp_path), sys.executable, "-c", ON_A_FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sentence, number = done.stdout.splitlines()
    assert "no space left for" in sentence
    assert "free some space and run the same command again" in sentence
    assert int(number) > 0


@pytest.mark.slow
def test_a_run_that_fills_the_disk_ends_in_one_sentence_and_goes_on_when_there_is_space(tmp_path):
    """Exit 3 in the middle of a cohort; then the same command grades the rest, and each is there once."""
    course = tiny_course.make(tmp_path / "course")
    cohorts.write(course, tmp_path / "in", 12)
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run([*in_small_disk(disk), "true"], capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here: namespaces are refused")
    command = [DLGRADE, "grade", "tiny", tmp_path / "in", "--tier", "quick", "--jobs", "2"]
    done = subprocess.run(
        [*map(str, [*in_small_disk(disk), sys.executable, "-c", GRADED_ON_A_FULL_DISK, disk, *command])],
        cwd=course.root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    code, sentence, again, rows, lines, graded = done.stdout.splitlines()
    assert (code, again, rows, lines) == ("3", "1", "13", "12")
    assert "free some space and run the same command again" in sentence
    assert 0 < int(graded) < 12


def test_what_a_killed_run_left_half_written_is_gone_or_mended(tmp_path):
    """A torn last line, a line that never came, and a file not yet in place: all made from the reports."""
    with ResultsFolder(tmp_path) as folder:
        folder.add(report("a.py"))
        folder.add(report("b.py"))
    lines = (tmp_path / "results.jsonl").read_text()
    (tmp_path / "results.jsonl").write_text(lines[: len(lines) // 2 + 20])
    (tmp_path / "grades.csv").write_text("subm")
    (tmp_path / "reports" / ".c.json.fresh").write_text("{")
    with ResultsFolder(tmp_path):
        assert (tmp_path / "results.jsonl").read_text() == lines
        assert len((tmp_path / "grades.csv").read_text().splitlines()) == 3
        assert not list(tmp_path.rglob(".*"))


def test_a_submission_graded_again_is_there_once(tmp_path):
    """The new line replaces the old one at the end of the run, the row and the report at once."""
    with ResultsFolder(tmp_path) as folder:
        folder.add(report("a.py", "internal"))
        folder.add(report("b.py"))
        folder.add(report("a.py"))
        assert folder.report_of("a.py") == report("a.py")
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [(line["submission"], line["complete"]) for line in lines] == [("a.py", True), ("b.py", True)]


def test_two_runs_never_write_to_one_folder(tmp_path):
    """The second is told, and the first one's end frees the folder."""
    with ResultsFolder(tmp_path), pytest.raises(UsageError, match="another run is writing to"):
        ResultsFolder(tmp_path)
    with ResultsFolder(tmp_path):
        pass


def test_the_record_of_a_run_comes_back(tmp_path):
    """As it was written; None before; a damaged one is told, not overwritten."""
    record = RunRecord("tiny", "quick", 5, "full", {"c": "0123"})
    with ResultsFolder(tmp_path) as folder:
        assert folder.record is None
        folder.begin(record)
        assert folder.record == record
        (tmp_path / "run.json").write_text("{")
        with pytest.raises(UsageError, match=r"run\.json cannot be read"):
            _ = folder.record


def test_changes_are_noted_only_where_there_are_any(tmp_path):
    """A row for another score or another verdict, none for the same again."""
    with ResultsFolder(tmp_path) as folder:
        folder.note_change(report("a.py"), report("a.py"))
        assert not (tmp_path / "changes.csv").exists()
        folder.note_change(report("a.py"), replace(report("a.py", "failed"), student="=anna"))
    head, row = (tmp_path / "changes.csv").read_text().splitlines()
    assert head == "submission,student,score_before,score,checks"
    assert row == "a.py,'=anna,2,0,c"


def test_a_report_survives_the_way_to_disk_and_back():
    """Every field of a report with everything in it."""
    check = CheckResult(
        "c", "part", "value", "title", True, "raised", 0.0, 2.0, "message", "help",
        {"mistake": "m", "text": "t"}, "by name", 0.5, ((3, "f", "x = 1"),), 0.1, 0.7,
    )  # fmt: skip
    whole = Report("tiny", "a", "b", "quick", 5, (check,), advice=("note",), output="x", content={"a": 1})
    assert Report.from_json(whole.to_json()) == whole


@pytest.mark.parametrize("line", ["[]", "{}", '{"schema": 1}', "nonsense", '{"schema": 99}'])
def test_what_is_no_report_is_a_value_error(line):
    """Another schema, or something else altogether."""
    with pytest.raises(ValueError, match=r"no report|Expecting"):
        Report.from_json(line)
