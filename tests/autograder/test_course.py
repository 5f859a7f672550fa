"""Finding the course folder and its exercises."""

import subprocess
import sys

import pytest

from dlgrade.course import ENVIRONMENT, Course, find_course
from dlgrade.errors import UsageError
from tests.autograder.small_course import write_course


@pytest.fixture(autouse=True)
def _no_course_in_environment(monkeypatch):
    monkeypatch.delenv(ENVIRONMENT, raising=False)


def test_named_course_wins(tmp_path, monkeypatch):
    """--course comes before the environment, and the environment before the nearest folder."""
    roots = [tmp_path / name for name in ("explicit", "environment", "nearest")]
    for root in roots:
        write_course(root)
        (root / "assignments").mkdir()
    monkeypatch.setenv(ENVIRONMENT, str(roots[1]))
    assert find_course(roots[0], roots[2]).root == roots[0]
    assert find_course(None, roots[2]).root == roots[1]
    monkeypatch.delenv(ENVIRONMENT)
    assert find_course(None, roots[2] / "solutions" / "shapes").root == roots[2]


def test_unrelated_assignments_folder_is_no_course(tmp_path):
    """A folder called assignments/ without an exercise in it does not end the search upwards."""
    write_course(tmp_path)
    (tmp_path / "assignments").mkdir()
    inner = tmp_path / "home"
    (inner / "assignments").mkdir(parents=True)
    assert find_course(None, inner).root == tmp_path


def test_named_folder_must_be_a_course(tmp_path):
    """A folder named by hand that is no course is refused, never replaced by another one."""
    with pytest.raises(UsageError, match=r"--course '.*' has no assignments/ or solutions/ in it"):
        find_course(tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        find_course(tmp_path / "absent")


def test_named_folder_from_the_environment_is_named_in_the_error(tmp_path, monkeypatch):
    """The error says that the wrong folder came from the environment."""
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    with pytest.raises(UsageError, match=ENVIRONMENT):
        find_course(None)


def test_unknown_exercise_suggests_a_near_name(tmp_path):
    """A misspelt exercise is answered with the name it resembles."""
    course = write_course(tmp_path)
    with pytest.raises(UsageError) as error:
        course.exercise("shape")
    assert str(error.value) == (
        "exercise 'shape' not found; did you mean 'shapes'? 'dlgrade list' shows all."
    )
    with pytest.raises(UsageError, match=r"^exercise 'xyz' not found\. 'dlgrade list' shows all\.$"):
        course.exercise("xyz")


def test_exercises_are_listed_once(tmp_path):
    """An exercise that is in solutions/ and assignments/ is one exercise, and staff's is the one loaded."""
    course = write_course(tmp_path)
    (tmp_path / "assignments" / "shapes").mkdir(parents=True)
    (tmp_path / "assignments" / "shapes" / "exercise.toml").write_text("id = 'shapes'\n")
    assert course.exercises() == ("shapes",)
    assert course.staff
    assert course.exercise("shapes").staff


def test_course_without_solutions_is_not_staffs(tmp_path):
    """Students' courses have no solutions/."""
    (tmp_path / "assignments").mkdir()
    assert not Course(tmp_path).staff


def test_static_half_imports_no_torch():
    """The command line starts without importing torch, NumPy or nbformat through these modules."""
    modules = "course, build, start, submission, source, exercise"
    heavy = "{'torch', 'numpy', 'nbformat'}"
    code = f"import sys; from dlgrade import {modules}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
