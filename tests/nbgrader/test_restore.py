"""A submitted notebook rebuilt by the release's structure."""

import io
import json

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlgrade.classroom.reading import OURS, PROBLEM, read_any
from dlgrade.classroom.restore import ReleasedCell, defused, restore

RELEASED = [
    ReleasedCell("double", "code", "stub", "0" * 32, locked=False, grade=False, solution=True, task=False),
    ReleasedCell(
        "double-check",
        "code",
        "check()",
        "1" * 32,
        locked=True,
        grade=True,
        solution=False,
        task=False,
        points=4.0,
    ),
]
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["double", "code"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["nbgrader", "grade_id", "id", "metadata"]) | st.text(max_size=3), inner
        )
    ),
    max_leaves=8,
)
CELL = st.fixed_dictionaries(
    {"cell_type": st.sampled_from(["code", "markdown", "raw", "x"]), "source": st.text(max_size=9) | ANY},
    optional={"metadata": ANY, "id": ANY, "outputs": ANY, "attachments": ANY},
)


def read(notebook: object):
    return read_any(io.BytesIO(json.dumps(notebook).encode()), "x.ipynb")


def notebook(*cells: dict) -> dict:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def code(source: str, **metadata: object) -> dict:
    return {"cell_type": "code", "source": source, "metadata": metadata, "outputs": []}


@settings(max_examples=80, deadline=None)
@given(st.lists(CELL, max_size=5), ANY)
def test_anything_becomes_a_valid_notebook_of_the_releases_structure(cells, metadata):
    """Whatever cells and metadata are, nbformat accepts the result, and each released id is there once."""
    read_notebook = read({**notebook(*cells), "metadata": metadata})
    read_notebook.cells = list(restore(read_notebook.cells, RELEASED).cells)
    nbformat.validate(read_notebook)
    marks = [cell.metadata.nbgrader for cell in read_notebook.cells if "nbgrader" in cell.metadata]
    assert [m.points for m in marks if m.grade] == [4.0]
    assert sum(m.grade_id == "double" for m in marks) <= 1


def test_text_of_a_locked_cell_is_the_releases():
    """Only a solution cell keeps what the student wrote; both keep none of the student's metadata."""
    cells = [
        code("mine", nbgrader={"grade_id": n, "points": 99, "x": 1}, tags=["a"])
        for n in ("double", "double-check")
    ]
    restored = restore(read(notebook(*cells)).cells, RELEASED)
    assert [cell.source for cell in restored.cells] == ["mine", "check()"]
    assert [dict(cell.metadata.nbgrader) for cell in restored.cells] == [cell.metadata for cell in RELEASED]
    assert restored.findings == ("cell 2: 'double-check' was edited; its text is the release's again",)


def test_an_id_without_metadata_is_enough():
    """Where a tool dropped nbgrader's metadata, the cells are found by their ids."""
    cells = [{**code("mine"), "id": "double"}, {**code("check()"), "id": "double-check"}]
    assert restore(read(notebook(*cells)).cells, RELEASED).findings == ()


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"cells": 1}', b'{"cells": [1]}', b"[" * 100_000, b"\xff"]
)
def test_what_is_no_notebook_becomes_an_empty_one_with_the_reason(data):
    """A file that cannot be read has no cells and says why in one sentence."""
    found = read_any(io.BytesIO(data), "x.ipynb")
    assert found.cells == []
    assert found.metadata[OURS][PROBLEM].startswith("x.ipynb ")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<IMG src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](&#106;avascript:a)",
    ],
)
def test_defused_markdown_renders_to_no_active_element(text):
    """What nbconvert makes of it has no element but a paragraph's, and no link that runs."""
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    page = markdown2html_mistune(defused(text))
    assert "<script" not in page
    assert "<img" not in page.lower()
    assert 'href="javascript:' not in page


def test_defused_markdown_keeps_what_people_write():
    """Comparisons, formulas, links and emphasis stay as they are."""
    text = "if 3 < 4 & 5 > 2, see **[this](https://example.org/?a=1&b=2)**"
    assert defused(text) == text
    assert defused("$a<b$") == "$a< b$"
