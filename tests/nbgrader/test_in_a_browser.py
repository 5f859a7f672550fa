"""What people see: formgrader, a feedback page and a notebook in JupyterLab, in a real browser."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.nbgrader.browser import chromium, jupyter
from tests.nbgrader.notebooks import read, with_code


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """Where screenshots go: DLGRADE_SCREENSHOTS, for a person to look at, else a temporary folder."""
    folder = Path(os.environ.get("DLGRADE_SCREENSHOTS") or tmp_path_factory.mktemp("photographs"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_feedback_page(cycle, page, photographs):
    """A student's feedback shows, to the eye, the score, the failed check, the mistake and the next step."""
    page.open((cycle.folder / "feedback/dora/tiny/tiny.html").as_uri())
    page.photograph(photographs / "feedback.png")
    text = page.text()
    assert "(Score: 8.0 / 16.0)" in text
    assert "double 1 / 4" in " ".join(text.split())
    assert "likely mistake: You add the input three times." in text
    assert page.run("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.slow
def test_formgrader(cycle, page, photographs, tmp_path):
    """Formgrader lists every submission with its score, and shows a submission with the grader's results."""
    with jupyter(cycle.folder, tmp_path) as address:
        page.open(address.format(path="/login"))  # formgrader asks for the cookie that this sets
        page.open(address.format(path="/formgrader/manage_submissions/tiny"))
        page.wait("document.querySelectorAll('tbody tr').length > 20")
        page.photograph(photographs / "submissions.png")
        cells = page.run("[...document.querySelectorAll('tbody tr')].map(r => r.innerText.split('\\t'))")
        scores = {row[1]: row[4] for row in cells}
        assert {student: scores[student] for student in ("bert", "carl", "dora", "emil")} == {
            "bert": "4 / 16", "carl": "0 / 16", "dora": "8 / 16", "emil": "7 / 16",
        }  # fmt: skip

        page.open(address.format(path="/formgrader/gradebook/tiny/tiny"))
        page.wait("document.querySelectorAll('tbody tr').length > 20")
        links = "[...document.querySelectorAll('a.name-shown')]"
        page.open(page.run(f"{links}.find(link => link.textContent == 'dora').href"))
        page.wait("document.querySelectorAll('input.score').length == 4")
        page.photograph(photographs / "submission.png")
        assert "likely mistake: You add the input three times." in page.text()
        boxes = page.run("[...document.querySelectorAll('input.score')].map(box => box.placeholder)")
        assert boxes == ["1", "4", "3", ""]


@pytest.mark.slow
def test_a_notebook_in_jupyterlab(cycle, page, photographs, tmp_path):
    """Run from JupyterLab's menu, a check cell shows its results as HTML, the mistake by name."""
    folder = tmp_path / "tiny"
    shutil.copytree(cycle.staff.root / "assignments" / "tiny", folder)
    notebook = with_code(read(folder / "tiny.ipynb"), double="def double(x):\n    return 3 * x")
    (folder / "tiny.ipynb").write_text(json.dumps(notebook))
    (tmp_path / "runtime").mkdir()
    with jupyter(folder, tmp_path / "runtime") as address:
        page.open(address.format(path="/lab/tree/tiny.ipynb"))
        page.wait("window.jupyterapp && document.querySelectorAll('.jp-CodeCell').length > 3")
        page.wait("document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]')")
        page.run("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait("document.body.innerText.includes('You add the input three times.')")
        page.wait("document.querySelectorAll('.jp-RenderedHTML').length == 3")
        page.run("document.querySelector('.jp-RenderedHTML').scrollIntoView()")
        page.photograph(photographs / "jupyterlab.png")
        shown = page.run("[...document.querySelectorAll('.jp-RenderedHTML')].map(output => output.innerText)")
        assert len(shown) == 3
        assert "1 / 3" in shown[0]
        assert "add it to itself" in shown[0]
