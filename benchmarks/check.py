"""How long a student waits: from `dlgrade check`, cold and in watch, beside what nobody can avoid.

    python benchmarks/check.py [EXERCISE] [--repeats N] [--course FOLDER]

In one run, taking turns, so that a busy machine slows all alike, it measures:

    import torch   `python -c "import torch"`, and no more
    pytest         plain cold `pytest` on the same visible checks, in the student's folder
    check          `dlgrade check` from the command to its end
    warm           a submission in a run that is already open: from handing it over to its report
    watch          from the save of one part to the verdict, in `dlgrade check --watch`

and prints medians, 95th percentiles and the ratio to the first. The answer is the exercise's full one
where the course has it, else the released stub; the part that is saved in watch is the first.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from dlgrade import planning
from dlgrade.course import Course, find_course
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.runsettings import PUBLISHED_SEED, RunSettings
from dlgrade.submission import find_submissions

DLGRADE = str(Path(sysconfig.get_path("scripts")) / "dlgrade")


class Student:
    """A student's folder: the released files, and an answer in place of the stub."""

    def __init__(self, course: Course, name: str, root: Path) -> None:
        shutil.copytree(course.root / "assignments" / name, root / "assignments" / name)
        self.course = Course(root)
        self.exercise = self.course.exercise(name)
        self.folder = root / name
        shutil.copytree(self.exercise.release, self.folder)
        self.file = self.folder / f"{name}.py"
        full = course.root / "solutions" / name / f"{name}.py"
        if full.is_file():
            shutil.copy(full, self.file)

    def edited(self, number: int) -> str:
        """The answer with another first statement in the first part: the part is not what it was."""
        text = self.file.read_text(encoding="utf-8")
        first = self.exercise.parts[0].name
        [node] = [n for n in ast.parse(text).body if getattr(n, "name", None) == first]
        lines = text.split("\n")
        body = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
        at, indent = body.lineno - 1, " " * body.col_offset
        if lines[at].startswith(f"{indent}edited = "):
            del lines[at]
        lines.insert(at, f"{indent}edited = {number}")
        return "\n".join(lines)


def run_to_end(command: list[str], student: Student) -> float:
    """Seconds that a command takes."""
    environment = {**os.environ, "DLGRADE_COURSE": str(student.course.root)}
    start = time.perf_counter()
    subprocess.run(command, cwd=student.folder, env=environment, capture_output=True, check=False)
    return time.perf_counter() - start


class Warm:
    """A run that stays open."""

    def __init__(self, student: Student, stack: ExitStack) -> None:
        exercise = student.exercise
        mode, _ = planning.practice_isolation(None)
        settings = RunSettings(
            "quick", PUBLISHED_SEED, threads=planning.worker_threads(1, "quick"), mode=mode
        )
        zygote = stack.enter_context(Zygote(exercise.preload))
        self._run = stack.enter_context(Run(zygote, RunPlan(exercise, settings, hidden=False)))
        [self._submission] = find_submissions(student.file, exercise)

    def once(self) -> float:
        start = time.perf_counter()
        [_] = self._run.grade([self._submission])
        return time.perf_counter() - start


class Watching:
    """`dlgrade check --watch`, whose reports come as lines of JSON."""

    def __init__(self, student: Student, stack: ExitStack) -> None:
        self._student = student
        self._saves = 0
        self._process = stack.enter_context(
            subprocess.Popen(
                [DLGRADE, "check", str(student.file), "--watch", "--format", "json"],
                cwd=student.folder,
                env={**os.environ, "DLGRADE_COURSE": str(student.course.root)},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
            )
        )
        stack.callback(self._process.terminate)
        self._next_report()

    def once(self) -> float:
        self._saves += 1
        text = self._student.edited(self._saves)
        fresh = self._student.file.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        start = time.perf_counter()
        fresh.replace(self._student.file)  # as editors save
        self._next_report()
        return time.perf_counter() - start

    def _next_report(self) -> None:
        assert self._process.stdout is not None  # a pipe, above
        json.loads(self._process.stdout.readline())


def measure(student: Student, repeats: int) -> dict[str, list[float]]:
    """Seconds of each thing, taking turns."""
    with ExitStack() as stack:
        warm, watching = Warm(student, stack), Watching(student, stack)
        measured: dict[str, Callable[[], float]] = {
            "import torch": lambda: run_to_end([sys.executable, "-c", "import torch"], student),
            "pytest": lambda: run_to_end([sys.executable, "-m", "pytest", "-q", "checks"], student),
            "check": lambda: run_to_end([DLGRADE, "check", str(student.file)], student),
            "warm": warm.once,
            "watch": watching.once,
        }
        seconds: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(repeats):
            for name, once in measured.items():
                seconds[name].append(once())
    return seconds


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("exercise", nargs="?", default="cifar10_cnn")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--course", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        student = Student(find_course(options.course), options.exercise, Path(folder).resolve())
        seconds = measure(student, options.repeats)
    torch_alone = statistics.median(seconds["import torch"])
    print(f"{options.exercise}, tier quick, n = {options.repeats}, load {os.getloadavg()[0]:.1f}")
    print(f"{'':<14}{'median s':>10}{'p95 s':>8}{'ratio':>8}")
    for name, values in seconds.items():
        median, slow = statistics.median(values), sorted(values)[int(0.95 * len(values))]
        print(f"{name:<14}{median:>10.2f}{slow:>8.2f}{median / torch_alone:>8.2f}")


if __name__ == "__main__":
    main()
