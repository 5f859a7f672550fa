"""A student's own copy of an exercise."""

import pytest

from dlgrade.build import build
from dlgrade.errors import UsageError
from dlgrade.start import start
from tests.autograder.small_course import write_course


@pytest.fixture
def course(tmp_path):
    course = write_course(tmp_path / "course")
    build(course)
    return course


def files(folder):
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize(("notebook", "answer"), [(False, "shapes.py"), (True, "shapes.ipynb")])
def test_start_copies_one_format_and_all_else(course, tmp_path, notebook, answer):
    """A student gets the .py or the notebook, never both, and all else, byte for byte."""
    text = start(course, "shapes", tmp_path / "mine", notebook=notebook)
    assert files(tmp_path / "mine") == sorted(["README.md", "checks/area_checks.py", "exercise.toml", answer])
    for file in files(tmp_path / "mine"):
        assert (tmp_path / "mine" / file).read_bytes() == (
            course.root / "assignments/shapes" / file
        ).read_bytes()
    assert f"dlgrade check {tmp_path / 'mine' / answer}" in text
    assert "dlgrade hint Circle" in text


def test_start_again_changes_nothing(course, tmp_path):
    """Files that are there and equal are left alone, so starting twice is harmless."""
    start(course, "shapes", tmp_path / "mine")
    assert start(course, "shapes", tmp_path / "mine")


def test_work_is_never_overwritten(course, tmp_path):
    """A file that differs stops the command before anything is copied."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "shapes.py").write_text("my work\n")
    with pytest.raises(
        UsageError, match=r"shapes\.py already exists and differs from the release; nothing was copied"
    ):
        start(course, "shapes", mine)
    assert files(mine) == ["shapes.py"]
    assert (mine / "shapes.py").read_text() == "my work\n"


def test_exercise_that_was_never_built_says_how_to(tmp_path):
    """Staff who start before building are told to build."""
    course = write_course(tmp_path / "course")
    with pytest.raises(UsageError, match=r"shapes\.py not found; 'dlgrade build shapes' writes it"):
        start(course, "shapes", tmp_path / "mine")
