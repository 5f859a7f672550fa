"""A cohort's run that is cut off, continued, or brought up to date, with the real command."""

import json
import random
import shutil
import signal
import subprocess
import time

import pytest

from tests.autograder import tiny_course
from tests.autograder.command_line import DLGRADE, dlgrade, environment
from tests.cohort import cohorts

SETTINGS = ("--tier", "quick", "--seed", 11, "--jobs", 2)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return tiny_course.make(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def undisturbed(course, tmp_path_factory):
    """A cohort of eight and its results folder; tests that change either copy it first."""
    folder = tmp_path_factory.mktemp("cohort")
    cohorts.write(course, folder / "in", 8)
    done = dlgrade("grade", "tiny", folder / "in", "--out", folder / "out", *SETTINGS, cwd=course.root)
    assert done.returncode == 1, done.stderr
    return folder


def killed_after(seconds, course, submissions, out):
    """Start grading, and end the process with SIGKILL after so many seconds of it handing out submissions."""
    command = [DLGRADE, "grade", "tiny", str(submissions), "--out", str(out), *map(str, SETTINGS)]
    process = subprocess.Popen(
        command,
        cwd=course.root,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (out / "run.json").exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


def kill_and_finish(course, folder, names, moments):
    """Kill a run at each of the moments, then let it finish; the folder it wrote."""
    out = folder / "out"
    for moment in moments:
        killed_after(moment, course, folder / "in", out)
        for file in (out / "reports").glob("*.json"):
            json.loads(file.read_text())  # nothing half written under its own name
    done = dlgrade("grade", "tiny", folder / "in", "--out", out, *SETTINGS, cwd=course.root)
    assert done.returncode == 1, done.stderr
    assert cohorts.counted_once(out, names)
    return out


def test_killed_runs_end_with_the_results_of_one_that_nobody_disturbed(course, undisturbed, tmp_path):
    """SIGKILL at two random moments: nothing is lost, nothing is there twice, every verdict is the same."""
    shutil.copytree(undisturbed / "in", tmp_path / "in")
    names = [folder.name for folder in (tmp_path / "in").iterdir()]
    out = kill_and_finish(course, tmp_path, names, [random.uniform(0, 1.5) for _ in range(2)])
    assert cohorts.verdicts(out) == cohorts.verdicts(undisturbed / "out")


@pytest.mark.slow
def test_a_cohort_of_200_survives_ten_kills(course, tmp_path):
    """The same with 200 submissions and ten moments."""
    names = cohorts.write(course, tmp_path / "in", 200)
    plain = tmp_path / "plain"
    subprocess.run(
        [DLGRADE, "grade", "tiny", str(tmp_path / "in"), "--out", str(plain), *map(str, SETTINGS)],
        cwd=course.root,
        env=environment(),
        check=False,
        capture_output=True,
    )
    out = kill_and_finish(course, tmp_path, names, [random.uniform(0, 4) for _ in range(10)])
    assert cohorts.verdicts(out) == cohorts.verdicts(plain)


def test_the_same_command_again_grades_only_what_is_missing(course, undisturbed, tmp_path):
    """One report lost and one not judged: those two run, the other files are not touched."""
    shutil.copytree(undisturbed, tmp_path / "all")
    out = tmp_path / "all" / "out"
    lost, faulty, *others = sorted((out / "reports").iterdir())
    lost.unlink()
    report = json.loads(faulty.read_text())
    report |= {"fault": "ended", "complete": False}
    faulty.write_text(json.dumps(report))
    untouched = {file: file.stat().st_mtime_ns for file in others}
    done = dlgrade("grade", "tiny", tmp_path / "all" / "in", "--out", out, cwd=course.root)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count(" done, ") == 2
    assert {file: file.stat().st_mtime_ns for file in others} == untouched
    assert cohorts.counted_once(out, [folder.name for folder in (undisturbed / "in").iterdir()])
    assert cohorts.verdicts(out) == cohorts.verdicts(undisturbed / "out")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--seed", 12), "holds results of seed 11, and this run has 12; repeat them all with --regrade"),
        (("--tier", "cpu"), "holds results of tier quick, and this run has cpu"),
        (("--only", "double_doubles"), "--only runs single checks again; add --regrade"),
    ],
)
def test_a_changed_setting_is_refused_before_anything_is_loaded(course, undisturbed, arguments, sentence):
    """Exit 2 and one sentence; the results stay as they are."""
    before = cohorts.verdicts(undisturbed / "out")
    done = dlgrade(
        "grade", "tiny", undisturbed / "in", "--out", undisturbed / "out", *arguments, cwd=course.root
    )
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "loading" not in done.stderr
    assert cohorts.verdicts(undisturbed / "out") == before


def test_regrade_runs_the_one_check_that_changed_and_notes_whose_score_did(undisturbed, tmp_path):
    """Refused without --regrade; with it the other results are taken over, and the old scores are kept."""
    course = tiny_course.make(tmp_path / "course")
    shutil.copytree(undisturbed, tmp_path / "all")
    submissions, out = tmp_path / "all" / "in", tmp_path / "all" / "out"
    before = cohorts.verdicts(out)
    cohorts.edit(course, "1000 * oracle.normal(4)", "0 * oracle.normal(4)")
    refused = dlgrade("grade", "tiny", submissions, "--out", out, cwd=course.root)
    assert refused.returncode == 2
    assert "(double_doubles_large_numbers); --regrade runs again" in refused.stderr
    done = dlgrade("grade", "tiny", submissions, "--out", out, "--regrade", cwd=course.root)
    assert done.returncode == 1, done.stderr
    after = cohorts.verdicts(out)
    changed = {(n, c) for n, checks in after.items() for c in checks if checks[c] != before[n][c]}
    assert {check for _, check in changed} == {"double_doubles_large_numbers"}
    rows = cohorts.table(out / "changes.csv")
    assert {row["submission"] for row in rows} == {name for name, _ in changed}
    assert {(row["score_before"], row["score"]) for row in rows} == {("7", "8")}
    assert all(row["checks"] == "double_doubles_large_numbers" for row in rows)
