"""What an exercise's notebook.md adds to its notebook, and that none of it counts as an answer."""

import json

import pytest

from dlgrade.build import generate
from dlgrade.cell_history import current_module
from dlgrade.course import Course
from dlgrade.errors import CourseError
from dlgrade.narrative import Passage, Section, introduction, question, read_sections
from dlgrade.notebook import look
from dlgrade.notebook_source import notebook_text
from tests.autograder.small_course import load, write_course

LOOK = "import dlgrade.notebook\n\nwith dlgrade.notebook.look():\n    area = print(area(1))"
NARRATIVE = f"""\
Notes for authors.

## area
An idea.

    ## no heading, but code

```text
## no heading either
```

```python
{LOOK}
```

And after it.
"""


def written(tmp_path, text: str):
    """The small course's exercise with this notebook.md."""
    folder = tmp_path / "solutions" / "shapes"
    if not folder.exists():
        write_course(tmp_path)
    (folder / "notebook.md").write_text(text)
    return Course(tmp_path).exercise("shapes")


def cells_of(exercise, folder: str = "assignments") -> dict[str, dict]:
    return {c["id"]: c for c in json.loads(generate(exercise)[f"{folder}/shapes/shapes.ipynb"])["cells"]}


def test_a_section_is_text_before_and_cells_after(tmp_path):
    """Up to the first cell a text stands in front of the part; what follows comes after its check."""
    section = read_sections(written(tmp_path, NARRATIVE))["area"]
    idea = "An idea.\n\n    ## no heading, but code\n\n```text\n## no heading either\n```"
    assert section == Section(idea, (Passage(LOOK, is_code=True), Passage("And after it.")))


def test_the_notebook_has_them_in_place(tmp_path):
    """Idea, stub, check, picture, text; the picture's cell is locked in the release and ungraded."""
    cells = cells_of(written(tmp_path, NARRATIVE))
    assert [name for name in cells if name.startswith("area")] == [
        "area-text", "area", "area-check", "area-look-1", "area-look-2",
    ]  # fmt: skip
    assert "".join(cells["area-text"]["source"]).startswith("## `area`\n\nAn idea.")
    mark = cells["area-look-1"]["metadata"]["nbgrader"]
    assert (mark["locked"], mark["grade"], mark["solution"]) == (True, False, False)
    assert cells["area-look-1"]["metadata"]["editable"] is False


def test_pictures_are_no_part_of_an_answer(tmp_path):
    """Neither from the file nor from a kernel's history, which has no metadata; no note tells of them."""
    exercise = written(tmp_path, NARRATIVE)
    notebook = generate(exercise)["solutions/shapes/shapes.ipynb"].encode()
    for found in (notebook_text(notebook, "a.ipynb", ["area"]), current_module([LOOK], ["area"])):
        assert "print" not in found.text
        assert not [note for note in found.notes if "look" in note]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("## square\nx", "section 'square' is none of shapes's: Circle, area"),
        ("## area\nx\n## area\ny", "section 'area' is there twice"),
        ("## area\n```python\ndef area(r):\n    return 3\n```", r"has 'def area\(r\):' outside of 'with"),
        ("## area\n```python\nplot(\n```", "is no Python"),
        ("## area\n```python\nprint(1)\n", "a cell of section 'area' never ends"),
    ],
)
def test_what_cannot_be_a_notebook_is_refused(tmp_path, text, sentence):
    """One sentence with the file, the section and what is wrong."""
    with pytest.raises(CourseError, match=rf"notebook\.md.*{sentence}"):
        read_sections(written(tmp_path, text))


def test_a_written_answer_is_graded_by_a_person(tmp_path):
    """The statement's section is the question; what graders look for is cut from the release."""
    exercise = load(tmp_path)
    toml = exercise.folder / "exercise.toml"
    toml.write_text(f'{toml.read_text()}\n[[written]]\nname = "end"\nquestion = "Your end"\npoints = 4\n')
    readme = exercise.folder / "README.md"
    readme.write_text("# Shapes\n\nAll of them.\n\n## Your end\n\nWhy?\n\n## Later\n\nNo.\n")
    exercise = written(tmp_path, "## end\nBecause.")
    assert introduction(exercise) == "# Shapes\n\nAll of them."
    assert question(exercise, "Your end") == "## Your end\n\nWhy?"
    for folder, text in (("assignments", "YOUR ANSWER HERE"), ("solutions", "Because.")):
        cells = cells_of(exercise, folder)
        assert "".join(cells["intro"]["source"]) == "# Shapes\n\nAll of them."
        assert list(cells)[-2:] == ["end-text", "end"]
        assert "".join(cells["end"]["source"]) == text
        assert cells["end"]["metadata"]["nbgrader"]["points"] == 4
    with pytest.raises(CourseError, match="has no section '## My end', which asks for a written answer"):
        question(exercise, "My end")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "raise NotImplementedError('Circle.area')",
            "Circle.area is still the stub: fill it in",
        ),
        ("import matplotlib_is_not_here", "Nothing to see yet, ModuleNotFoundError: No module named"),
        (
            "raise ModuleNotFoundError('x', name='matplotlib')",
            "pip install 'dlgrade[notebook]'",
        ),
        ("no_such_name", "no_such_name is not defined yet: run the cells above"),
        (
            "raise ValueError('two\\nlines\\x1b')",
            "Nothing to see yet, ValueError: two. The check",
        ),
    ],
)
def test_a_picture_of_what_is_not_there_is_a_sentence(code, sentence, capsys):
    """Whatever a part raises, the cell says one line and the notebook goes on."""
    with look():
        exec(code)
    [line] = capsys.readouterr().out.splitlines()
    assert sentence in line


def test_an_interrupt_ends_a_picture():
    """Who interrupts a training in a cell stops it."""
    with pytest.raises(KeyboardInterrupt), look():
        raise KeyboardInterrupt
