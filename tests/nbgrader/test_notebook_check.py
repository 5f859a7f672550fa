"""`dlgrade.notebook.check` in a real kernel, in a folder as students receive it."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

from dlgrade import notebook_page
from dlgrade.report import CheckResult, Report
from tests.autograder.command_line import forked_from, wait_until
from tests.nbgrader.nbgrader_commands import Command, nbgrader

SECONDS = 240
SHOWN = ("execute_result", "display_data", "error", "stream")
ANSWER = "def double(x):\n    return 2 * x"
CHECK = 'import dlgrade.notebook\n\ndlgrade.notebook.check("double")'


class Kernel:
    """A kernel, and what its cells gave back."""

    def __init__(self, folder: Path) -> None:
        self.manager, self.client = start_new_kernel(cwd=str(folder))

    def run(self, code: str) -> list[dict]:
        """The outputs of a cell."""
        outputs: list[dict] = []
        self.client.execute_interactive(code, timeout=SECONDS, output_hook=outputs.append)
        return [
            o["content"]
            for o in outputs
            if o["msg_type"] in ("execute_result", "display_data", "error", "stream")
        ]

    def text(self, code: str) -> str:
        """What the last output of a cell says as plain text."""
        last = self.run(code)[-1]
        return last["data"]["text/plain"] if "data" in last else f"{last['ename']}: {last['evalue']}"

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def folder(staff, tmp_path_factory):
    target = tmp_path_factory.mktemp("home") / "tiny"
    shutil.copytree(staff.root / "assignments" / "tiny", target)
    return target


@pytest.fixture(scope="module")
def kernel(folder):
    kernel = Kernel(folder)
    yield kernel
    kernel.close()


def test_the_current_version_of_a_cell_is_checked(kernel):
    """A stub is missing, an answer passes, a mistake run afterwards is named: always what was run last."""
    assert "missing: each value is doubled" in kernel.text(CHECK)
    kernel.run(ANSWER)
    assert kernel.text(CHECK).startswith("double: 3 / 3 points")
    kernel.run("def double(x):\n    return 3 * x")
    assert "likely mistake: You add the input three times." in kernel.text(CHECK)
    kernel.run(ANSWER)
    assert kernel.text(CHECK).startswith("double: 3 / 3 points")


def test_hidden_checks_are_counted_and_not_run(kernel):
    """A student learns how many hidden checks there are, and no title."""
    text = kernel.text(CHECK)
    assert "3 hidden checks of the exercise run at grading only." in text
    assert "secret title" not in text


def test_checks_run_outside_of_the_kernel(kernel):
    """What the kernel's own state was changed to does not matter, and its variables are not touched."""
    kernel.run(
        "import torch\ntorch.Tensor.__eq__ = lambda *a: True\ntorch.allclose = lambda *a: True\nkept = 5"
    )
    kernel.run("def double(x):\n    global kept\n    kept = 6\n    return x")
    assert kernel.text(CHECK).startswith("double: 1 / 3 points")
    assert kernel.text("kept") == "5"
    kernel.run(ANSWER)


def test_an_interrupt_stops_the_worker(kernel):
    """Interrupted in an endless part: the cell ends, its processes are gone, the next check works."""
    kernel.run("def double(x):\n    while True:\n        pass")
    pid = int(kernel.text("import os\nos.getpid()"))
    before = forked_from(pid)
    assert before
    timer = threading.Timer(1.0, lambda: os.kill(pid, signal.SIGINT))
    timer.start()
    start = time.monotonic()
    assert kernel.text(CHECK).startswith("KeyboardInterrupt")
    timer.join()
    assert time.monotonic() - start < SECONDS
    assert wait_until(lambda: not before & forked_from(pid))
    kernel.run(ANSWER)
    assert kernel.text(CHECK).startswith("double: 3 / 3 points")


def test_an_unknown_part_is_one_sentence(kernel):
    """The error names the parts there are."""
    text = kernel.text('dlgrade.notebook.check("triple")')
    assert text == "CourseError: exercise 'tiny' has no part 'triple'; its parts are double, Affine, descend"


def test_results_have_html_and_text(kernel):
    """A front end gets both, and the HTML is one element without a script."""
    data = kernel.run(CHECK)[-1]["data"]
    assert set(data) == {"text/plain", "text/html"}
    assert data["text/html"].startswith("<div")
    assert "<script" not in data["text/html"]


def test_nothing_outlives_the_kernel(folder):
    """When the kernel is killed, its zygote and what that forked end too."""
    kernel = Kernel(folder)
    pid = int(kernel.text("import os\nos.getpid()"))
    kernel.run(CHECK)
    assert forked_from(pid)
    kernel.close()
    assert wait_until(lambda: not forked_from(pid))


def test_nbgrader_validate(staff, folder, tmp_path):
    """The answer version passes `nbgrader validate`; the release fails at the parts that are stubs."""
    shutil.copytree(folder, tmp_path / "tiny")
    source = nbformat.read(staff.root / "solutions" / "tiny" / "tiny.ipynb", 4)
    nbformat.write(source, tmp_path / "tiny" / "answer.ipynb")
    done = nbgrader(
        Command(["validate", "answer.ipynb", "--Execute.timeout=240"], str(tmp_path / "tiny")),
        Command(["validate", "tiny.ipynb", "--Execute.timeout=240"], str(tmp_path / "tiny")),
    )
    assert "Success! Your notebook passes all the tests." in done[0].output
    assert "VALIDATION FAILED ON 2 CELL(S)" in done[1].output
    assert "double is still the stub" in done[1].output


def test_a_students_text_is_escaped_in_html():
    """Messages, frames, output and diagnosis of a check cannot become elements of the page."""
    bad = "<script>x</script>\x1b[31m"
    check = CheckResult(
        "c", "p", "value", "title", False, "raised", 0, 1, bad, "help", {"mistake": "m", "text": bad},
        frames=((1, bad, bad),),
    )  # fmt: skip
    page = notebook_page.part_html(Report("e", "s", "s", "quick", 1, (check,), output=bad), "p")
    assert "<script" not in page
    assert "\x1b" not in page
    assert page.count("&lt;script&gt;") == 5
