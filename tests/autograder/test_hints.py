"""Hints: how many steps an attempt earns, which part they are for, and a memory that nothing can break."""

import json
import os

import pytest

from dlgrade import hints
from dlgrade.changes import dependencies, touched, with_dependents
from dlgrade.checks import Check
from dlgrade.errors import CourseError
from dlgrade.hints import FILE, Trail
from dlgrade.report import CheckResult, Report
from dlgrade.submission import find_submissions
from tests.autograder import tiny_course
from tests.autograder.command_line import dlgrade

HALF = "def double(x):\n    return x\n"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return tiny_course.make(tmp_path_factory.mktemp("course"))


@pytest.fixture
def exercise(course):
    return course.exercise("tiny")


@pytest.fixture
def answer(exercise, tmp_path):
    """Writes the student's file and reads it back as a submission."""

    def write(text: str):
        (tmp_path / "tiny.py").write_text(text)
        [submission] = find_submissions(tmp_path, exercise)
        return submission

    return write


def report(**verdicts: str) -> Report:
    """A report in which each part's one check ended as told."""
    checks = [
        CheckResult(f"{part}_check", part, "value", "a title", False, verdict, 0, 1)
        for part, verdict in verdicts.items()
    ]
    return Report("tiny", "tiny.py", "me", "quick", 5, tuple(checks))


def steps(submission, exercise, part=None) -> list[str]:
    found, kept = hints.show_next(submission, exercise, part)
    assert kept
    return list(found.steps)


# --- how many ---------------------------------------------------------------------------------------


def test_each_failed_attempt_earns_one_step(exercise, answer):
    """The first is free; asking again without a try in between shows nothing new, and the last stays."""
    stub = answer(exercise.released_source)
    assert steps(stub, exercise) == ["think of addition"]
    assert steps(stub, exercise) == ["think of addition"]
    for number in range(3):
        tried = answer(f"def double(x):\n    return x + {number}\n")
        hints.note_attempts(tried, exercise, report(double="failed"))
        assert steps(tried, exercise) == ["think of addition", "x + x"]


def test_the_same_code_checked_twice_is_one_attempt(exercise, answer, tmp_path):
    """Nor is a comment a try: what counts is the code of the part and of what it uses."""
    for text in (HALF, HALF, f"# again\n\n{HALF}"):
        hints.note_attempts(answer(text), exercise, report(double="failed"))
    assert hints.read(tmp_path, exercise)["double"].attempts == 1


@pytest.mark.parametrize("verdict", ["missing", "internal", "deferred", "passed"])
def test_what_is_no_try_earns_nothing(exercise, answer, tmp_path, verdict):
    """A stub, a fault of ours, a check left out and a pass are no failed attempts."""
    hints.note_attempts(answer(HALF), exercise, report(double=verdict))
    assert hints.read(tmp_path, exercise).get("double", Trail()).attempts == 0


def test_what_was_shown_is_told_to_the_instructor(exercise, answer):
    """The number of steps of each part, parts without any left out."""
    submission = answer(HALF)
    steps(submission, exercise, "descend")
    hints.note_attempts(submission, exercise, report(double="failed", Affine="failed"))
    assert hints.used(submission, exercise) == {"descend": 1}


# --- for which part ---------------------------------------------------------------------------------


def test_without_a_name_the_hint_is_for_the_first_open_part(course, exercise, answer):
    """Open is what is a stub, was not checked, did not pass, or was changed since."""
    whole = answer(tiny_course.answer_with(course))
    assert hints.show_next(whole, exercise, None)[0].part == "double"
    hints.note_attempts(whole, exercise, report(double="passed", Affine="failed", descend="passed"))
    assert hints.show_next(whole, exercise, None)[0].part == "Affine"
    changed = answer(tiny_course.answer_with(course, double=HALF))
    assert hints.show_next(changed, exercise, None)[0].part == "double"


def test_where_every_part_passed_there_is_no_hint_to_give(course, exercise, answer):
    """None; a part that is named gets its hint all the same."""
    whole = answer(tiny_course.answer_with(course))
    hints.note_attempts(whole, exercise, report(double="passed", Affine="passed", descend="passed"))
    assert hints.show_next(whole, exercise, None) == (None, True)
    assert steps(whole, exercise, "Affine") == ["one layer is enough"]


def test_a_part_that_does_not_exist_is_named_with_those_that_do(exercise, answer):
    """As everywhere."""
    with pytest.raises(CourseError, match="no part 'halve'; its parts are double, Affine, descend"):
        hints.show_next(answer(HALF), exercise, "halve")


# --- the memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b'{"schema": 2, "exercises": {}}',
        b'{"schema": 1, "exercises": []}',
        b'{"schema": 1, "exercises": {"tiny": 3}}',
        b'{"schema": 1, "exercises": {"tiny": {"double": [], "nothing": {}}}}',
        b'{"schema": 1, "exercises": {"tiny": {"double": {"shown": "x", "attempts": -5, "code": 7}}}}',
        b" " * (1 << 17),
    ],
)
def test_a_damaged_memory_starts_anew(exercise, answer, tmp_path, content):
    """Whatever lies there, the first hint comes, and it is remembered."""
    submission = answer(HALF)
    (tmp_path / FILE).write_bytes(content)
    assert steps(submission, exercise) == ["think of addition"]
    assert hints.used(submission, exercise) == {"double": 1}


def test_numbers_beyond_what_there_is_are_cut(exercise, answer, tmp_path):
    """An edited file cannot make the report claim more steps than a part has."""
    values = {"schema": 1, "exercises": {"tiny": {"double": {"shown": 10**9, "attempts": 10**30}}}}
    (tmp_path / FILE).write_text(json.dumps(values))
    submission = answer(HALF)
    assert hints.used(submission, exercise) == {"double": 2}
    assert steps(submission, exercise) == ["think of addition", "x + x"]


def test_a_link_in_its_place_is_not_followed(exercise, answer, tmp_path):
    """In a folder that was handed in it could lead anywhere."""
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"schema": 1, "exercises": {"tiny": {"double": {"shown": 2}}}}')
    (tmp_path / FILE).symlink_to(elsewhere)
    assert hints.used(answer(HALF), exercise) == {}


def test_other_exercises_in_the_same_folder_keep_theirs(exercise, answer, tmp_path):
    """One file for all of them."""
    other = {"schema": 1, "exercises": {"other": {"a": {"shown": 1}}}}
    (tmp_path / FILE).write_text(json.dumps(other))
    steps(answer(HALF), exercise)
    kept = json.loads((tmp_path / FILE).read_text())["exercises"]
    assert kept["other"] == {"a": {"shown": 1}}
    assert kept["tiny"]["double"]["shown"] == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_still_gives_hints(exercise, answer, tmp_path):
    """And the caller learns that it was not remembered."""
    submission = answer(HALF)
    tmp_path.chmod(0o555)
    try:
        found, kept = hints.show_next(submission, exercise, None)
    finally:
        tmp_path.chmod(0o755)
    assert (list(found.steps), kept) == (["think of addition"], False)


def test_a_memory_whose_place_is_taken_still_gives_hints(exercise, answer, tmp_path):
    """A folder of the file's name cannot be replaced; nothing is left of the try."""
    submission = answer(HALF)
    (tmp_path / FILE).mkdir()
    found, kept = hints.show_next(submission, exercise, None)
    assert (list(found.steps), kept) == (["think of addition"], False)
    assert {entry.name for entry in tmp_path.iterdir()} == {FILE, "tiny.py"}


def test_nothing_is_remembered_in_the_staffs_own_folders(course, exercise):
    """They are released to students and compared with what a build writes."""
    [submission] = find_submissions(course.root / "assignments" / "tiny" / "tiny.py", exercise)
    hints.show_next(submission, exercise, None)
    hints.note_attempts(submission, exercise, report(double="failed"))
    assert not list(course.root.rglob(FILE))


# --- what a part depends on -------------------------------------------------------------------------

BEFORE = '''\
"""An answer."""
import math
SCALE = 2
def scaled(x):
    return SCALE * x
def first(x):
    return scaled(x)
def second(x):
    return x
'''


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("return x\n", "return -x\n", {"second"}),
        ("SCALE = 2", "SCALE = 3", {"first"}),
        ("SCALE * x", "x * SCALE", {"first"}),
        ("import math", "import math, os", set()),
        ("import math", "import math\nfirst.__doc__ = ''", {"first", "second"}),
        ("import math", "import math\nprint()", {"first", "second"}),
        ('"""An answer."""', '"""Mine."""\n\n# a comment\n', set()),
        ("return x\n", "return x\nsecond = first\n", {"second"}),
        ("def second(x):", "def second(x:", {"first", "second"}),
        ("return x\n", "return globals()['first'](x)\n", {"second"}),
    ],
)
def test_a_change_touches_the_parts_that_depend_on_it(old, new, parts):
    """By name, through what it uses; statements without a name touch all, comments and docstrings none."""
    before, after = (dependencies(text, ["first", "second"]) for text in (BEFORE, BEFORE.replace(old, new)))
    assert touched(before, after) == parts


def test_who_can_reach_every_name_depends_on_all():
    """`globals` hides what is used."""
    text = BEFORE.replace("return x\n", "return globals()['fi' + 'rst'](x)\n")
    versions = text, text.replace("SCALE = 2", "SCALE = 3")
    before, after = (dependencies(version, ["first", "second"]) for version in versions)
    assert touched(before, after) == {"first", "second"}


def test_checks_that_wait_for_a_touched_part_are_touched_too():
    """Through several steps, and in one direction only."""
    checks = [
        Check("a", "a", "first", 1, "value", ""),
        Check("b", "b", "second", 1, "value", "", needs=("a",)),
        Check("c", "c", "third", 1, "value", "", otherwise=("b",)),
    ]
    assert with_dependents({"first"}, checks) == {"first", "second", "third"}
    assert with_dependents({"third"}, checks) == {"third"}


# --- the command ------------------------------------------------------------------------------------


def test_the_command_shows_the_steps_and_says_how_to_get_more(course, tmp_path):
    """In the folder of a started exercise no path is needed, and the report of a check tells of the hint."""
    dlgrade("start", "tiny", "--course", course.root, cwd=tmp_path)
    home = tmp_path / "tiny"
    done = dlgrade("hint", "--course", course.root, cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "double: hint 1 of 2\n  1. think of addition\n"
        "The next one comes after another try at double that 'dlgrade check' finds failing.\n"
    )
    (home / "tiny.py").write_text(tiny_course.answer_with(course, double=HALF))
    checked = dlgrade("check", "--course", course.root, "--format", "json", cwd=home)
    assert json.loads(checked.stdout)["hints"] == {"double": 1}
    done = dlgrade("hint", "double", "tiny.py", "--course", course.root, cwd=home)
    assert done.stdout.splitlines()[-2:] == ["  2. x + x", "That was the last one."]


def test_a_hint_needs_one_answer(course, tmp_path):
    """Of a folder of students' folders it is refused, exit 2."""
    for name in ("anna", "ben"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tiny.py").write_text(HALF)
    done = dlgrade("hint", "double", tmp_path, "--exercise", "tiny", "--course", course.root, cwd=tmp_path)
    assert done.returncode == 2
    assert "'hint' looks at one answer, and there are 2; name its file" in done.stderr
