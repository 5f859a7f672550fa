"""Cohorts of made-up students for tests: distinct texts, some of them wrong."""

import csv
import json
from pathlib import Path

from dlgrade.course import Course
from tests.autograder import tiny_course

WRONG = (
    "def double(x):\n    return 3 * x\n",
    "def double(x):\n    return x[:1]\n",
    "def double(x):\n    raise KeyError('x')\n",
)


def write(course: Course, folder: Path, count: int) -> list[str]:
    """`count` students' folders, every third with a wrong `double`; their names."""
    names = [f"student{number:03}" for number in range(count)]
    for number, name in enumerate(names):
        body = {"double": WRONG[number // 3 % len(WRONG)]} if number % 3 == 0 else {}
        text = tiny_course.answer_with(course, **body)
        (folder / name).mkdir(parents=True)
        (folder / name / "tiny.py").write_text(f"# {name}\n{text}")
    return names


def verdicts(out: Path) -> dict[str, dict[str, tuple[object, ...]]]:
    """What the reports of a results folder say, by submission and check: all but times."""
    found = {}
    for file in (out / "reports").iterdir():
        report = json.loads(file.read_text())
        found[report["submission"]] = {
            check["id"]: (check["verdict"], check["points"], check["message"], str(check["diagnosis"]))
            for check in report["checks"]
        }
    return found


def table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, by column."""
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def counted_once(out: Path, names: list[str]) -> bool:
    """Every table of a results folder names each submission exactly once."""
    wanted = sorted(f"{name}/tiny.py" for name in names)
    lines = [json.loads(line)["submission"] for line in (out / "results.jsonl").read_text().splitlines()]
    rows = [row["submission"] for row in table(out / "grades.csv")]
    reports = [json.loads(file.read_text())["submission"] for file in (out / "reports").iterdir()]
    return sorted(lines) == sorted(reports) == rows == wanted


def edit(course: Course, old: str, new: str, file: str = "hidden/test_hidden.py") -> None:
    """Change a file of the tiny course's checks."""
    path = course.root / "solutions" / "tiny" / "checks" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
