"""Keys of results: an edit changes those of the checks it touches, and no others."""

import importlib.util

import pytest

from dlgrade import checks, content
from dlgrade.report import CheckResult, Report
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission
from tests.autograder import tiny_course
from tests.cohort import cohorts

READY = {"versions": {"torch": "2"}, "data": {"x": "1"}}
SETTINGS = RunSettings("quick", 5)


def collected(course):
    """The checks of the tiny course, in order."""
    folder = course.root / "solutions" / "tiny" / "checks"
    found = []
    for file in sorted(folder.rglob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"checks_{file.stem}", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        marked = [value for value in vars(module).values() if hasattr(value, checks.MARK)]
        found += [checks.of(value, file, "hidden" in file.parts) for value in marked]
    return checks.in_order(found)


def keys(course, settings=SETTINGS, ready=READY):
    exercise = course.exercise("tiny")
    return content.check_keys(exercise, collected(course), settings, ready)


@pytest.fixture
def course(tmp_path):
    return tiny_course.make(tmp_path)


def touched(before, after):
    return {name for name in before if before[name] != after[name]}


def test_the_same_course_has_the_same_keys(course):
    """No clock, no path, no order of a set goes into a key."""
    assert keys(course) == keys(course)


def test_an_edited_check_touches_itself_and_what_needs_it(course):
    """The shape check is needed by the value check; all others keep their keys."""
    before = keys(course)
    cohorts.edit(course, "shape=(2, 3))", "shape=(2, 3), dtype=None)", "visible/test_visible.py")
    assert touched(before, keys(course)) == {"double_keeps_the_shape", "double_doubles"}


def test_what_a_file_shares_touches_all_checks_of_that_file(course):
    """A constant at the head of the hidden file."""
    before = keys(course)
    cohorts.edit(course, "from dlgrade import compare\n", "from dlgrade import compare\n\nSIZE = 4\n")
    assert touched(before, keys(course)) == {
        "descend_ends_where_the_reference_does", "double_doubles_large_numbers", "affine_can_be_trained",
    }  # fmt: skip


def test_a_title_touches_its_own_check_only(course):
    """The other checks of the file do not see it, nor the blank line after it."""
    before = keys(course)
    cohorts.edit(course, '    """secret title"""\n', '    """another title"""\n\n')
    assert touched(before, keys(course)) == {"double_doubles_large_numbers"}


def test_a_mistake_touches_the_checks_of_its_part(course):
    """Its sentence is part of their results."""
    before = keys(course)
    file = course.root / "solutions" / "tiny" / "mistakes.toml"
    file.write_text(file.read_text().replace("You never clear", "You do not clear"))
    assert touched(before, keys(course)) == {"descend_ends_where_the_reference_does"}


@pytest.mark.parametrize(
    "changed",
    [
        {"settings": RunSettings("cpu", 5)},
        {"settings": RunSettings("quick", 6)},
        {"ready": {**READY, "versions": {"torch": "3"}}},
    ],
)
def test_tier_seed_and_versions_touch_everything(course, changed):
    """Nothing is taken over from a run of other settings."""
    before = keys(course)
    assert touched(before, keys(course, **changed)) == set(before)


def test_jobs_and_threads_touch_nothing(course):
    """How fast a run is does not change what it finds."""
    assert keys(course) == keys(course, RunSettings("quick", 5, threads=2))


def known(course, text="x", again=(), **content_changes):
    """Which of four checks' results still hold for a submission."""
    exercise_checks, found = collected(course), keys(course)
    submission = Submission("a", "", "x", course.root, "py")
    results = tuple(
        tiny_result(check, "internal" if check.id == "affine_is_affine" else "passed")
        for check in exercise_checks
    )
    depends = {"submission": content.text_key(submission), "checks": {**found, **content_changes}}
    report = Report("tiny", "a", "", "quick", 5, results, content=depends)
    asked = Submission("a", "", text, course.root, "py")
    return set(content.still_known(report, asked, exercise_checks, found, again))


def tiny_result(check, verdict):
    return CheckResult(check.id, check.part, check.kind, check.title, check.hidden, verdict, 0, check.points)


def test_results_hold_until_what_they_depend_on_changes(course):
    """Another text: none; another key: that check and what needs it; our own fault: never."""
    everything = set(keys(course)) - {"affine_is_affine"}
    assert known(course) == everything
    assert known(course, text="y") == set()
    pair = {"double_keeps_the_shape", "double_doubles"}
    assert known(course, double_keeps_the_shape="0") == everything - pair
    assert known(course, again=["double_keeps_the_shape"]) == everything - pair
