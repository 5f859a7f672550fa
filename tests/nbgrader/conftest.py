"""One nbgrader course, taken through the whole cycle once by real commands; tests look at what is left."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from dlgrade.build import build
from dlgrade.course import Course
from dlgrade.fingerprints import fingerprints
from tests.autograder import tiny_course
from tests.autograder.command_line import dlgrade
from tests.nbgrader import hostile
from tests.nbgrader.nbgrader_commands import Command, Done, nbgrader
from tests.nbgrader.notebooks import Notebook, answering, cell_of, code_cell, read, with_code

STUDENTS = ("anna", "bert", "carl", "dora", "emil")
PARTS = ("double", "Affine", "descend")
ESSAY = {
    "cell_type": "markdown",
    "id": "essay",
    "metadata": {
        "nbgrader": {
            "grade": True,
            "grade_id": "essay",
            "locked": False,
            "points": 5,
            "schema_version": 3,
            "solution": True,
            "task": False,
        }
    },
    "source": "Because of the weights.",
}


@dataclass(frozen=True)
class Cycle:
    """A course that was released, collected, graded and given back."""

    staff: Course
    folder: Path
    exchange: Path
    homes: Path
    release: Notebook
    source: Notebook
    seed: int
    done: dict[str, Done]

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'gradebook.db'}"

    @property
    def grades(self) -> dict[str, dict[str, str]]:
        """The exported table, by student."""
        with (self.folder / "grades.csv").open(newline="") as file:
            return {row["student_id"]: row for row in csv.DictReader(file)}

    def feedback(self, student: str) -> str:
        return (self.folder / "feedback" / student / "tiny" / "tiny.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def staff(tmp_path_factory) -> Course:
    """The tiny course, built with its recorded answers, a canary in everything that is secret."""
    course = tiny_course.make(tmp_path_factory.mktemp("staff"))
    solutions = course.root / "solutions" / "tiny"
    for secret in (solutions / "checks" / "hidden" / "test_hidden.py", solutions / "mistakes.toml"):
        secret.write_text(f"{secret.read_text()}\n# {hostile.CANARY}\n")
    build(course, ["tiny"], extra=fingerprints(course.exercise("tiny")))
    return course


@pytest.fixture(scope="session")
def cycle(staff, tmp_path_factory) -> Cycle:
    root = tmp_path_factory.mktemp("cycle")
    folder, exchange, homes = root / "dl101", root / "exchange", root / "homes"
    exchange.mkdir()
    exchange.chmod(0o777)
    for student in STUDENTS:
        (homes / student).mkdir(parents=True)
    init = dlgrade("course", "init", folder, "--course", staff.root, cwd=root)
    assert init.returncode == 0, init.stderr
    done = {"init": Done(init.returncode, init.stdout)}
    done |= _staff_runs(folder, ["generate_assignment tiny --CourseDirectory.release_directory=built"])
    _change_as_an_instructor(folder, exchange)
    done |= _staff_runs(folder, ["generate_assignment tiny", "release_assignment tiny"])
    done |= _students_run(homes, exchange, "fetch_assignment tiny")
    cycle = Cycle(
        staff, folder, exchange, homes, read(folder / "release/tiny/tiny.ipynb"),
        read(folder / "source/tiny/tiny.ipynb"), _seed_of(folder), done,
    )  # fmt: skip
    for student, notebook in answers(cycle).items():
        (homes / student / "tiny" / "tiny.ipynb").write_text(json.dumps(notebook))
    done |= _students_run(homes, exchange, "submit tiny")
    done |= _staff_runs(folder, ["collect tiny"])
    for name, content in hostile.files(cycle.release, cycle.source, folder).items():
        _hand_in(folder, name, content)
    commands = ["autograde tiny", "generate_feedback tiny", "release_feedback tiny", "export"]
    done |= _staff_runs(folder, commands)
    done |= _students_run(homes, exchange, "fetch_feedback tiny")
    return cycle


def answers(cycle: Cycle) -> dict[str, Notebook]:
    """What the five students hand in."""
    full = answering(cycle.release, cycle.source, *PARTS)
    cell_of(full, "essay")["source"] = "Because the kernel <b>slides</b>, and $a<b$."
    attack = with_code(full, double="def double(x):\n    import os\n    os._exit(0)")
    attack["cells"].append(code_cell("1000.0", metadata={"nbgrader": {"schema_version": 9, "grade_id": "x"}}))
    return {
        "anna": full,
        "bert": answering(cycle.release, cycle.source, "double"),
        "carl": cycle.release,
        "dora": with_code(full, double="def double(x):\n    return 3 * x"),
        "emil": attack,
    }


def staff_runs(cycle: Cycle, *commands: str) -> list[Done]:
    """More nbgrader commands, as the instructor."""
    return list(_staff_runs(cycle.folder, commands).values())


def _change_as_an_instructor(folder: Path, exchange: Path) -> None:
    """The exchange's place, and a written answer that a person grades."""
    with (folder / "nbgrader_config.py").open("a") as config:
        config.write(f"c.Exchange.root = {str(exchange)!r}\n")
    notebook = read(folder / "source" / "tiny" / "tiny.ipynb")
    notebook["cells"].append(ESSAY)
    (folder / "source" / "tiny" / "tiny.ipynb").write_text(json.dumps(notebook))


def _seed_of(folder: Path) -> int:
    lines = (folder / "nbgrader_config.py").read_text().splitlines()
    return int(next(line for line in lines if "StaffFolder.seed" in line).rpartition("=")[2])


def _staff_runs(folder: Path, commands) -> dict[str, Done]:
    done = nbgrader(*[Command(command.split(), str(folder)) for command in commands])
    return dict(zip(commands, done, strict=True))


def _students_run(homes: Path, exchange: Path, command: str) -> dict[str, Done]:
    options = ["--course=dl101", f"--Exchange.root={exchange}"]
    commands = [
        Command(
            [*command.split(), *options],
            str(homes / student),
            user=student,
            environment={"HOME": str(homes / student), "JUPYTER_DATA_DIR": str(homes / student / ".data")},
        )
        for student in STUDENTS
    ]
    done = nbgrader(*commands)
    return {f"{command} ({student})": one for student, one in zip(STUDENTS, done, strict=True)}


def _hand_in(folder: Path, student: str, content: bytes) -> None:
    """As `nbgrader collect` leaves it."""
    target = folder / "submitted" / student / "tiny"
    target.mkdir(parents=True)
    (target / "tiny.ipynb").write_bytes(content)
    (target / "timestamp.txt").write_text("2030-01-02 03:04:05.000000 UTC")
    (target / "submission_secret.txt").write_text(f"secret of {student}")
