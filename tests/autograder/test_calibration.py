"""Calibration: what is computed from figures, what they rest on, and real runs on a tiny course."""

import dataclasses
import io
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path
from statistics import NormalDist
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from dlgrade import (
    calibration,
    calibration_plot,
    calibration_source,
    datasets,
    decision,
    measuring,
    page,
    planning,
    text_report,
    threshold_table,
    tolerance,
)
from dlgrade.calibration import Measurement
from dlgrade.calibration_source import DataInUse
from dlgrade.contest import Attempt, Contest, OpenData
from dlgrade.course import Course
from dlgrade.curve import sparkline
from dlgrade.datasets import standin_images
from dlgrade.decision import HIGHER, LOWER, Rule
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.errors import CourseError, GraderFault, UsageError
from dlgrade.fingerprints import load_checks
from dlgrade.observation import recording
from dlgrade.outcome import CheckFailed
from dlgrade.runlog import NAME, RunLog, Trial
from dlgrade.runsettings import RunSettings
from dlgrade.spending import Allowance, Spending
from dlgrade.submission import Submission
from dlgrade.submission_page import submission_page
from dlgrade.text_report import View
from dlgrade.verify import verify
from tests.autograder import text_course
from tests.autograder.text_course import CHECK

ROOT = Path(__file__).resolve().parents[2]

# --- statistics -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "factor"), [(3, 6.155), (5, 3.407), (12, 2.210), (20, 1.926), (50, 1.646)])
def test_tolerance_factors_are_the_published_ones(count, factor):
    """One-sided factors for 90 % of a normal law at 95 % confidence, as tables of them have it."""
    assert tolerance.tolerance_factor(count) == pytest.approx(factor, abs=1e-3)


@pytest.mark.parametrize(("degrees", "x"), [(1, -6.3138), (2, -2.9200), (11, -1.7959), (30, -1.6973)])
def test_student_is_below_its_tabled_quantile_one_time_in_twenty(degrees, x):
    """The central law, at its 5 % quantiles, and symmetric."""
    assert tolerance.student_below(x, degrees) == pytest.approx(0.05, abs=1e-5)
    assert tolerance.student_below(-x, degrees) == pytest.approx(0.95, abs=1e-5)


def test_a_miss_bound_is_the_tolerance_factor_read_backwards():
    """The factor that leaves nine tenths above bounds the rest by one tenth."""
    assert tolerance.miss_bound(12, tolerance.tolerance_factor(12)) == pytest.approx(0.1, abs=1e-6)
    assert tolerance.miss_bound(12, 5.0) < 0.001 < tolerance.miss_bound(3, 5.0)


def test_the_design_that_learns_slowest_sets_the_threshold():
    """Each correct variant reaches it nine times in ten; one that does better changes nothing."""
    rule = decision.set_by([0.80, 0.81, 0.79] * 4, HIGHER)
    slow, quick = [0.60, 0.61, 0.59, 0.605, 0.595], [0.85, 0.86, 0.84, 0.855, 0.845]
    found = decision.lenient(rule, {"plain_net": slow, "wide_net": quick})
    assert found["threshold"] == pytest.approx(0.6 - 3.407 * np.std(slow, ddof=1), abs=1e-4)
    assert found["rule"] == "mean - 3.41 standard deviations of 5 seeds of the variant plain net"
    assert found["hopeless"] < rule["hopeless"]
    assert Rule.of(found).usual == (0.59, 0.86)
    assert Rule.of(rule).usual == (0.79, 0.81)
    assert decision.lenient(rule, {"wide_net": quick})["threshold"] == rule["threshold"]
    assert decision.lenient(rule, {}) == rule
    mirrored = decision.set_by([2.0, 2.1, 1.9] * 4, LOWER)
    assert decision.lenient(mirrored, {"slow": [3.0, 3.1, 2.9]})["threshold"] > 3.1


def test_one_more_value_lies_beyond_the_prediction_as_rarely_as_said():
    """Of many samples, a twentieth have their next value beyond a factor made for one in twenty."""
    factor, draws, beyond = tolerance.prediction_factor(5, 0.05), random.Random(4), 0
    for _ in range(20_000):
        mean, deviation, following = _sample(draws, 5)
        beyond += following < mean - factor * deviation
    assert beyond / 20_000 == pytest.approx(0.05, abs=0.006)


def test_chance_above_is_that_of_the_next_value():
    """Simulated over samples of three, with the limit that each sample would give one chance in ten."""
    draws, above = random.Random(5), 0
    for _ in range(20_000):
        mean, deviation, following = _sample(draws, 3)
        above += following > mean + 1.8856 * deviation * math.sqrt(4 / 3)  # t of 2 degrees, 90 %
    assert above / 20_000 == pytest.approx(0.1, abs=0.008)
    assert tolerance.chance_above([0.0, 1.0, 2.0], 1 + 1.8856 * math.sqrt(4 / 3)) == pytest.approx(
        0.1, abs=1e-4
    )


def _sample(draws: random.Random, count: int) -> tuple[float, float, float]:
    """Mean and deviation of `count` normal values, and the value that follows."""
    values = [draws.gauss() for _ in range(count)]
    mean = sum(values) / count
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (count - 1)), draws.gauss()


def test_a_correct_answer_fails_one_decision_in_a_thousand_at_most():
    """In nineteen of twenty calibrations from twelve seeds, by the chance that the true law then gives."""
    draws, law, kept = random.Random(6), NormalDist(0.8, 0.01), 0
    for _ in range(1000):
        rule = decision.set_by([draws.gauss(0.8, 0.01) for _ in range(12)], HIGHER)
        once = law.cdf(rule["hopeless"])
        kept += law.cdf(rule["threshold"]) ** 3 + 3 * once <= rule["false_fail"] + 1e-5
    assert kept / 1000 == pytest.approx(0.95, abs=0.025)


def test_the_decision_simulated():
    """At a threshold that one run in ten misses, the decision fails about one time in a thousand."""
    draws, rule, failed = random.Random(7), Rule(0.8 - 1.2816 * 0.01, 0.8 - 0.09), 0
    for _ in range(100_000):
        failed += not any(rule.passes(draws.gauss(0.8, 0.01)) for _ in range(decision.RUNS))
    assert 60 <= failed <= 145


@pytest.mark.parametrize("better", [HIGHER, LOWER])
def test_a_threshold_lies_between_hopeless_and_usual(better):
    """From the good side on: what correct answers get, the threshold, the mark that ends a decision."""
    values = [0.5 + 0.001 * i for i in range(12)]
    found = decision.set_by(values, better)
    rule = Rule.of(found)
    order = [rule.hopeless, rule.threshold, *rule.usual]
    assert order == sorted(order) if better == HIGHER else order[:2] == sorted(order[:2], reverse=True)
    assert rule.passes(rule.threshold)
    assert not rule.is_hopeless(rule.threshold)
    assert rule.is_hopeless(rule.hopeless - 0.01 if better == HIGHER else rule.hopeless + 0.01)
    assert not found["provisional"]
    assert found["false_fail"] == pytest.approx(0.001, rel=0.02)


def test_few_seeds_are_provisional():
    """Five deviations from the mean, and the bound is what so few values can promise."""
    found = decision.set_by([0.5, 0.51, 0.52], HIGHER)
    assert found["provisional"]
    assert found["threshold"] == pytest.approx(0.51 - 5 * 0.01)
    assert found["false_fail"] > 0.001


def test_power_is_a_bound():
    """Far below the threshold it is near one, close to it small, and never above what three runs allow."""
    assert decision.power([0.3, 0.31, 0.32], 0.6, HIGHER) > 0.99
    assert decision.power([0.55, 0.6, 0.65], 0.6, HIGHER) == 0
    assert decision.power([3.0, 3.01, 3.02], 2.0, LOWER) > 0.99
    assert decision.power([0.3, 0.3, 0.3], 0.6, HIGHER) == 1
    assert decision.power([0.6, 0.6, 0.6], 0.6, HIGHER) == 0


def test_a_figure_that_is_no_number_passes_nothing():
    """NaN is on the wrong side of every mark."""
    assert decision.worse(math.nan, 0.5, HIGHER)
    assert decision.worse(math.nan, 0.5, LOWER)


# --- what is kept ---------------------------------------------------------------------------------


def trial(figure: float, subject: str = "answer", **changed) -> Trial:
    spent = {"parameters": 9, "cpu_seconds": 1.0, "gpu_seconds": 0.0, "peak_memory": 1 << 20}
    return Trial(**{**dataclasses.asdict(Trial("k", subject, 1, figure, HIGHER, 0.1, 2.0, spent)), **changed})


def measurement(figures, **changed) -> Measurement:
    data = DataInUse("some data", "c" * 8, stand_in=True)
    values = {"check": "learns", "data": data, "source": "s", "tier": "cpu", "device": "cpu"}
    values |= {"versions": {"torch": "2"}, "answers": [trial(f) for f in figures], "near_misses": {}}
    return Measurement(**{**values, **changed})


def test_an_entry_says_what_it_rests_on():
    """Threshold, bound, values, what runs took, data, versions and the key of answer and recipe."""
    entry = measurement([0.5, 0.6, 0.55]).entry()
    assert entry["values"] == [0.5, 0.6, 0.55]
    assert (entry["seconds"], entry["cpu_seconds"], entry["parameters"]) == (2.0, 1.0, 9)
    assert (entry["checksum"], entry["source"], entry["versions"]) == ("c" * 8, "s", {"torch": "2"})
    assert {"threshold", "rule", "false_fail", "baseline", "tier", "device"} <= entry.keys()


def test_a_threshold_that_nothing_learned_reaches_is_refused(tmp_path):
    """It is not written, whichever way figures are good; the sentence has both numbers."""
    low = measurement([0.15, 0.2, 0.12])
    with pytest.raises(CourseError, match=r"worthless.*learned nothing reaches 0\.1000"):
        low.entry()
    bits = [trial(f, better=LOWER, baseline=4.0) for f in (3.9, 4.1, 3.8)]
    with pytest.raises(CourseError, match=r"learned nothing reaches 4\.0000"):
        measurement([], answers=bits).entry()
    exercise = text_course.make(tmp_path).exercise("follow")
    good = measurement([0.5, 0.51, 0.52], check="good")
    with pytest.raises(CourseError, match="worthless"):
        calibration.store(exercise, [low, good])
    assert list(calibration.read(exercise)["thresholds"]) == ["good"]


def test_names_of_mistakes_lie_apart_from_what_students_receive(tmp_path):
    """Thresholds go into the released exercise.toml; near misses do not."""
    course = text_course.make(tmp_path)
    near = {"whispered": [trial(0.2, "whispered"), trial(0.21, "whispered"), trial(0.22, "whispered")]}
    calibration.store(course.exercise("follow"), [measurement([0.5, 0.51, 0.52], near_misses=near)])
    content = calibration.read(course.exercise("follow"))
    assert content["near_misses"]["learns"]["some data"]["whispered"]["power"] > 0.9
    assert "whispered" not in json.dumps(content["thresholds"])
    assert content["gpu"] == "no figure was measured on a GPU"


def test_a_figure_of_a_gpu_stands_beside_the_cpus(tmp_path):
    """Another key, the device's name, and nothing is said to be missing any more."""
    exercise = text_course.make(tmp_path).exercise("follow")
    calibration.store(exercise, [measurement([0.5, 0.51, 0.52])])
    calibration.store(exercise, [measurement([0.7, 0.71, 0.72], tier="gpu", device="NVIDIA H100")])
    content = calibration.read(exercise)
    found = content["thresholds"]["learns"]
    assert {key: entry["device"] for key, entry in found.items()} == {
        "some data": "cpu",
        "some data, on a GPU": "NVIDIA H100",
    }
    assert "gpu" not in content


def test_a_torn_line_of_the_log_is_skipped_and_the_next_one_is_whole(tmp_path):
    """What a kill left of a line harms neither the runs before nor those after it."""
    log = RunLog(tmp_path / NAME)
    log.add(trial(0.5))
    with (tmp_path / NAME).open("a") as file:
        file.write('{"key": "k", "subj')
    log.add(trial(0.6, curve=(2.0, 1.0)))
    assert [t.figure for t in log.trials("k", "answer")] == [0.5, 0.6]
    assert log.trials("k", "answer")[1].curve == (2.0, 1.0)
    assert log.trials("k", "other") == log.trials("other", "answer") == []
    log.add(trial(0.7, key="other"))
    log.forget("k")
    assert [t.figure for t in log.trials("other", "answer")] == [0.7]
    assert log.trials("k", "answer") == []


def test_the_documents_table_is_that_of_the_calibration_files():
    """docs/thresholds.md says what the calibration files say; the command in it brings it up to date."""
    file = ROOT / "docs" / "thresholds.md"
    assert threshold_table.table(Course(ROOT), file) in file.read_text(encoding="utf-8")


def test_the_table_is_written_between_its_marks(tmp_path):
    """Twice the same; a row says what was measured, and what is not known; other text stays."""
    course = text_course.make(tmp_path)
    near = {"slow": [trial(f, "slow") for f in (0.2, 0.21, 0.22)]}
    calibration.store(course.exercise("follow"), [measurement([0.5, 0.51, 0.52], near_misses=near)])
    file = tmp_path / "table.md"
    file.write_text(f"before\n{threshold_table.BEGIN}\nwritten before\n{threshold_table.END}\nafter\n")
    assert [threshold_table.write(course, file) for _ in range(2)] == [True, False]
    text = file.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "written before" not in text
    assert "51.0 ± 1.0 % (50.0 to 52.0), 3 | at least 46.0 %, provisional" in text
    assert "slow: 21.0 %, at least" in text
    assert "of processor time |" in text
    assert "No figure was measured on a GPU." in text
    file.write_text("no marks")
    with pytest.raises(UsageError, match="no place for the table"):
        threshold_table.write(course, file)


def test_the_drawing_shows_every_figure_once(tmp_path):
    """A dot for each run, a line at the threshold, and XML that needs nothing from elsewhere."""
    exercise = text_course.make(tmp_path).exercise("follow")
    near = {"too_slow": [trial(f, "too_slow") for f in (0.2, 0.21, 0.22)]}
    calibration.store(exercise, [measurement([0.5, 0.51, 0.52], near_misses=near)])
    svg = ElementTree.fromstring(calibration_plot.drawing("follow", calibration.read(exercise)))
    shapes = [element.get("class") for element in svg.iter("{http://www.w3.org/2000/svg}circle")]
    assert shapes == ["one"] * 3 + ["two"] * 3
    texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert "provisional threshold 0.46" in texts
    assert "mistake: too slow" in texts
    dots = [float(dot.get("cx")) for dot in svg.iter("{http://www.w3.org/2000/svg}circle")]
    assert dots[:3] == sorted(dots[:3])
    assert max(dots[3:]) < min(dots[:3])


def test_a_long_title_takes_another_line_of_the_drawing():
    """What does not fit beside the rest stands below it, and everything else moves down."""
    rows, mark = [("correct answers", "one", [0.5])], ("threshold", 0.4)
    short, end = page.strips("accuracy", page.Axis("x", 0, 1, [0, 1]), rows, mark, 0.0)
    long, lower_end = page.strips("accuracy " * 12, page.Axis("x", 0, 1, [0, 1]), rows, mark, 0.0)
    assert len(long) == len(short) + 1
    assert lower_end > end
    assert all("accuracy " * 9 not in piece.markup for piece in long)


# --- what a calibration rests on ------------------------------------------------------------------


def key(course, *, on_gpu: bool = False, stand_in: bool = False) -> str:
    [check] = [check for check in collected(course) if check.id == CHECK]
    data = calibration_source.DataInUse("some text", "0" * 64, stand_in)
    return calibration_source.source_key(course.exercise("follow"), check, data, on_gpu=on_gpu)


@pytest.mark.parametrize(
    ("file", "old", "new", "same"),
    [
        ("follow.py", "Logits of the next character", "The logits", True),
        ("follow.py", "        nothing =", "        # no state\n        nothing =", True),
        ("follow.py", "text.upper()", "text.swapcase()", True),
        ("follow.py", "nn.Embedding(V, V)", "nn.Embedding(V, V, max_norm=9)", False),
        ("checks/visible/test_visible.py", "points=2", "points=5", True),
        ("checks/visible/test_visible.py", 'help="upper"', 'help="capitals"', True),
        ("checks/visible/test_visible.py", '"limit": 4000', '"limit": 4001', False),
        ("checks/visible/test_visible.py", '"Follower", **RECIPE', '"Follower", 1, **RECIPE', False),
    ],
)
def test_the_key_changes_with_what_a_figure_depends_on(tmp_path, file, old, new, same):
    """The part and the recipe count; comments, docstrings, points, other parts and other checks do not."""
    course = text_course.make(tmp_path)
    before, path = key(course), tmp_path / "solutions" / "follow" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert (key(course) == before) is same


@pytest.mark.parametrize(("recipe", "where"), [("gpu", "on_gpu"), ("stand_in", "stand_in")])
def test_a_recipe_for_elsewhere_counts_there_only(tmp_path, recipe, where):
    """Another one for GPUs, or for stand-ins, makes stale what was measured there, and nothing else."""
    course = text_course.make(tmp_path)
    path = tmp_path / "solutions" / "follow" / "checks" / "visible" / "test_visible.py"
    text, here, there = path.read_text(), [key(course)], [key(course, **{where: True})]
    for arguments in ('{"epochs": 9}', '{"epochs": 10}'):
        path.write_text(text.replace("**RECIPE", f"**RECIPE, {recipe}={arguments}"))
        here.append(key(course))
        there.append(key(course, **{where: True}))
    assert len(set(here)) == 1
    assert len(set(there)) == 3


def test_the_key_changes_with_the_training(tmp_path, monkeypatch):
    """A new version of the kit's own training makes every figure of that kind stale."""
    course = text_course.make(tmp_path)
    before = key(course)
    monkeypatch.setitem(calibration_source.TRAINERS, "images", 99)
    assert key(course) == before
    monkeypatch.setitem(calibration_source.TRAINERS, "text", 99)
    assert key(course) != before


def test_figures_on_a_stand_in_are_stale_once_another_is_drawn(tmp_path, monkeypatch):
    """Pictures of another recipe are other data; prose that comes with Python may differ."""
    monkeypatch.setenv("DLGRADE_DATA", str(tmp_path / "data"))
    course = text_course.make(tmp_path / "course")
    [found] = [check for check in collected(course) if check.id == CHECK]
    check, data = dataclasses.replace(found, data="cifar10"), calibration_source.stand_in("cifar10")
    source = calibration_source.source_key(course.exercise("follow"), check, data)
    measured = measurement([0.5, 0.51, 0.52], check=CHECK, data=data, source=source)
    calibration.store(course.exercise("follow"), [measured])
    assert list(calibration.problems(course.exercise("follow"), [check])) == []
    monkeypatch.setattr(standin_images, "RECIPE", 99)
    [told] = calibration.problems(course.exercise("follow"), [check])
    assert "was measured on other data of this name" in told
    assert not data.varies
    assert calibration_source.stand_in("tiny_shakespeare").varies


# --- real runs ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The course with a small text imported, and DLGRADE_DATA set to where it lies."""
    patch = pytest.MonkeyPatch()
    patch.setenv("DLGRADE_DATA", str(tmp_path_factory.mktemp("data")))
    text = tmp_path_factory.mktemp("text") / "letters.txt"
    text.write_text(text_course.prose())
    datasets.import_("tiny_shakespeare", text)
    yield text_course.make(tmp_path_factory.mktemp("course"))
    patch.undo()


PLAN = measuring.Plan(tier="cpu", seeds=4, near_miss_seeds=2, jobs=2, threads=1, mode="core")


def measured(course, **changed):
    """Measure and store; the runs that were new, and the measurement."""
    exercise = course.exercise("follow")
    new: list[str] = []
    log = RunLog(exercise.folder / NAME)
    plan = dataclasses.replace(PLAN, **changed)
    [found] = measuring.measure(exercise, log, plan, lambda subject, trial, tally: new.append(trial.subject))
    calibration.store(exercise, [found])
    return new, found


@pytest.fixture(scope="module")
def calibrated(course):
    """The course with a calibration that was broken off by a kill after its first run, and went on."""
    folder = course.root / "solutions" / "follow"
    command = [
        sys.executable,
        "-m",
        "dlgrade",
        "calibrate",
        "follow",
        "--seeds",
        "4",
        "--near-miss-seeds",
        "2",
    ]
    process = subprocess.Popen(
        [*command, "--jobs", "1"], cwd=course.root, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    for line in process.stderr:
        if "1 of 6 runs" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    before = [json.loads(line) for line in (folder / NAME).read_text().splitlines()]
    new, found = measured(course)
    return before, new, found


def test_a_killed_calibration_goes_on(calibrated):
    """What had finished is taken over, the rest is run: each figure once, each seed another."""
    before, new, found = calibrated
    assert 1 <= len(before) <= 2  # the kill may come after the next one has ended
    assert sorted(new) == ["answer"] * (4 - len(before)) + ["whispered"] * 2
    assert [t.figure for t in found.answers][: len(before)] == [line["figure"] for line in before]
    seeds = [t.seed for t in (*found.answers, *found.near_misses["whispered"])]
    assert len(set(seeds)) == 6


def test_a_second_calibration_trains_nothing(course, calibrated):
    """With as many seeds as are known there is nothing to run, and with fewer the first ones count."""
    new, found = measured(course, seeds=3)
    assert new == []
    assert found.answers == calibrated[2].answers[:3]


def test_the_calibration_tells_the_answer_from_the_near_miss(course, calibrated):
    """The threshold lies between them, and a unigram model does not reach it."""
    content = calibration.read(course.exercise("follow"))
    [(title, entry)] = content["thresholds"][CHECK].items()
    near = content["near_misses"][CHECK][title]["whispered"]
    assert max(entry["values"]) < entry["threshold"] < min(near["values"])
    assert entry["threshold"] < entry["baseline"] < 3.1
    assert near["power"] > 0.5
    assert entry["parameters"] == 81  # a table for eight letters and the unknown one
    assert entry["peak_memory"] > 50 << 20


@pytest.fixture(scope="module")
def reports(course, calibrated):
    """Grading of the full answer and of the near miss, by submission."""
    exercise = course.exercise("follow")
    answer = (exercise.folder / "follow.py").read_text()
    texts = {"answer": answer, "near": answer.replace("return self.follows", "return 0.003 * self.follows")}
    texts["large"] = answer.replace("V, V)", "V, V)\n        self.unused = nn.Parameter(torch.zeros(1000))")
    submissions = [Submission(name, name, text, Path(name), "py") for name, text in texts.items()]
    settings = RunSettings("cpu", 5, mode="core")
    with Zygote(exercise.preload) as zygote, Run(zygote, RunPlan(exercise, settings, hidden=True)) as run:
        return {report.submission: report for report in run.grade(submissions)}


def accuracy(report):
    return next(check for check in report.checks if check.id == CHECK)


def test_a_passed_check_says_what_was_needed_and_what_is_usual(reports):
    """One run is enough; its losses, its time and its memory are in the report, measured from outside."""
    found = accuracy(reports["answer"])
    assert found.verdict == "passed"
    assert "where at most" in found.message
    assert "correct answers get" in found.message
    assert found.spent["runs"] == 1
    assert found.spent["parameters"] == 81
    assert found.spent["peak_memory"] > 50 << 20
    assert found.spent["cpu_seconds"] > 0
    assert len(found.curve) == 2
    assert found.curve[1] < found.curve[0]
    assert json.loads(reports["answer"].to_json())["checks"][1]["curve"] == list(found.curve)


def test_a_failed_check_says_how_many_runs_it_took(reports):
    """No run of a near miss passes; four seeds say little of what is hopeless: it takes one or three."""
    found = accuracy(reports["near"])
    assert found.verdict == "failed"
    runs = found.spent["runs"]
    words = "far off, so one run was enough" if runs == 1 else f"best of {runs} runs"
    assert found.message.startswith(f"{words}: Follower needs ")
    assert len(set(found.spent["figures"])) == runs
    assert found.measured == pytest.approx(min(found.spent["figures"]), abs=1e-4)


class Scripted(Contest):
    """A contest whose trainings end as a script says; nothing is trained."""

    def attempt(self, submission, name, *args, run=0, **recipe):
        return Attempt(submission[run], (2.0, 1.0), Spending(10 + run, 5.0, 0.0, 1 << 20))


@pytest.mark.parametrize(
    ("figures", "runs", "ending"),
    [
        ((0.80,), 1, "passed"),
        ((0.77, 0.79), 2, "passed"),
        (
            (0.77, 0.76, 0.75),
            3,
            "best of 3 runs: Net reached 77.0 % on held-out images of images, where",
        ),
        ((0.5,), 1, "far off, so one run was enough: Net reached 50.0 %"),
        ((0.77, 0.5), 2, "best of 2 runs: Net reached 77.0 %"),
    ],
)
def test_a_decision_ends_as_soon_as_it_is_plain(figures, runs, ending):
    """At the first run that passes, at one that is hopeless, and after three in between."""
    seen, _ = decide(figures, {"threshold": 0.78, "hopeless": 0.7, "values": [0.8, 0.83]})
    assert re.search(ending, seen.ending)
    assert seen.spent["figures"] == list(figures)
    assert (seen.spent["runs"], seen.measured) == (runs, max(figures))
    assert "where 78.0 % is needed; correct answers get 80.0 to 83.0 %" in seen.note


@pytest.mark.parametrize(
    ("allowance", "sentence"),
    [
        (Allowance(parameters=9), "Net has 10 parameters, 9 are allowed"),
        (Allowance(cpu_seconds=4), "Net took 5 s of CPU time to train, 4 s are allowed"),
        (Allowance(memory_mb=0), "Net took 1 MB of memory to train, 0 MB are allowed"),
        (Allowance(parameters=10, cpu_seconds=5, gpu_seconds=0, memory_mb=1), "passed"),
    ],
)
def test_what_a_training_may_take_is_held(allowance, sentence):
    """A limit that is exceeded fails the check with both numbers, whatever was reached."""
    seen, _ = decide((0.9,), {"threshold": 0.78}, allowance=allowance)
    assert seen.ending == sentence


def test_on_a_gpu_its_own_threshold_counts_and_else_the_cpus():
    """What was measured there decides; without it the CPU's holds, and the sentence says so."""
    cpu = {"threshold": 0.6, "values": [0.6, 0.7]}
    seen, contest = decide((0.65,), cpu, device="cuda")
    assert "no figure was measured on a GPU" in seen.note
    gpu = {"threshold": 0.9, "values": [0.9, 0.93]}
    seen, contest = decide((0.95,), cpu, device="cuda", gpu=gpu)
    assert contest.rule.threshold == 0.9
    assert "no figure" not in seen.note
    with pytest.raises(GraderFault, match="other data called images"):
        _ = decide((0.95,), {**cpu, "checksum": "another"})


def test_a_recipe_may_be_other_on_a_gpu_and_on_a_stand_in():
    """Each override replaces what it names, and nothing else."""
    _, contest = decide((0.9,), {"threshold": 0.6})
    options = {"epochs": 3, "limit": 100, "gpu": {"limit": 900}, "stand_in": {"epochs": 1}}
    on_gpu = dataclasses.replace(contest, device="cuda")
    generated = dataclasses.replace(contest, data=dataclasses.replace(contest.data, stand_in=True))
    assert contest._recipe(**options) == {"epochs": 3, "limit": 100}
    assert on_gpu._recipe(**options) == {"epochs": 3, "limit": 900}
    assert generated._recipe(**options) == {"epochs": 1, "limit": 100}


def decide(figures, entry, *, device="cpu", gpu=None, allowance=None):
    """What a decision over scripted figures left, its ending as a sentence, and the contest."""
    labels = np.array([0, 1] * 5)
    data = OpenData("images", "images", "0", "images", (), None, labels)
    settings = {"images": entry} | ({"images, on a GPU": gpu} if gpu else {})
    contest = Scripted("c", data, settings, 3, 9.0, device, lambda done: None)
    with recording() as seen:
        try:
            contest.decide(figures, "Net", allowance=allowance)
        except CheckFailed as failed:
            seen.ending = failed.message
    assert seen.baseline == 0.5
    return seen, contest


def test_people_see_how_the_loss_went(course, reports):
    """As marks in a terminal's text, plain ones where it has no others, and as a drawing in a page."""
    found, out = reports["answer"], io.StringIO()
    text_report.show(found, View(course.exercise("follow")), text_report.console(out))
    first, last = accuracy(found).curve
    assert f"loss by epoch: █▁ {first:.3g} to {last:.3g}" in out.getvalue()
    assert re.search(r"trained once: 0\.\d s of processor time, 81 parameters, \d\d\d MB", out.getvalue())
    assert f"#_ {first:.3g}" in sparkline((first, last), ascii_only=True)
    page = submission_page(found)
    assert f"loss by epoch, {first:.3g} to {last:.3g}" in page
    assert '<polyline class="curve" points="4.0,4.0 116.0,24.0"/>' in page
    assert "where at most" in page
    assert "81 parameters" in page


def test_a_long_curve_fits_a_line():
    """Of a thousand epochs fewer than a line's marks are shown; equal losses are a flat line."""
    assert len(sparkline([1000.0 - i for i in range(1000)])) < 110
    assert "▁▁▁ 2 to 2" in sparkline([2.0, 2.0, 2.0])


def test_the_report_says_what_was_held_against_what(reports):
    """The threshold, the data, and where it was measured."""
    [(name, held)] = reports["answer"].calibration.items()
    assert name == CHECK
    assert held["data"] == "text file letters.txt"
    assert (held["tier"], held["device"], held["provisional"]) == ("cpu", "cpu", True)


def test_parameters_are_counted_in_what_the_training_left(reports):
    """Those that the forward pass never uses count too."""
    assert accuracy(reports["large"]).spent["parameters"] == 81 + 1000


@pytest.fixture(scope="module")
def proof(course, calibrated):
    """What `verify` finds at tier cpu, with a variant that keeps every rule and learns too slowly."""
    variants = course.root / "solutions" / "follow" / "variants"
    variants.mkdir()
    body = (course.root / "reference" / "follow.py").read_text().partition("\n\n\ndef shout")[0]
    body = body.replace("return self.follows", "return 0.003 * self.follows")
    (variants / "slow.py").write_text(body.replace("Reference of the course", "Learns slowly"))
    return verify(course, "follow", tier="cpu", jobs=2)


def test_a_variant_that_misses_a_threshold_is_a_note(proof):
    """It is listed with its figure, and is no problem; the near miss is caught."""
    [note] = proof.notes
    assert re.search(
        r"variant 'slow' misses the threshold: follower_learns_text is failed .* 3\.\d+ bits", note
    )
    assert not [problem for problem in proof.problems if "slow" in problem]
    assert (proof.variants, proof.variants_passed) == (1, 0)
    assert proof.matrix["whispered"][CHECK] == "failed"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_calibrated_as_the_cpu_is(course, calibrated):
    """The same command's plan on CUDA: its own entry, with the device's name and seconds on it."""
    _, found = measured(course, tier="gpu", device="cuda", device_name=planning.device_name("gpu"), jobs=1)
    entry = found.entry()
    assert found.key.endswith(", on a GPU")
    assert entry["gpu_seconds"] > 0
    assert entry["device"] != "cpu"


def test_verify_wants_a_calibration_of_what_is_there(course, proof, monkeypatch, tmp_path):
    """Valid on the data in use; missing on the stand-in; stale once the recipe or the data changes."""
    [told] = [problem for problem in proof.problems if "threshold" in problem]
    assert "stand-in for tiny Shakespeare" in told
    assert "was never measured; run 'dlgrade calibrate follow --stand-in'" in told
    exercise, [check] = course.exercise("follow"), [c for c in collected(course) if c.id == CHECK]
    file = exercise.visible_checks / "test_visible.py"
    text = file.read_text()
    file.write_text(text.replace('"epochs": 2', '"epochs": 3'))
    try:
        stale = list(calibration.problems(exercise, [check]))
    finally:
        file.write_text(text)
    assert "was measured on another answer, check or training; run 'dlgrade calibrate follow'" in stale[1]
    other = tmp_path / "letters.txt"
    other.write_text(text_course.prose(5000))
    monkeypatch.setenv("DLGRADE_DATA", str(tmp_path / "data"))
    datasets.import_("tiny_shakespeare", other)
    assert any("other data of this name" in problem for problem in calibration.problems(exercise, [check]))


def collected(course):
    """The checks of the exercise, without running any."""
    return [check for check, _ in load_checks(course.exercise("follow").visible_checks)]


@pytest.mark.parametrize("few", [{"seeds": 1}, {"near_miss_seeds": 1}])
def test_one_seed_is_refused(course, few):
    """It tells no spread, and nothing is trained."""
    with pytest.raises(UsageError, match="one seed tells no spread"):
        measured(course, **few)


def test_what_is_not_there_is_not_measured(course):
    """A name that no accuracy check has, and a tier that has none, are named with what there is."""
    exercise, checks = course.exercise("follow"), collected(course)
    with pytest.raises(UsageError, match=f"no accuracy check of that name; there is {CHECK}"):
        measuring._chosen(exercise, checks, dataclasses.replace(PLAN, only=("nothing",)))
    with pytest.raises(UsageError, match="no accuracy check at tier quick"):
        measuring._chosen(exercise, checks, dataclasses.replace(PLAN, tier="quick"))


def test_correct_variants_are_measured_too(course, calibrated):
    """A variant that learns more slowly has figures of its own, and the threshold lets it pass."""
    variants = course.root / "solutions" / "follow" / "variants"
    variants.mkdir(exist_ok=True)
    body = (course.root / "reference" / "follow.py").read_text().partition("\n\n\ndef shout")[0]
    slower = variants / "slower.py"
    slower.write_text(body.replace("return self.follows", "return 0.5 * self.follows"))
    others = [file for file in variants.glob("*.py") if file != slower]
    aside = [file.rename(file.with_suffix(".aside")) for file in others]
    try:
        new, found = measured(course, variant_seeds=2)
        slower.write_text(slower.read_text() + "\n\ndef shout(text):\n    return text.upper()\n")
        after_another_part_changed, _ = measured(course, variant_seeds=2)
    finally:
        slower.unlink()
        for file in aside:
            file.rename(file.with_suffix(".py"))
    assert new == ["variant slower"] * 2
    assert not after_another_part_changed
    figures = [trial.figure for trial in found.variants["slower"]]
    assert min(figures) > max(trial.figure for trial in found.answers)
    content = calibration.read(course.exercise("follow"))
    [entry] = content["thresholds"][CHECK].values()
    assert entry["threshold"] > max(figures)
    assert entry["usual"][1] == pytest.approx(max(figures), abs=1e-4)
    [held] = content["variants"][CHECK].values()
    assert held == {"slower": [round(figure, 4) for figure in figures]}
