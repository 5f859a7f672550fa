"""A folder as it comes, through the real command: everybody is in the results, unread ones with a reason."""

import io
import subprocess
import sys
import zipfile

import pytest

from tests.autograder import tiny_course
from tests.autograder.command_line import environment
from tests.cohort import cohorts

UNREAD = {
    "empty": "no tiny.py or tiny.ipynb in 'empty', which is empty",
    "rar": "no tiny.py or tiny.ipynb in 'rar', which holds tiny.rar",
    "link": "'link' is a symbolic link, which is not followed; put the folder itself there",
    "nested/all.zip": "nested/all.zip holds another archive, 'hw/inner.zip'; pack your files themselves",
    "two": "two/a.py and two/b.py both differ from the release; keep one, or name the file to grade",
}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return tiny_course.make(tmp_path_factory.mktemp("course"))


def zipped(**files):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for name, data in files.items():
            out.writestr(f"hw/{name.replace('_', '.')}", data)
    return archive.getvalue()


def fill(root, course):
    """Ten who can be graded, and those of UNREAD."""
    text = tiny_course.answer_with(course).encode()
    files = {
        "Anna/tiny.py": text,
        "anna/tiny.py": text.replace(b"2 * x", b"3 * x"),
        "J\u00fcrgen M\u00fcller/tiny (1).py": text,
        "deep/week 3/answers/TINY.PY": b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"),
        "zip/all.zip": zipped(tiny_py=text),
        "=cmd()/tiny.py": text,
        "-rf/tiny.py": text,
        "new\nline/tiny.py": text,
        "zero bytes/tiny.py": b"",
        "read only/tiny.py": text,
        "rar/tiny.rar": b"Rar!",
        "nested/all.zip": zipped(inner_zip=zipped(tiny_py=text)),
        "two/a.py": text,
        "two/b.py": text.replace(b"2 * x", b"x + x"),
        "__MACOSX/anna/._tiny.py": b"\0",
        "anna/.ipynb_checkpoints/tiny-checkpoint.py": b"x",
        "rename_all.py": b"import os\n",
        "README.txt": b"x",
    }
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    (root / "empty").mkdir()
    (root / "link").symlink_to(root / "anna")
    (root / "read only" / "tiny.py").chmod(0o444)
    (root / "read only").chmod(0o555)


def test_a_messy_folder_is_graded_whole_and_says_what_it_could_not_read(course, tmp_path):
    """As for a long cohort, whose table is not shown: 15 rows, five with a reason, one file left out."""
    fill(tmp_path / "in", course)
    out = tmp_path / "out"
    code = "import sys; from dlgrade import batch, cli; batch.LISTED = 0; sys.exit(cli.run(sys.argv[1:]))"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            "grade",
            "tiny",
            str(tmp_path / "in"),
            "--out",
            str(out),
            "--seed",
            "11",
        ],
        cwd=course.root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    (tmp_path / "in" / "read only").chmod(0o755)
    assert done.returncode == 1, done.stderr
    assert "not graded, as no student's folder holds it: rename_all.py" in done.stderr
    told = done.stderr.partition("dlgrade: 5 submissions hold nothing to grade:\n")[2].splitlines()
    assert told == [f"  {name}: {reason}" for name, reason in sorted(UNREAD.items())]
    rows = cohorts.table(out / "grades.csv")
    assert len(rows) == 15
    scores = {row["submission"]: float(row["score"]) for row in rows}
    assert {name for name, score in scores.items() if score == 0} == {*UNREAD, "zero bytes/tiny.py"}
    assert scores["deep/week 3/answers/TINY.PY"] == scores["zip/all.zip"] == 11
    assert (scores["Anna/tiny.py"], scores["anna/tiny.py"]) == (11, 8)
