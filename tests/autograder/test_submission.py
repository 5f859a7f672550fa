"""Finding and reading submissions: files, folders, notebooks, and what must not be followed."""

import ast
import contextlib
import json
import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlgrade.build import build
from dlgrade.errors import SubmissionError, UsageError
from dlgrade.exercise import Exercise
from dlgrade.notebook_source import MAX_CELLS, MAX_NOTEBOOK_BYTES, notebook_text
from dlgrade.submission import exercise_of, find_submissions
from tests.autograder.small_course import write_course

ANSWER = "def area(radius, *, scale=2):\n    return 3 * radius\n"


@pytest.fixture
def course(tmp_path):
    course = write_course(tmp_path / "course")
    build(course)
    return course


@pytest.fixture
def exercise(course) -> Exercise:
    return course.exercise("shapes")


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def put(folder, name, text=ANSWER):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def code_cell(source, **metadata):
    return {"cell_type": "code", "source": source, "metadata": metadata, "outputs": []}


def notebook(*sources):
    cells = [source if isinstance(source, dict) else code_cell(source) for source in sources]
    return json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}})


def read(*sources, parts=("f",)):
    return notebook_text(notebook(*sources).encode(), "a.ipynb", parts)


# Layouts


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["shapes.py"], [("shapes.py", "work")]),
        (["anything.py"], [("anything.py", "work")]),
        (["shapes.py", "more.py"], [("shapes.py", "work")]),
        (["ann/shapes.py", "bob/shapes.py"], [("ann/shapes.py", "ann"), ("bob/shapes.py", "bob")]),
        (["ann/hw.py", "grades.py", "bob/shapes.py"], [("ann/hw.py", "ann"), ("bob/shapes.py", "bob")]),
        (
            ["ann/shapes/shapes.py", "bob/shapes/x.py"],
            [("ann/shapes/shapes.py", "ann"), ("bob/shapes/x.py", "bob")],
        ),
        (["ann/shapes/shapes.py", "ann/other/other.py"], [("ann/shapes/shapes.py", "ann")]),
        (["ann/shapes.py", ".git/shapes.py", "__pycache__/shapes.py"], [("ann/shapes.py", "ann")]),
    ],
)
def test_every_layout_is_found(work, exercise, files, expected):
    """One folder, a folder of students' folders and an nbgrader tree all give name and student."""
    for file in files:
        put((work / file).parent, (work / file).name)
    found = find_submissions(work, exercise)
    assert [(s.name, s.student) for s in found] == expected
    assert {s.text for s in found} == {ANSWER}
    assert {s.problem for s in found} == {None}


def test_one_file_is_one_submission(work, exercise):
    """A file by its path is read, whatever it is called."""
    (found,) = find_submissions(put(work / "ann" / "shapes", "mine.py"), exercise)
    assert (found.name, found.student, found.format, found.text) == ("mine.py", "ann", "py", ANSWER)


def test_student_without_a_file_is_reported_not_skipped(work, exercise):
    """In a batch, an empty folder is a submission with a problem, so that nobody is forgotten."""
    put(work / "ann", "shapes.py")
    (work / "bob").mkdir()
    ann, bob = find_submissions(work, exercise)
    assert ann.problem is None
    assert (bob.name, bob.student, bob.text) == ("bob", "bob", "")
    assert bob.problem == "no shapes.py or shapes.ipynb in 'bob', which is empty"


def test_nothing_to_grade_is_a_usage_error(work, exercise):
    """A folder without any submission, and a path that is not there, end the command."""
    (work / "empty").mkdir()
    with pytest.raises(
        UsageError, match=r"no submission of shapes in '.*'; expected shapes\.py or shapes\.ipynb"
    ):
        find_submissions(work, exercise)
    with pytest.raises(UsageError, match=r"absent' not found; expected a \.py, an \.ipynb or a folder"):
        find_submissions(work / "absent", exercise)


def test_other_file_types_are_a_problem(work, exercise):
    """A file that is neither Python nor a notebook says what is expected."""
    (found,) = find_submissions(put(work, "shapes.docx"), exercise)
    assert found.problem == "shapes.docx is neither a .py nor an .ipynb file; expected one with your shapes"


def test_one_bad_file_does_not_stop_the_batch(work, exercise):
    """Binary, malformed and oversized submissions carry a sentence each, and the others are read."""
    put(work / "ann", "shapes.py")
    put(work / "bob", "shapes.ipynb", "{")
    (work / "cai").mkdir()
    (work / "cai" / "shapes.py").write_bytes(b"\0\1")
    put(work / "dee", "shapes.py", "#" * 2_000_000)
    problems = {s.student: s.problem for s in find_submissions(work, exercise)}
    assert problems["ann"] is None
    assert problems["bob"].startswith("bob/shapes.ipynb is not a valid notebook: ")
    assert problems["cai"].startswith("cai/shapes.py has a NUL character at position 0")
    assert problems["dee"] == "dee/shapes.py has 2000000 bytes, expected at most 1000000"


# Both formats in one folder


def release(exercise, work, suffix):
    return put(work, f"shapes{suffix}", (exercise.release / f"shapes{suffix}").read_text())


def test_of_both_formats_the_changed_one_counts(work, exercise):
    """With the other still as released, the file a student worked on is graded."""
    release(exercise, work, ".py")
    put(work, "shapes.ipynb", notebook(ANSWER))
    assert [s.format for s in find_submissions(work, exercise)] == ["ipynb"]
    release(exercise, work, ".ipynb")
    put(work, "shapes.py")
    assert [s.format for s in find_submissions(work, exercise)] == ["py"]


def test_of_two_untouched_files_the_python_one_counts(work, exercise):
    """Running a notebook or saving with other line ends is no change; then the .py is graded."""
    ran = json.loads(release(exercise, work, ".ipynb").read_text())
    ran["cells"][1] |= {
        "execution_count": 3,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "x"}],
    }
    put(work, "shapes.ipynb", json.dumps(ran))
    released = release(exercise, work, ".py")
    released.write_bytes(released.read_bytes().replace(b"\n", b"\r\n"))
    assert [s.format for s in find_submissions(work, exercise)] == ["py"]


def test_two_changed_files_are_refused_by_name(work, exercise):
    """Nobody can know which one to grade, so both are named."""
    put(work, "shapes.py")
    put(work, "shapes.ipynb", notebook(ANSWER.replace("3", "4")))
    (found,) = find_submissions(work, exercise)
    assert found.problem == (
        "shapes.ipynb and shapes.py both differ from the release; keep one, or name the file to grade"
    )


def test_a_notebook_and_what_was_exported_from_it_are_one_answer(work, exercise):
    """The same code of every part, whatever the comments: the .py counts; not where one has a problem."""
    put(work, "shapes.py", f"# In[1]:\n\n\n{ANSWER}\n# In[2]:\n")
    put(work, "shapes.ipynb", notebook("# my answer\n" + ANSWER))
    (found,) = find_submissions(work, exercise)
    assert (found.format, found.problem) == ("py", None)
    put(work, "shapes.ipynb", "{")
    (found,) = find_submissions(work, exercise)
    assert "both differ from the release" in found.problem


# Hostile file systems


def test_links_out_of_the_folder_are_not_followed(work, exercise, tmp_path):
    """A symbolic link to a file or a folder outside is that submission's problem, and stays unread."""
    secret = put(tmp_path / "secret", "shapes.py", "SECRET = 1\n")
    put(work / "ann", "shapes.py")
    (work / "bob").mkdir()
    (work / "bob" / "shapes.py").symlink_to(secret)
    (work / "cai").symlink_to(secret.parent, target_is_directory=True)
    (work / "dee").mkdir()
    (work / "dee" / "shapes").symlink_to(secret.parent, target_is_directory=True)
    found = {s.student: s for s in find_submissions(work, exercise)}
    assert found["bob"].problem.startswith("bob/shapes.py cannot be read as a regular file: ")
    assert found["cai"].problem == (
        "'cai' is a symbolic link, which is not followed; put the folder itself there"
    )
    assert found["dee"].problem == "no shapes.py or shapes.ipynb in 'dee', which holds shapes"
    assert "SECRET" not in "".join(s.text for s in found.values())


def test_a_link_named_by_the_user_is_followed(work, exercise):
    """The path on the command line is the user's own, so a link there is fine."""
    (work / "link.py").symlink_to(put(work / "ann", "shapes.py"))
    (found,) = find_submissions(work / "link.py", exercise)
    assert (found.text, found.student) == (ANSWER, "ann")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_do_not_block(work, exercise):
    """A named pipe instead of a file is refused at once; opening it must not wait for a writer."""
    put(work / "ann", "shapes.py")
    (work / "bob").mkdir()
    os.mkfifo(work / "bob" / "shapes.py")
    _, bob = find_submissions(work, exercise)
    assert bob.problem == "bob/shapes.py is no regular file; hand in the file itself, not a link or a device"


def test_names_are_safe_to_show_and_stay_distinct(work, exercise):
    """Control, bidirectional and undecodable characters are escaped; names then equal are numbered."""
    for name in ("a\x1b[31m", "\u202eevil", "e\u0301", "\u00e9", os.fsdecode(b"\xff")):
        put(work / name, "shapes.py")
    found = find_submissions(work, exercise)
    names = [s.name for s in found]
    assert all(name.isprintable() for name in names)
    assert sorted(names) == sorted(
        [
            r"a\x1b[31m/shapes.py",
            r"\u202eevil/shapes.py",
            "é/shapes.py",
            "é/shapes.py (2)",
            r"\udcff/shapes.py",
        ]
    )
    assert all(s.text == ANSWER for s in found)


# Which exercise


def test_exercise_of_a_path(course, work):
    """The option, the nearest exercise.toml, the file's stem and the folder's content name it."""
    named = put(work / "shapes", "hw.py")
    assert exercise_of(put(work, "hw.py"), "shapes", course).id == "shapes"
    assert exercise_of(put(work, "shapes.py"), None, course).id == "shapes"
    assert exercise_of(named.parent, None, course).id == "shapes"
    assert exercise_of(work, None, course).id == "shapes"
    put(work / "copy", "exercise.toml", 'id = "shapes"\n')
    assert exercise_of(put(work / "copy" / "deep", "hw.py"), None, course).id == "shapes"
    put(work / "copy" / "deep", "exercise.toml", 'id = "absent"\n')
    with pytest.raises(UsageError, match="exercise 'absent' not found"):
        exercise_of(work / "copy" / "deep" / "hw.py", None, course)


@pytest.mark.parametrize("text", ["id = 3\n", "id = ", "\0", "id = " + "[" * 100_000])
def test_broken_exercise_toml_near_a_submission_is_ignored(course, work, text):
    """A student's damaged exercise.toml does not stop the grader."""
    put(work, "exercise.toml", text)
    assert exercise_of(put(work, "shapes.py"), None, course).id == "shapes"


def test_unrecognised_path_asks_for_the_option(course, work):
    """A path that names no exercise says how to name it."""
    with pytest.raises(
        UsageError, match=r"cannot tell which exercise '.*hw\.py' answers; name it with --exercise"
    ):
        exercise_of(put(work, "hw.py"), None, course)


# Notebooks


def test_notebook_keeps_what_the_parts_need_in_order():
    """Imports, constants and helpers that the parts reach come along; experiments are listed instead."""
    found = read(
        "import math\nimport matplotlib.pyplot as plt",
        {"cell_type": "markdown", "source": "def f(): pass"},
        "K = 2\ndef helper(x):\n    return K * math.pi * x\n",
        "model = download_everything()\nprint(helper(1))\n",
        "# why\ndef f(x):\n    return helper(x)  # like this\n",
        "for i in range(10):\n    f(i)\n",
    )
    assert found.text == (
        "# cell 1\nimport math\n\n\n# cell 3\nK = 2\ndef helper(x):\n    return K * math.pi * x\n\n\n"
        "# cell 5\ndef f(x):\n    return helper(x)  # like this\n"
    )
    assert found.notes == (
        "cell 4: left out print(helper(1)) (only imports, definitions and assignments count)",
        "cell 6: left out for i in range(10): (only imports, definitions and assignments count)",
        "cell 4: left out model = download_everything() (no part needs it)",
    )


@pytest.mark.parametrize(
    ("sources", "kept"),
    [
        (["f = make()\nmake = lambda: 1"], ["f = make()", "make = lambda: 1"]),
        (
            ["class f: pass\nf.forward = forward\ndef forward(): pass"],
            ["f.forward = forward", "def forward()"],
        ),
        (["x = 1", "x += 1", "def f(): return x"], ["x = 1", "x += 1"]),
        (["from helpers import *\ndef f(): return g()"], ["from helpers import *"]),
        (
            ["try:\n    import a\nexcept ImportError:\n    a = None\ndef f(): return a"],
            ["try:\n    import a\nexcept"],
        ),
        (["a = 1; b = 2; print(a)\ndef f(): return b"], ["\nb = 2\n"]),
        (["@deco\ndef f(): pass\ndef deco(g): return g"], ["@deco\ndef f()", "def deco(g)"]),
        (
            ["def f():\n    return nonlocal_error\n    nonlocal z\n", "z = nonlocal_error = 1"],
            ["nonlocal_error = 1"],
        ),
        (["π = 3; τ = 6\ndef f(): return τ"], ["\nτ = 6\n"]),
    ],
)
def test_notebook_follows_every_way_to_need_a_name(sources, kept):
    """Rebinding, patching, star imports, fallbacks, decorators and shared lines all reach the module."""
    text = read(*sources).text
    for piece in kept:
        assert piece in text
    assert "print" not in text


def test_future_imports_move_to_the_top():
    """A future import of a later cell would be a syntax error anywhere else."""
    text = read("x = 1\ndef f(): return x", "from __future__ import annotations\n").text
    assert text.startswith("from __future__ import annotations\n")
    compile(text, "a", "exec")


@pytest.mark.parametrize(
    ("source", "notes"),
    [
        ("%matplotlib inline\n!pip install x\ndef f(): return 1", ["%matplotlib inline", "!pip install x"]),
        ("def f():\n    !ls\n    return 1", ["!ls"]),
        ("files = !ls\ndef f(): return 1", ["files = !ls"]),
        ("%%time\ndef f(): return 1", ["%%time"]),
        ("f?\ndef f(): return 1", ["f?"]),
        ("x = (7\n  % 3)\n%time go()\ndef f(): return 1", ["%time go()"]),
    ],
)
def test_magics_are_left_out_and_listed(source, notes):
    """Magics and shell lines are no Python: they go, and the definitions around them stay."""
    found = read(source)
    assert "def f():" in found.text
    compile(found.text, "a", "exec")
    assert list(found.notes)[: len(notes)] == [f"cell 1: left out {note}" for note in notes]


def test_cell_in_another_language_is_left_out_whole():
    """What follows %%bash is no Python, even where it looks like it."""
    found = read("%%bash\nf = 1\n")
    assert found.text.strip() == ""
    assert found.notes == ("cell 1: left out %%bash",)


def test_cell_with_a_syntax_error_costs_only_itself():
    """One broken cell is named with its line, and the other cells count."""
    found = read("def f(): return 1", "def g(:\n  pass")
    assert "def f()" in found.text
    assert found.notes == ("cell 2 has a syntax error and was left out: line 1: invalid syntax: def g(:",)


def test_check_cells_are_no_part_of_the_submission():
    """nbgrader's test cells and the kit's check calls go; a hand-graded solution cell stays."""
    found = read(
        code_cell("def f(): return 1", nbgrader={"grade": True, "solution": True}),
        code_cell("f = None\nassert f", nbgrader={"grade": True, "solution": False}),
        "import dlgrade.notebook\n\ndlgrade.notebook.check('f')",
        "from dlgrade import notebook\nnotebook.check('f')",
    )
    assert found.text == "# cell 1\ndef f(): return 1\n"
    assert found.notes == ()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", r"a\.ipynb is not a valid notebook: Expecting value"),
        (b"[1, 2", "is not a valid notebook"),
        (b"[]", "a.ipynb has no list of cells, expected a notebook of format 4"),
        (b'{"worksheets": []}', "has no list of cells"),
        (b'{"cells": [1]}', "has a cell that is no JSON object"),
        (b'{"cells": [], "x": NaN}', "NaN is no JSON"),
        (b'{"cells": [], "x": -Infinity}', "-Infinity is no JSON"),
        (b'{"cells": [], "x": ' + b"9" * 5000 + b"}", "is not a valid notebook: Exceeds the limit"),
        (b'{"cells": ' + b"[" * 200_000, "is not a valid notebook: nested too deeply"),
        (b'{"cells": [{"cell_type": "code", "source": 3}]}', "has a code cell whose source is no text"),
        (b'{"cells": [{"cell_type": "code"}]}', "has a code cell whose source is no text"),
        (
            b'{"cells": [{"cell_type": "code", "source": ["a", 1]}]}',
            "has a code cell whose source is no text",
        ),
        (b'{"cells": [{"cell_type": "code", "source": "\\ud800"}]}', "half a surrogate pair"),
        (b'{"cells": [{"cell_type": "code", "source": "\\u0000"}]}', "NUL character"),
        (b'{"cells": ["\xff"]}', "is not valid utf-8 at byte 12"),
        (b" " * (MAX_NOTEBOOK_BYTES + 1), "bytes, expected at most 10000000; clear its outputs"),
        (
            notebook(*["x"] * (MAX_CELLS + 1)).encode(),
            f"has {MAX_CELLS + 1} cells, expected at most {MAX_CELLS}",
        ),
        (notebook("#" * 600_000, "#" * 600_000).encode(), "bytes of source, expected at most 1000000"),
        (notebook("a;" * 200_000).encode(), "tokens, expected at most 200000"),
    ],
)
def test_what_is_no_honest_notebook_is_refused_in_one_sentence(data, sentence):
    """Malformed, nested, oversized and smuggling JSON is refused by name, whatever Jupyter would do."""
    with pytest.raises(SubmissionError, match=sentence) as error:
        notebook_text(data, "a.ipynb", ["f"])
    assert "\n" not in str(error.value)


def test_long_blank_lines_are_no_trap_for_magics():
    """Half a million blanks before a broken line do not keep the search for magics busy."""
    assert "syntax error" in read(" " * 500_000 + "x" + " " * 400_000 + "$").notes[0]


def test_notes_are_few_and_short():
    """A notebook with thousands of stray statements gives a bounded, printable list."""
    notes = read(*["print('\x1b]8;;x')\n" + "go()\n" * 100] * 20).notes
    assert len(notes) == 50
    assert all(note.isprintable() and len(note) < 160 for note in notes)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)
_source = st.lists(
    st.sampled_from(
        ["def f():", "    x", "\n", "%m", "!ls", "f = 1", ";", "import f", "'", "(", "if f:", "f?", "é"]
    ),
    max_size=8,
).map("".join)
_cell = _json | st.fixed_dictionaries(
    {"cell_type": st.just("code") | _json, "source": _source | st.lists(_source, max_size=3) | _json},
    optional={"metadata": _json | st.fixed_dictionaries({"nbgrader": _json})},
)


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries({"cells": st.lists(_cell, max_size=4) | _json}) | _json)
@example({"cells": [code_cell("def f():\n    return (yield)\nnonlocal f\n")]})
def test_any_json_gives_a_module_or_a_sentence(value):
    """No JSON makes notebook_text raise anything but SubmissionError, and the module it gives parses."""
    with contextlib.suppress(SubmissionError):
        ast.parse(notebook_text(json.dumps(value).encode(), "a.ipynb", ["f"]).text)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_module_or_a_sentence(data):
    """No bytes make notebook_text raise anything but SubmissionError."""
    with contextlib.suppress(SubmissionError):
        notebook_text(data, "a.ipynb", ["f"])
