"""How many submissions a minute: dlgrade, nbgrader and otter on the same answers and the same six checks.

    python benchmarks/cohort.py rates [--submissions 40] [--slow 3] [--otter /path/to/venv/bin/otter]
    python benchmarks/cohort.py memory [--submissions 1000] [--jobs 2]

`rates` grades one job at a time, all tools in one run, so that a busy machine slows all alike; the two
that start a kernel for each submission get `--slow` submissions. The time of a tool is that of its own
command from start to end, loading included; for dlgrade also the rate once it is warm, and the speed-up
of two jobs. otter is measured where a virtual environment has it and this project's torch:

    python -m venv otter && otter/bin/pip install otter-grader ipykernel torch

`memory` grades 100 and then all submissions, and prints the rate and the peak of the process tree's
memory, shared pages counted once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
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


def measure_dlgrade(folder: Path, submissions: int) -> float:
    """Print what one and two jobs give; seconds a submission with one job, once it is warm."""
    root = dlgrade_folder(folder, submissions)
    warm = {}
    for jobs in (1, 2):
        times = finishing_times(dlgrade_command(root, f"out{jobs}", jobs), root / "course")
        if len(times) < submissions:
            raise SystemExit(f"dlgrade graded {len(times)} of {submissions}")
        warm[jobs] = (times[-1] - times[4]) / (len(times) - 5)
        print(
            f"dlgrade, {jobs} job(s): {submissions} in {times[-1]:.1f} s, the first after {times[0]:.1f} s;"
            f" warm {1000 * warm[jobs]:.0f} ms each, {60 / warm[jobs]:.0f} a minute",
            flush=True,
        )
    print(f"two jobs are {warm[1] / warm[2]:.2f} times one")
    return warm[1]


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
        if '"score": 1.0' not in (folder / "results.json").read_text():
            raise SystemExit("otter gave no points; see results.json")
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


def peak_of(command: Sequence[str], cwd: Path) -> tuple[float, float, int]:
    """Seconds of a run, mebibytes at the peak of its process tree, and how often that was sampled."""
    start, samples = time.perf_counter(), []
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                samples.append(sum(map(proportional_bytes, tree(process.pid))))
            except OSError:  # one ended while it was looked at
                continue
            time.sleep(SAMPLE_SECONDS)
    return time.perf_counter() - start, max(samples) / 2**20, len(samples)


def memory(options: argparse.Namespace) -> None:
    """Print rate and peak for 100 submissions and for all."""
    peaks = []
    for count in (100, options.submissions):
        with tempfile.TemporaryDirectory() as name:
            root = dlgrade_folder(Path(name), count)
            command = dlgrade_command(root, "out", options.jobs)
            seconds, peak, samples = peak_of(command, root / "course")
            reports = len(list((root / "out" / "reports").iterdir()))
        peaks.append(peak)
        print(
            f"{reports} of {count} submissions, {options.jobs} jobs: {seconds:.0f} s,"
            f" {60 * count / seconds:.0f} a minute, peak {peak:.0f} MiB in {samples} samples"
        )
    print(f"the peak of all is {peaks[1] / peaks[0]:.2f} times that of 100")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["rates", "memory"])
    parser.add_argument("--submissions", type=int)
    parser.add_argument("--slow", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--otter", type=Path)
    options = parser.parse_args()
    options.submissions = options.submissions or (40 if options.what == "rates" else 1000)
    (rates if options.what == "rates" else memory)(options)


if __name__ == "__main__":
    main()
