"""What the engine adds to a submission whose checks compute next to nothing.

    python benchmarks/overhead.py [SUBMISSIONS] [--isolation full|core|none] [--files N]

Grades copies of one answer that returns its one-element argument, one at a time and warm, and prints
the median and the 95th percentile of the milliseconds between two reports, next to the CPU time that
all processes together used for each. With `--files N` the checks lie in N hidden files, each of which
costs a worker of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from dlgrade import planning
from dlgrade.build import build
from dlgrade.course import Course
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.process import cpu_seconds
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission

WARM_UP = 10

ANSWER = '''\
"""The exercise of one function."""


def echo(x):
    """What it is given."""
    return x
'''

DECLARATION = """\
id = "echo"
title = "Echo"
summary = "One function."
graded_tier = "quick"
preload = ["torch"]
data = []

[[parts]]
name = "echo"
source = "reference/echo.py"
hints = ["return it", "return x"]
"""

CHECK = '''

@check(part="echo", points=1, kind="value", help="return x")
def echo_returns_its_argument_{number}(submission, oracle):
    """what goes in comes out, time {number}"""
    x = oracle.normal(1)
    compare.close(submission.echo(x), oracle.echo(x), what="echo(x)")
'''

HEAD = '"""Checks of echo."""\n\nfrom dlgrade import compare\nfrom dlgrade.checks import check\n'

MISTAKES = """\
[[mistake]]
name = "doubled"
part = "echo"
caught_by = "echo_returns_its_argument_1"
sentence = "You double it."
edits = [["return x", "return 2 * x"]]
"""


def make_course(root: Path, hidden_files: int) -> Course:
    """Write and build the exercise: two visible checks, and two in each hidden file."""
    staff = root / "solutions" / "echo"
    texts = {
        root / "reference" / "echo.py": ANSWER,
        staff / "exercise.toml": DECLARATION,
        staff / "README.md": "# Echo\n",
        staff / "mistakes.toml": MISTAKES,
        staff / "checks" / "visible" / "test_echo.py": checks(1),
    }
    for number in range(hidden_files):
        texts[staff / "checks" / "hidden" / f"test_hidden_{number}.py"] = checks(2 * number + 3)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (staff / "checks" / "hidden").mkdir(exist_ok=True)
    (root / "assignments").mkdir()
    course = Course(root)
    build(course, ["echo"])
    return course


def checks(first: int) -> str:
    """A file of two checks, numbered from `first`."""
    return HEAD + "".join(CHECK.format(number=number) for number in (first, first + 1))


def measure(course: Course, submissions: int, mode: str) -> tuple[list[float], float]:
    """Seconds between reports, the first ten left out, and CPU seconds of all processes for each."""
    exercise = course.exercise("echo")
    settings = RunSettings(tier="quick", seed=7, mode=mode)
    copies = (Submission(f"{n}.py", "", ANSWER, Path(), "py") for n in range(submissions + WARM_UP))
    seconds = []
    with Zygote(exercise.preload) as zygote, Run(zygote, RunPlan(exercise, settings, True)) as run:
        before, cpu = time.perf_counter(), cpu_seconds(os.getpid())
        for report in run.grade(copies):
            if report.exit_code:
                raise SystemExit(f"the answer was not found right: {report.to_json()}")
            seconds.append(time.perf_counter() - before)
            before = time.perf_counter()
        cpu = cpu_seconds(os.getpid()) - cpu
    return seconds[WARM_UP:], cpu / (submissions + WARM_UP)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("submissions", type=int, nargs="?", default=100)
    parser.add_argument("--isolation", default=planning.graded_isolation(None)[0])
    parser.add_argument("--files", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        course = make_course(Path(folder), options.files)
        seconds, cpu = measure(course, options.submissions, options.isolation)
    ordered = sorted(1000 * s for s in seconds)
    median, slow = statistics.median(ordered), ordered[int(0.95 * len(ordered))]
    print(
        f"isolation {options.isolation}, {options.files} hidden files, {len(ordered)} submissions:"
        f" median {median:.1f} ms, p95 {slow:.1f} ms, fastest {ordered[0]:.1f} ms;"
        f" {1000 * cpu:.0f} ms of processor time each"
    )


if __name__ == "__main__":
    main()
