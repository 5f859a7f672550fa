"""The exercises' own notebooks: what is in them, and that they run from top to bottom."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dlgrade.course import Course
from dlgrade.notebook_source import notebook_text
from tests.autograder.command_line import environment
from tests.nbgrader import validated
from tests.nbgrader.notebooks import Notebook, cell_of, read

ROOT = Path(__file__).resolve().parents[2]
COURSE = Course(ROOT)
EXERCISES = COURSE.exercises()
SECONDS = 300  # of processor time: pictures train in one thread, so no more by the clock of a quiet machine
PICTURES = {
    "cifar10_cnn": {"convolve2d-look-1": 1, "make_transforms-look-1": 1, "fit-look-1": 2},
    "lstm_textgen": {"LSTMModel-look-1": 1, "sample-look-1": 1},
    "bert_finetune": {"make_optimizer-look-1": 1, "predict-look-1": 1},
    "cnn_vs_vit": {"ViT-look-1": 1, "compare-look-1": 1},
}


def of_release(name: str) -> Notebook:
    return read(ROOT / "assignments" / name / f"{name}.ipynb")


def of_staff(name: str) -> Notebook:
    return read(ROOT / "solutions" / name / f"{name}.ipynb")


def run(notebook: Path, folder: Path) -> dict:
    """What nbgrader's validator finds of a notebook among the files of a student; data are the stand-ins."""
    exercise = notebook.stem
    shutil.copytree(ROOT / "assignments" / exercise, folder / exercise)
    shutil.copy(notebook, folder / exercise)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", validated.__file__, str(folder / exercise / notebook.name)],
        env=environment(DLGRADE_DATA=str(folder / "no-data"), MPLBACKEND=""),
        stdout=subprocess.PIPE,
        text=True,
        timeout=1800,
        check=True,
    )
    return json.loads(done.stdout)


def said(outputs: list[dict]) -> str:
    """What a cell printed."""
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


@pytest.mark.parametrize("name", EXERCISES)
def test_each_part_has_an_idea_a_cell_and_a_check(name):
    """In front of every stub there is a text of some length that is not just its docstring."""
    cells = of_release(name)["cells"]
    ids = [cell["id"] for cell in cells]
    for part in COURSE.exercise(name).parts:
        place = ids.index(part.name)
        assert ids[place - 1 : place + 2] == [f"{part.name}-text", part.name, f"{part.name}-check"]
        idea = "".join(cells[place - 1]["source"])
        assert idea.startswith(f"## `{part.name}`\n\n")
        assert len(idea) > 100, part.name
    assert len("".join(cell_of(of_release(name), "intro")["source"])) > 400


@pytest.mark.parametrize("name", EXERCISES)
def test_pictures_are_read_only_and_no_answer(name):
    """Cells that show something are locked in the release, and neither they nor notes on them are graded."""
    release = of_release(name)
    looks = [c for c in release["cells"] if "-look-" in c["id"] and c["cell_type"] == "code"]
    assert {cell["id"] for cell in looks} == PICTURES[name].keys()
    assert all(cell["metadata"]["editable"] is False for cell in looks)
    parts = [part.name for part in COURSE.exercise(name).parts]
    found = notebook_text(json.dumps(of_staff(name)).encode(), "a.ipynb", parts)
    assert "matplotlib" not in found.text
    assert [note for note in found.notes if "notebook" in note or "left out with" in note] == []


def test_the_conclusion_is_asked_for_and_graded_by_hand():
    """The last cell of cnn_vs_vit asks for an answer in words; what graders look for stays with the staff."""
    question, answer = of_release("cnn_vs_vit")["cells"][-2:]
    assert "Which model is most accurate" in "".join(question["source"])
    mark = answer["metadata"]["nbgrader"]
    assert (mark["grade"], mark["solution"], mark["points"], mark["task"]) == (True, True, 10, False)
    assert answer["cell_type"] == "markdown"
    assert "".join(answer["source"]) == "YOUR ANSWER HERE"
    assert "What a good answer has" in "".join(cell_of(of_staff("cnn_vs_vit"), "conclusion")["source"])


@pytest.mark.slow
@pytest.mark.parametrize("name", EXERCISES)
def test_the_answer_runs_from_top_to_bottom(name, tmp_path):
    """Within five minutes: every check passes by nbgrader's judgement, every picture is there, no error."""
    done = run(ROOT / "solutions" / name / f"{name}.ipynb", tmp_path)
    assert done["results"] == {}
    assert 1 < done["seconds"] < SECONDS
    for cell, outputs in done["cells"].items():
        assert [output for output in outputs if output["output_type"] == "error"] == [], cell
        pictures = [output for output in outputs if "image/png" in output.get("data", {})]
        assert len(pictures) == PICTURES[name].get(cell, 0), (cell, said(outputs))
    if name == "lstm_textgen":
        assert said(done["cells"]["sample-look-1"]).count("The ") >= 4


@pytest.mark.slow
@pytest.mark.parametrize("name", EXERCISES)
def test_pictures_of_what_is_not_there_are_one_sentence(name, tmp_path):
    """Of the release only what is to be written fails; each cell with a picture names the stub in its way."""
    done = run(ROOT / "assignments" / name / f"{name}.ipynb", tmp_path)
    failed = [cell["source"].splitlines()[-1] for cell in done["results"]["failed"]]
    expected = [source for source in failed if "notebook.check(" in source or source == "YOUR ANSWER HERE"]
    assert failed == expected
    for cell in PICTURES[name]:
        outputs = done["cells"][cell]
        assert {output.get("name", "picture") for output in outputs} <= {"stdout", "picture"}, outputs
        assert not [output for output in outputs if output["output_type"] == "error"]
        assert " is still the stub: fill it in" in said(outputs).splitlines()[-1]
