"""What instructors really have: files side by side, downloads of other systems, and what lies about."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dlgrade.collected import canvas_student, collected
from dlgrade.errors import UsageError


@pytest.fixture
def put(tmp_path):
    """Writes empty files below a folder, by their paths; returns the folder."""
    root = tmp_path / "in"
    root.mkdir()

    def write(*paths):
        for path in paths:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
        return root

    return write


def found(root, **options):
    """Students and the files of their answers, below a cohort's folder."""
    places = collected(root, "tiny", **({"flat": True} | options)).places
    return {place.student: [str(place.folder / name) for name in place.files] for place in places}


# Files side by side


def test_files_side_by_side_are_a_student_each(put):
    """By the name of the file, whatever its format, less the name of the exercise."""
    root = put("alice.py", "Bob Meier.ipynb", "cai.tar.gz", "tiny_dee.py", "eve-TINY.PY", "notes.txt")
    assert found(root) == {
        "Bob Meier": ["Bob Meier.ipynb"],
        "alice": ["alice.py"],
        "cai": ["cai.tar.gz"],
        "dee": ["tiny_dee.py"],
        "eve": ["eve-TINY.PY"],
    }


def test_both_formats_of_one_student_are_one_submission(put):
    """Which one counts is decided by what is in them."""
    assert found(put("alice.py", "alice.ipynb", "bob.py")) == {
        "alice": ["alice.ipynb", "alice.py"],
        "bob": ["bob.py"],
    }


def test_a_download_from_canvas_tells_student_and_number(put):
    """Late and repeated uploads too; of several files those called as the exercise; a name of two people."""
    root = put(
        "doejane_101_9001_tiny.py",
        "doejane_101_9002_plot helper.py",
        "doejane_102_9003_my_tiny.ipynb",
        "muellerjuergen_LATE_103_9004_tiny-2.py",
    )
    assert found(root) == {
        "doejane_101": ["doejane_101_9001_tiny.py"],
        "doejane_102": ["doejane_102_9003_my_tiny.ipynb"],
        "muellerjuergen_103": ["muellerjuergen_LATE_103_9004_tiny-2.py"],
    }
    assert canvas_student("muellerjuergen_LATE_103_9004_tiny-2.py") == ("muellerjuergen", "103")
    assert canvas_student("anna/tiny.py") is canvas_student("my_tiny_2.py") is None


def test_a_download_from_moodle_tells_student_and_number(put):
    """As folders, and as files side by side."""
    folders = put("Jane Doe_11_assignsubmission_file/tiny.py", "Jo Li_12_assignsubmission_file_/hw.py")
    assert list(found(folders)) == ["Jane Doe_11", "Jo Li_12"]


def test_moodle_files_side_by_side(put):
    """Their student comes first in the name."""
    root = put("Jane Doe_11_assignsubmission_file_tiny.py", "Jo Li_12_assignsubmission_file_x.ipynb")
    assert list(found(root)) == ["Jane Doe_11", "Jo Li_12"]


def test_two_files_of_one_student_are_no_cohort(put):
    """`check`, and `grade --one-student` as Gradescope's bundle calls it, where a helper lies beside."""
    root = put("main.py", "helper.py")
    assert found(root, flat=False) == found(root, one=True) == {"in": ["helper.py", "main.py"]}
    assert list(found(put("sub/tiny.py", "sub2/tiny.py"), one=True)) == ["in"]


# Whatever lies about


def test_what_belongs_to_no_student_is_named(put):
    """A script beside students' folders is left out, and so is a folder beside more files; both are told."""
    root = put("anna/tiny.py", "bob/tiny.py", "grades.py")
    assert (list(found(root)), collected(root, "tiny", flat=True).left_out) == (
        ["anna", "bob"],
        ["grades.py"],
    )
    root = put("cai.py", "dee.py")
    assert (list(found(root)), collected(root, "tiny", flat=True).left_out) == (
        ["cai", "dee", "grades"],
        ["anna", "bob"],
    )


def test_a_stray_answer_among_students_folders_is_refused(put):
    """Else it alone would be graded, and nobody would hear of the others."""
    with pytest.raises(
        UsageError, match=r"holds tiny\.py and also students' folders \('anna', 'bob'\); move"
    ):
        found(put("tiny.py", "anna/tiny.py", "bob/tiny.py"))


def test_what_systems_leave_behind_is_nobodys(put):
    """Checkpoints, resource forks, caches, hidden folders."""
    root = put(
        "anna/tiny.ipynb",
        "anna/.ipynb_checkpoints/tiny-checkpoint.ipynb",
        "bob/__MACOSX/._tiny.py",
        "bob/tiny.py",
        "__MACOSX/anna/._tiny.py",
        ".git/tiny.py",
        "__pycache__/tiny.py",
    )
    assert found(root) == {"anna": ["anna/tiny.ipynb"], "bob": ["bob/tiny.py"]}


def test_an_answer_in_a_folder_of_a_students_folder_is_found(put):
    """What an unpacked archive leaves: the exercise's name first, then any source; nearest to the top."""
    root = put(
        "anna/homework/week 1/tiny.py",
        "anna/homework/other.py",
        "bob/x/y/answer.ipynb",
        "cai/hw.py",
        "cai/old/tiny.py",
        "dee/a/b/c/d/tiny.py",
    )
    assert found(root) == {
        "anna": ["anna/homework/week 1/tiny.py"],
        "bob": ["bob/x/y/answer.ipynb"],
        "cai": ["cai/hw.py"],
        "dee": [],
    }


def test_two_answers_in_folders_are_told(put):
    """Nobody can know which one counts."""
    root = put("anna/tiny.py", "bob/first/tiny.py", "bob/second/tiny.py")
    place = collected(root, "tiny", flat=True).places[1]
    assert place.problem == "bob/first and bob/second both hold an answer; keep one of them"


def test_a_folder_without_an_answer_says_what_it_has_instead(put):
    """Nobody has to look; of many files the first three."""
    root = put("anna/tiny.py", "bob/tiny.rar", "cai/a.txt", "cai/b.txt", "cai/c.txt", "cai/d.txt")
    _, bob, cai = collected(root, "tiny", flat=True).places
    assert bob.problem == "no tiny.py or tiny.ipynb in 'bob', which holds tiny.rar"
    assert cai.problem.endswith("which holds a.txt, b.txt, c.txt and 1 more")


def test_names_that_differ_in_case_or_spelling_stay_apart(put):
    """Anna and anna, and one umlaut in two encodings."""
    root = put(
        "Anna/tiny.py", "anna/tiny.py", "J\u00fcrgen/tiny.py", "Ju\u0308rgen/tiny.py", "empty dir/x.txt"
    )
    places = collected(root, "tiny", flat=True).places
    assert len({place.folder for place in places}) == 5
    assert [place.student for place in places if not place.files] == ["empty dir"]


def test_links_are_told_not_followed(put, tmp_path):
    """A folder and a file that lie elsewhere: each in the list, with nothing read."""
    root = put("anna/tiny.py")
    (tmp_path / "elsewhere").mkdir()
    (root / "bob").symlink_to(tmp_path / "elsewhere")
    (root / "cai").symlink_to(tmp_path / "nowhere")
    problems = {place.student: place.problem for place in collected(root, "tiny", flat=True).places}
    assert set(problems) == {"anna", "bob", "cai"}
    assert problems["bob"] == "'bob' is a symbolic link, which is not followed; put the folder itself there"
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "anna.py").touch()
    (flat / "bob.py").symlink_to(flat / "anna.py")
    assert found(flat) == {"anna": ["anna.py"], "bob": ["bob.py"]}


LIST_AS_NOBODY = """
import os, sys
from pathlib import Path
from dlgrade.collected import collected
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
print([place.problem for place in collected(Path(sys.argv[1]), "tiny", flat=True).places])
"""


def test_a_folder_that_cannot_be_listed_says_so(put):
    """It is not taken for an empty one."""
    root = put("anna/tiny.py", "bob/tiny.py")
    for folder in (root, *root.resolve().parents):
        if Path(tempfile.gettempdir()) in folder.parents:
            folder.chmod(folder.stat().st_mode | 0o055)
    (root / "bob").chmod(0)
    command = [sys.executable, "-c", LIST_AS_NOBODY, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (root / "bob").chmod(0o700)
    assert done.stdout.strip() == "[None, \"'bob' cannot be listed: Permission denied\"]", done.stderr
