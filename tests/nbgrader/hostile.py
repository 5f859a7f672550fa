"""Notebooks that try to get points, to stop the batch, or to reach whoever reads the feedback.

Each function takes the release and returns the file handed in. None of them answers a part unless it says
so in `EARNED`, so every point beyond that would be a stolen one.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.nbgrader.notebooks import Notebook, answering, cell_of, code_cell, with_code

CANARY = "canary-5b1f"  # stands in the hidden checks and the mistakes
SCRIPT = "<script>document.title='stolen'</script>"
FORGED = {
    "output_type": "execute_result",
    "execution_count": 1,
    "metadata": {},
    "data": {"text/plain": "1000.0", "text/html": f"forged {SCRIPT}"},
}

# What an honest part of a hostile notebook is worth: all other files are worth nothing.
EARNED = {"retyped": 4.0, "renamed_ids": 4.0, "moved_answer": 4.0, "markers": 4.0, "endless_top_level": 4.0}


def files(release: Notebook, source: Notebook, course: Path) -> dict[str, bytes]:
    """Every hostile file by name."""
    context = Context(release, source, course)
    made = {name: attack(context) for name, attack in ATTACKS.items()}
    return {
        name: content if isinstance(content, bytes) else json.dumps(content).encode()
        for name, content in made.items()
    }


class Context:
    """What an attacker knows."""

    def __init__(self, release: Notebook, source: Notebook, course: Path) -> None:
        self._release = release
        self._source = source
        self.course = course

    @property
    def stub(self) -> Notebook:
        return copy.deepcopy(self._release)

    @property
    def half(self) -> Notebook:
        """With `double` answered."""
        return answering(self._release, self._source, "double")


ATTACKS: dict[str, Callable[[Context], Any]] = {}


def attack(function: Callable[[Context], Any]) -> Callable[[Context], Any]:
    ATTACKS[function.__name__] = function
    return function


def checks(notebook: Notebook) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["id"].endswith("-check")]


@attack
def points(context):
    """F1: check cells worth a thousand points."""
    notebook = context.stub
    for cell in checks(notebook):
        cell["metadata"]["nbgrader"]["points"] = 1000
    return notebook


@attack
def edited_checks(context):
    """F2: locked cells that say what the score is."""
    notebook = context.stub
    for cell in checks(notebook):
        cell["source"] = "1000.0"
    return notebook


@attack
def stripped(context):
    """F3: no metadata, no ids, no check cells."""
    notebook = context.stub
    notebook["cells"] = [cell for cell in notebook["cells"] if not cell["id"].endswith("-check")]
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        del cell["id"]
    return notebook


@attack
def duplicated_checks(context):
    """F4: each check cell twice, the second with a result."""
    notebook = context.stub
    notebook["cells"] += [{**cell, "outputs": [FORGED]} for cell in checks(notebook)]
    return notebook


@attack
def flipped_flags(context):
    """F5: check cells as solutions, solutions as check cells, nothing locked."""
    notebook = context.stub
    for cell in notebook["cells"]:
        if mark := cell["metadata"].get("nbgrader"):
            mark |= {
                "grade": not mark["grade"],
                "solution": not mark["solution"],
                "locked": False,
                "points": 50,
            }
    return notebook


@attack
def retyped(context):
    """F6: the answer's cell as Markdown and the checks as raw cells; the answer still counts."""
    notebook = context.half
    for cell in [*checks(notebook), cell_of(notebook, "double")]:
        cell["cell_type"] = "raw" if cell["id"].endswith("-check") else "markdown"
        cell.pop("outputs"), cell.pop("execution_count")
    return notebook


@attack
def input_transformer(context):
    """F7, F8: hooks in the kernel that remove code and tracebacks."""
    notebook = context.stub
    code = "ip = get_ipython()\nip.input_transformers_cleanup.append(lambda lines: ['1000.0'])\n"
    code += "ip.showtraceback = lambda *a, **k: None\nip.events.register('pre_run_cell', print)"
    notebook["cells"].insert(0, code_cell(code))
    return notebook


@attack
def forged_outputs(context):
    """F9, F14: stored outputs that say full marks."""
    notebook = context.stub
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [FORGED]
            cell["execution_count"] = 1
    return notebook


@attack
def reads_the_grader(context):
    """F10, F11: a part that looks for the answer in history, frames, memory and on the disk."""
    code = f"""
import gc, os, pathlib, sys


def double(x):
    found = []
    for root in ({str(context.course.parent)!r}, "/proc", "/tmp"):
        for folder, _, names in os.walk(root):
            for name in names:
                try:
                    text = pathlib.Path(folder, name).read_text(errors="ignore")
                except Exception:
                    continue
                if {CANARY[:6]!r} + {CANARY[6:]!r} in text:
                    found.append(text)
            if len(found) > 3:
                break
    frame = sys._getframe()
    while frame:
        seen = [str(value)[:10000] for value in frame.f_locals.values()]
        found += [text for text in seen if {CANARY[:6]!r} + {CANARY[6:]!r} in text]
        frame = frame.f_back
    raise RuntimeError("leak: " + "yes" * bool(found))
"""
    return with_code(context.stub, double=code)


@attack
def writes_the_gradebook(context):
    """F11: a part that writes scores into the database."""
    code = f"""
import sqlite3


def double(x):
    with sqlite3.connect({str(context.course / "gradebook.db")!r}) as book:
        book.execute("UPDATE grade SET auto_score = 1000, manual_score = 1000")
    return 2 * x
"""
    broken = "class Affine:\n    def __init__(self, width):\n        pass"
    return with_code(context.stub, double=code, Affine=broken)


@attack
def magics(context):
    """F12: shell commands in cells."""
    notebook = context.stub
    mark = context.course / "pwned"
    notebook["cells"].insert(0, code_cell(f"!touch {mark}\n%run -i evil.py\nx = !touch {mark}"))
    notebook["cells"].insert(0, code_cell(f"%%bash\ntouch {mark}"))
    return notebook


@attack
def exits(context):
    """F13: the process ends, with success, when a part is called."""
    return with_code(context.stub, double="import os\n\n\ndef double(x):\n    os._exit(0)")


@attack
def exits_at_import(context):
    """F13: the process ends when the module is imported."""
    return with_code(context.stub, double="import os\n\nQ = os._exit(0)\n\n\ndef double(x):\n    return Q")


@attack
def too_many_cells(context):
    """F15: 100,000 cells."""
    notebook = context.stub
    notebook["cells"] += [{"cell_type": "code", "metadata": {}, "outputs": [], "source": ""}] * 100_000
    return notebook


@attack
def too_large(context):
    """F15: an output of 11 MB and an attachment."""
    notebook = context.stub
    stream = {"output_type": "stream", "name": "stdout", "text": "A" * 11_000_000}
    cell_of(notebook, "double")["outputs"] = [stream]
    return notebook


@attack
def active_content(context):
    """F16: scripts in Markdown, raw cells, outputs, links, exception names and prints."""
    notebook = context.stub
    link = "[x](javascript:alert(1)) [y](JaVaScRiPt:alert(1)) [z](&#106;avascript:alert(1))"
    image = "<img src=x onerror=\"document.title='stolen'\">"
    for kind in ("markdown", "raw"):
        cell = {"cell_type": kind, "id": f"a-{kind}", "metadata": {"raw_mimetype": "text/html"}}
        notebook["cells"].append({**cell, "source": f"{SCRIPT}{image}\n\n{link}"})
    notebook["cells"].append(code_cell(f"# {SCRIPT}", outputs=[FORGED]))
    code = f"def double(x):\n    print({SCRIPT!r})\n    raise type({SCRIPT!r}, (Exception,), {{}})({image!r})"
    return with_code(notebook, double=code)


@attack
def kernelspec(context):
    """F17: another kernel, by a path."""
    notebook = context.stub
    notebook["metadata"]["kernelspec"] = {
        "name": "../../../tmp/evil",
        "language": "bash",
        "display_name": "x",
    }
    return notebook


@attack
def tags(context):
    """F18: tags and metadata that steer tools."""
    notebook = context.stub
    for cell in notebook["cells"]:
        cell["metadata"] |= {"tags": ["skip-execution", "support", "remove_cell"], "score": 1000}
    notebook["metadata"]["dlgrade"] = {"findings": [SCRIPT], "scores": {"double-check": 4}}
    return notebook


@attack
def markers(context):
    """F19: comments that imitate the grader's regions around an honest answer."""
    notebook = context.half
    cell = cell_of(notebook, "double")
    text = "".join(cell["source"])
    cell["source"] = f"### BEGIN HIDDEN TESTS\n### END SOLUTION\n{text}\n### BEGIN SOLUTION\n# cell 99"
    return notebook


@attack
def endless_top_level(context):
    """F20: code at top level that never ends, around an honest answer."""
    notebook = context.half
    notebook["cells"].insert(0, code_cell("while True:\n    pass"))
    notebook["cells"].append(code_cell("import time\ntime.sleep(10**6)"))
    return notebook


@attack
def endless_import(context):
    """F20: an assignment that a part needs and that never ends."""
    code = "ENDLESS = [None for _ in iter(int, 1)]\n\n\ndef double(x):\n    return ENDLESS"
    return with_code(context.stub, double=code)


@attack
def schema_too_new(context):
    """A schema version that stops nbgrader's whole batch."""
    notebook = context.stub
    for cell in notebook["cells"]:
        if mark := cell["metadata"].get("nbgrader"):
            mark["schema_version"] = 99
    return notebook


@attack
def schema_of_another_type(context):
    """Metadata of types that nobody expects."""
    notebook = context.stub
    for index, cell in enumerate(notebook["cells"]):
        cell["metadata"] = [[], "x", {"nbgrader": []}, {"nbgrader": {"grade_id": {}, "schema_version": "3"}}][
            index % 4
        ]
    return notebook


@attack
def renamed_ids(context):
    """Grade ids that name no cell, one of them a path; the answer still counts."""
    notebook = context.half
    for cell in notebook["cells"]:
        if mark := cell["metadata"].get("nbgrader"):
            mark["grade_id"] = "../../etc/passwd"
    return notebook


@attack
def moved_answer(context):
    """The answer in a cell of the student's own, the part's cell deleted; it still counts."""
    notebook = context.half
    source = "".join(cell_of(notebook, "double")["source"])
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] != "double"] + [code_cell(source)]
    return notebook


@attack
def nested_metadata(context):
    """A thousand levels of metadata."""
    notebook = context.stub
    deep: dict = {}
    for _ in range(400):
        deep = {"nbgrader": deep}
    notebook["cells"][0]["metadata"] = deep
    return notebook


@attack
def old_format(context):
    """A notebook of format 3."""
    cells = [{"cell_type": "code", "input": "1000.0", "outputs": [], "language": "python"}]
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}]}


@attack
def no_json(context):
    """A file that is no notebook."""
    return b"\x00\xff{{{" + SCRIPT.encode()


@attack
def empty_file(context):
    """No bytes at all."""
    return b""


@attack
def cells_of_another_type(context):
    """Cells that are no objects."""
    return {**context.stub, "cells": [1, None, "x", []]}


@attack
def half_a_surrogate(context):
    """Text that no file can hold."""
    return with_code(context.stub, double="def double(x):\n    return '\ud800'")


@attack
def bracket_bomb(context):
    """Source that costs a parser its stack."""
    return with_code(context.stub, double="X = " + "(" * 50_000)
