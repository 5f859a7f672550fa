"""How many submissions a minute: dlgrade, nbgrader and otter on the same answers and the same six checks.

    python benchmarks/cohort.py rates [--submissions 40] [--slow 3] [--otter /path/to/venv/bin/otter]
    python benchmarks/cohort.py memory [--submissions 1000] [--jobs 2]
    python benchmarks/cohort.py regrade [--submissions 100] [--jobs 2]

`rates` grades one job at a time, all tools in one run, so that a busy machine slows all alike; the two
that start a kernel for each submission get `--slow` submissions. The time of a tool is that of its own
command from start to end, loading included; for dlgrade also the rate once it is warm, and the speed-up
of two jobs. otter is measured where a virtual environment has it and this project's torch:

    python -m venv otter && otter/bin/pip install otter-grader ipykernel torch

`memory` grades a tenth and then all submissions, and prints the rate, the time to the first result and the
peak of the process tree's memory, shared pages counted once.

`regrade` grades all, changes one check, and brings the results up to date: first a check that costs little,
then the one that trains.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nbformat
import six_checks

from dlgrade.build import build
from dlgrade.course import Course

SCRIPTS = Path(sysconfig.get_path("scripts"))
SAMPLE_SECONDS = 1.0


def timed(command: Sequence[str | Path], cwd: Path) -> float:
    """Seconds that a command took from start to end; its output is shown only where it fails."""
    tools = Path(command[0]).parent  # nbgrader starts alembic, both start kernels
    start = time.perf_counter()
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - start


# --- dlgrade ------------------------------------------------------------------------------------------


def dlgrade_folder(root: Path, submissions: int) -> Path:
    """A course and a folder of so many submissions."""
    six_checks.write_course(root / "course")
    build(Course(root / "course"), ["cnn"])
    for number in range(submissions):
        folder = root / "in" / f"student{number:05}"
        folder.mkdir(parents=True)
        (folder / "cnn.py").write_text(six_checks.submission_text(number), encoding="utf-8")
    return root


def dlgrade_command(root: Path, out: str, jobs: int) -> list[str]:
    """The command that grades everything in `root`."""
    tail = ["--out", str(root / out), "--jobs", str(jobs), "--seed", "5"]
    return [str(SCRIPTS / "dlgrade"), "grade", "cnn", str(root / "in"), *tail]


def finishing_times(command: Sequence[str], cwd: Path) -> list[float]:
    """Seconds from the start of a run to each finished submission, as its progress lines come."""
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        return [time.perf_counter() - start for line in process.stderr if " done, " in line]


def warm(times: Sequence[float]) -> float:
    """Seconds a submission, once the first few have paid for what is loaded late."""
    return (times[-1] - times[4]) / (len(times) - 5)


def measure_dlgrade(folder: Path, submissions: int) -> float:
    """Print what one and two jobs give; seconds a submission with one job, once it is warm."""
    root = dlgrade_folder(folder, submissions)
    each = {}
    for jobs in (1, 2):
        times = finishing_times(dlgrade_command(root, f"out{jobs}", jobs), root / "course")
        if len(times) < submissions:
            raise SystemExit(f"dlgrade graded {len(times)} of {submissions}")
        each[jobs] = warm(times)
        print(
            f"dlgrade, {jobs} job(s): {submissions} in {times[-1]:.1f} s, the first after {times[0]:.1f} s;"
            f" warm {1000 * each[jobs]:.0f} ms each, {60 / each[jobs]:.0f} a minute",
            flush=True,
        )
    print(f"two jobs are {each[1] / each[2]:.2f} times one")
    return each[1]


# --- nbgrader and otter -------------------------------------------------------------------------------


def notebook(number: int, *, locked: bool) -> nbformat.NotebookNode:
    """A student's notebook; nbgrader's cells carry its metadata."""
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book.cells = [nbformat.v4.new_code_cell(six_checks.submission_text(number), id="answer")]
    for name, body in six_checks.CELLS.items():
        cell = nbformat.v4.new_code_cell(body, id=name.replace("_", "-"))
        if locked:
            cell.metadata["nbgrader"] = {
                **{"grade": True, "locked": True, "solution": False, "task": False},
                **{"grade_id": name, "points": 1, "schema_version": 3, "cell_type": "code"},
            }
        book.cells.append(cell)
    return book


def measure_nbgrader(folder: Path, submissions: int) -> float:
    """Seconds a submission of `nbgrader autograde`, one after another."""
    source = folder / "source" / "cnn"
    source.mkdir(parents=True)
    nbformat.write(notebook(0, locked=True), source / "cnn.ipynb")
    (folder / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.course_id = 'c'\n")
    timed([SCRIPTS / "nbgrader", "generate_assignment", "cnn"], folder)
    for number in range(submissions):
        place = folder / "submitted" / f"student{number}" / "cnn"
        place.mkdir(parents=True)
        nbformat.write(notebook(number, locked=True), place / "cnn.ipynb")
    seconds = timed([SCRIPTS / "nbgrader", "autograde", "cnn"], folder)
    graded = len(list((folder / "autograded").glob("*/cnn/cnn.ipynb")))
    if graded != submissions:
        raise SystemExit(f"nbgrader graded {graded} of {submissions}")
    return seconds / submissions


OTTER_TEST = """\
OK_FORMAT = False

from otter.test_files import test_case

name = {name!r}
points = 1

@test_case()
def check(env):
    globals().update(env)
{body}
"""


def measure_otter(folder: Path, submissions: int, otter: Path) -> float:
    """Seconds a submission of `otter run`, one after another."""
    (folder / "tests").mkdir(parents=True)
    for name, body in six_checks.CELLS.items():
        indented = "\n".join("    " + line for line in body.split("\n"))
        (folder / "tests" / f"{name}.py").write_text(OTTER_TEST.format(name=name, body=indented))
    timed([otter, "generate", "-t", "tests", "--no-environment", "--no-requirements"], folder)
    archive = next(folder.glob("*.zip"))
    seconds = 0.0
    for number in range(submissions):
        nbformat.write(notebook(number, locked=False), folder / "cnn.ipynb")
        seconds += timed([otter, "run", "-a", archive.name, "-o", ".", "cnn.ipynb"], folder)
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        points = sum(test.get("score", 0) for test in results["tests"])
        if points != len(six_checks.CELLS):
            raise SystemExit(f"otter gave {points} of {len(six_checks.CELLS)} points: {results}")
        (folder / "results.json").unlink()
    return seconds / submissions


def rates(options: argparse.Namespace) -> None:
    """Measure all tools and print their ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = measure_dlgrade(folder / "dlgrade", options.submissions)
        compare("nbgrader", measure_nbgrader(folder / "nbgrader", options.slow), ours)
        if options.otter is not None:
            compare("otter", measure_otter(folder / "otter", options.slow, options.otter.absolute()), ours)


def compare(tool: str, seconds: float, ours: float) -> None:
    """Print a tool's rate, and how many times as fast a warm dlgrade was in the same run."""
    print(
        f"{tool}: {seconds:.2f} s each, {60 / seconds:.1f} a minute;"
        f" dlgrade is {seconds / ours:.1f} times as fast once warm",
        flush=True,
    )


# --- memory -------------------------------------------------------------------------------------------


def tree(pid: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from tree(int(child))


def proportional_bytes(pid: int) -> int:
    """Memory of a process, each shared page divided among those that share it; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@dataclass(frozen=True)
class Observed:
    """A run as seen from outside: seconds to its end and to its first report, bytes at each look."""

    seconds: float
    first: float
    samples: Sequence[int]

    @property
    def peak(self) -> float:
        """Mebibytes of the whole process tree."""
        return max(self.samples) / 2**20


def observed(command: Sequence[str], cwd: Path, reports: Path) -> Observed:
    """Run a command, and look at its process tree once a second."""
    start, first, samples = time.perf_counter(), 0.0, []
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if not first and any(reports.glob("*.json")):
                first = time.perf_counter() - start
            with suppress(OSError):  # one ended while it was looked at
                samples.append(sum(map(proportional_bytes, tree(process.pid))))
            time.sleep(SAMPLE_SECONDS)
    return Observed(time.perf_counter() - start, first, samples)


def memory(options: argparse.Namespace) -> None:
    """Print rate, first result and peak for a tenth of the submissions and for all."""
    peaks = []
    for count in (options.submissions // 10, options.submissions):
        with tempfile.TemporaryDirectory() as name:
            root = dlgrade_folder(Path(name), count)
            command = dlgrade_command(root, "out", options.jobs)
            run = observed(command, root / "course", root / "out" / "reports")
            reports = len(list((root / "out" / "reports").iterdir()))
        peaks.append(run.peak)
        print(
            f"{reports} of {count} submissions, {options.jobs} jobs: {run.seconds:.0f} s, the first after"
            f" {run.first:.0f} s, {60 * count / run.seconds:.0f} a minute, peak {run.peak:.0f} MiB in"
            f" {len(run.samples)} samples",
            flush=True,
        )
    print(f"the peak of all is {peaks[1] / peaks[0]:.2f} times that of a tenth of them")


# --- regrade ------------------------------------------------------------------------------------------

EDITS = {
    "convolve2d_takes_other_kernels": ("oracle.normal(7, 5)", "oracle.normal(6, 5)"),
    "cnn_loss_falls": ("oracle.normal(32, 3, 32, 32)", "oracle.normal(30, 3, 32, 32)"),
}


def regrade(options: argparse.Namespace) -> None:
    """Print the time of a full run, and of bringing it up to date after each edit."""
    with tempfile.TemporaryDirectory() as name:
        root = dlgrade_folder(Path(name), options.submissions)
        command = dlgrade_command(root, "out", options.jobs)
        full = finishing_times(command, root / "course")
        print(f"all six checks: {told(full)}", flush=True)
        checks = root / "course" / "solutions" / "cnn" / "checks" / "visible" / "test_cnn.py"
        for check, (old, new) in EDITS.items():
            checks.write_text(checks.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
            again = finishing_times([*command, "--regrade"], root / "course")
            print(
                f"after {check} changed: {told(again)}; {full[-1] / again[-1]:.1f} times as fast from start"
                f" to end, {warm(full) / warm(again):.1f} times once warm",
                flush=True,
            )


def told(times: Sequence[float]) -> str:
    """A run in words."""
    total = f"{len(times)} in {times[-1]:.1f} s, the first after {times[0]:.1f} s"
    return f"{total}, then {1000 * warm(times):.0f} ms each"


def main() -> None:
    """Parse and run."""
    kinds = {"rates": rates, "memory": memory, "regrade": regrade}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=kinds)
    parser.add_argument("--submissions", type=int)
    parser.add_argument("--slow", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--otter", type=Path)
    options = parser.parse_args()
    options.submissions = options.submissions or {"rates": 40, "memory": 1000, "regrade": 100}[options.what]
    kinds[options.what](options)


if __name__ == "__main__":
    main()
