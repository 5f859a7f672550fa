"""A batch of two hundred submissions, a third hostile, and the suite in every mode and as every user."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from dlgrade import probing
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission
from tests.hostile import suite

REPOSITORY = Path(__file__).parents[2]
BATCH = 200


@pytest.mark.slow
def test_two_hundred_submissions_a_third_hostile(tmp_path):
    """Every honest one gets exactly what it gets alone, none is lost, none outlasts its deadlines."""
    places = suite.Places(tmp_path)
    attacks = suite.all_attacks(places, "quick")
    hostile = {s.name.split("/")[0]: s for s in suite.submissions(places, attacks)}
    hostile = [hostile[attack.id] for attack in attacks][:: len(attacks) * 3 // BATCH][: BATCH // 3]
    honest = [_honest(places, number) for number in range(BATCH - len(hostile))]
    mixed = [s for group in zip(honest[::2], honest[1::2], hostile, strict=False) for s in group]
    mixed += [s for s in [*honest, *hostile] if s not in mixed]
    exercise = places.course.exercise("target")
    settings = RunSettings("quick", suite.SEED, mode=suite.strongest())
    with Zygote(["torch"]) as zygote, Run(zygote, RunPlan(exercise, settings, hidden=True)) as run:
        alone = dict(_alone(run, honest))
        start = time.monotonic()
        reports = {report.submission: report for report in run.grade(mixed, jobs=2)}
        took = time.monotonic() - start
    assert len(reports) == BATCH
    wrong = {s.name: reports[s.name].score for s in honest if reports[s.name].score != alone[s.text]}
    assert wrong == {}
    assert all(reports[s.name].complete for s in mixed)
    longest = max(report.seconds for report in reports.values())
    print(f"{BATCH} submissions, {len(hostile)} hostile: {took:.0f} s, the longest {longest:.1f} s")
    limits = exercise.limits
    assert longest < limits.quick_seconds + 2 * limits.request_seconds * len(run.checks)


def _honest(places: suite.Places, number: int) -> Submission:
    """The full answer, or one that is wrong in one part."""
    wrong = [None, "double", "Affine", "descend"][number % 4]
    text = places.answer + (f"\n\n{suite.WRONG[wrong]}" if wrong else "")
    return Submission(f"honest-{number}", f"honest-{number}", text, Path("target.py"), "py")


def _alone(run: Run, honest: list[Submission]) -> list[tuple[str, float]]:
    different = {submission.text: submission for submission in honest}
    return [(text, next(iter(run.grade([one]))).score) for text, one in different.items()]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["core", "full"])
def test_the_suite_in_every_mode(tmp_path, mode):
    """All attacks of both tiers gain nothing, touch nothing and leave nothing in this mode either."""
    if refused := probing.probe().refused[mode]:
        pytest.skip(refused)
    places = suite.Places(tmp_path)
    for tier in ("quick", "cpu"):
        attacks = suite.all_attacks(places, tier)
        outcome = suite.grade(places, attacks, mode=mode, tier=tier)
        reports = outcome.reports
        gained = [a.id for a in attacks if a.part and reports[a.id].score > reports[a.counterpart].score]
        told = [a.id for a in attacks if places.token in reports[a.id].to_json()]
        incomplete = [name for name, report in reports.items() if not report.complete]
        print(f"{mode} {tier}: {len(attacks)} attacks, gained {gained}, left {outcome.left}")
        assert (gained, told, incomplete, outcome.left, outcome.touched) == ([], [], [], [], False)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="these tests already ran as an ordinary user")
def test_the_suite_as_an_ordinary_user():
    """Root's workers and an ordinary user's take different ways to the same confinement."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        command = [
            sys.executable,
            REPOSITORY / "tests/sandbox/as_user.py",
            "-m",
            "pytest",
            "-n",
            "0",
            "-s",
            "-m",
            "slow",
        ]
        command += ["-p", "no:cacheprovider", "-k", "every_mode", Path(__file__)]
        environment = {"TMPDIR": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
