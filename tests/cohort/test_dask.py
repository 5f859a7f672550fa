"""A cohort on a Dask cluster: a real scheduler and real worker processes on this machine."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from tests.autograder import tiny_course
from tests.autograder.command_line import dlgrade, environment, started, wait_until
from tests.cohort import cohorts

pytest.importorskip("distributed", reason="needs the extra 'dask'")
from dlgrade import cluster, node
from dlgrade.errors import GraderFault

DASK = str(Path(sysconfig.get_path("scripts")) / "dask")
SETTINGS = ("--tier", "quick", "--seed", 11)


class LocalCluster:
    """A scheduler, and workers that have no nanny: whoever is killed stays away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self._processes: list[subprocess.Popen] = []
        address = ("--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0")
        self.scheduler = self._start("scheduler", *address)
        assert wait_until(self.file.exists, 60), "the scheduler did not start"

    def worker(self, *options: object) -> subprocess.Popen:
        """Start a worker with one thread; it joins when it is ready."""
        name = f"worker{len(self._processes)}"
        place = ("--host", "127.0.0.1", "--local-directory", self.folder / name, "--name", name)
        return self._start("worker", *place, "--nthreads", 1, "--no-nanny", "--no-dashboard", *options)

    def joined(self) -> int:
        """How many workers have registered."""
        return sum("Registered to:" in file.read_text() for file in self.folder.glob("log*.txt"))

    def left_behind(self) -> list[Path]:
        """Course folders on the nodes."""
        walk = os.walk(self.folder)  # unlike a glob it goes on where a folder goes away meanwhile
        return [
            Path(at, name) for at, names, _ in walk for name in names if name.startswith("dlgrade-course-")
        ]

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def _start(self, what: str, *options: object) -> subprocess.Popen:
        command = [DASK, what, "--scheduler-file", self.file, *options]
        log = (self.folder / f"log{len(self._processes)}.txt").open("w")
        with log:
            process = subprocess.Popen(
                [*map(str, command)], cwd=self.folder, env=environment(), stdout=log, stderr=log
            )
        self._processes.append(process)
        return process


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return tiny_course.make(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def undisturbed(course, tmp_path_factory):
    """A cohort and its results from one run on this machine alone."""
    return cohort_of(12, course, tmp_path_factory.mktemp("cohort"))


def cohort_of(count, course, folder):
    """The folder with `in` and `out`."""
    cohorts.write(course, folder / "in", count)
    done = dlgrade("grade", "tiny", folder / "in", "--out", folder / "out", *SETTINGS, cwd=course.root)
    assert done.returncode == 1, done.stderr
    return folder


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    running = LocalCluster(tmp_path_factory.mktemp("cluster"))
    with contextlib.closing(running):
        running.workers = [running.worker(), running.worker()]
        assert wait_until(lambda: running.joined() == 2), "the workers did not join"
        yield running


def reports(out):
    return sorted((out / "reports").glob("*.json"))


def wait_for_reports(count, out, process):
    """Until so many are there; the run must still be under way then."""
    assert wait_until(lambda: len(reports(out)) >= count or process.poll() is not None)
    assert process.poll() is None, process.communicate()


def test_a_run_whose_worker_is_killed_ends_as_one_machine_does(course, undisturbed, two_workers, tmp_path):
    """It goes on from another run's results, loses a node to SIGKILL, gains one: nothing is lost or twice."""
    out = tmp_path / "out"
    shutil.copytree(undisturbed / "out", out)
    kept, *lost = reports(out)
    for report in lost:
        report.unlink()
    before = kept.stat().st_mtime_ns
    names = [folder.name for folder in (undisturbed / "in").iterdir()]
    run = started(
        *("grade", "tiny", undisturbed / "in", "--out", out, *SETTINGS, "--scheduler", two_workers.file),
        cwd=course.root,
    )
    wait_for_reports(3, out, run)
    two_workers.workers.pop(0).kill()
    two_workers.workers.append(two_workers.worker())
    _, told = run.communicate()
    assert run.returncode == 1, told
    assert told.count(" done, ") == len(lost)
    assert kept.stat().st_mtime_ns == before
    assert cohorts.counted_once(out, names)
    assert cohorts.verdicts(out) == cohorts.verdicts(undisturbed / "out")
    graders = {json.loads(report.read_text())["versions"]["torch"] for report in reports(out)}
    assert len(graders) == 1
    assert wait_until(lambda: len(two_workers.left_behind()) <= 1, 20)  # that of the one killed stays


@pytest.mark.slow
def test_a_cohort_of_200_survives_the_loss_of_many_workers(course, tmp_path):
    """Workers are killed at eight random moments, and others join; the results are those of one machine."""
    folder = cohort_of(200, course, tmp_path)
    (tmp_path / "cluster").mkdir()
    with contextlib.closing(LocalCluster(tmp_path / "cluster")) as running:
        workers = [running.worker(), running.worker()]
        out = tmp_path / "of the cluster"
        run = started(
            *("grade", "tiny", folder / "in", "--out", out, *SETTINGS, "--scheduler", running.file),
            cwd=course.root,
        )
        wait_for_reports(1, out, run)
        for _ in range(8):
            time.sleep(random.uniform(0, 6))
            workers.pop(0).kill()
            workers.append(running.worker())
        _, told = run.communicate()
    assert run.returncode == 1, told
    assert cohorts.counted_once(out, [f"student{number:03}" for number in range(200)])
    assert cohorts.verdicts(out) == cohorts.verdicts(folder / "out")


@pytest.mark.slow
def test_a_lost_scheduler_is_one_sentence_and_the_rest_is_graded_elsewhere(course, tmp_path):
    """Exit 3, whole reports, and the same folder is finished without any cluster."""
    folder = cohort_of(30, course, tmp_path)
    (tmp_path / "cluster").mkdir()
    out = tmp_path / "of the cluster"
    with contextlib.closing(LocalCluster(tmp_path / "cluster")) as running:
        running.worker()
        run = started(
            *("grade", "tiny", folder / "in", "--out", out, *SETTINGS, "--scheduler", running.file),
            cwd=course.root,
        )
        wait_for_reports(3, out, run)
        running.scheduler.kill()
        _, told = run.communicate()
    assert run.returncode == 3, told
    assert "the connection to it was lost; with --out what is finished is kept" in told.splitlines()[-1]
    done = dlgrade("grade", "tiny", folder / "in", "--out", out, cwd=course.root)
    assert done.returncode == 1, done.stderr
    assert cohorts.counted_once(out, [f"student{number:03}" for number in range(30)])
    assert cohorts.verdicts(out) == cohorts.verdicts(folder / "out")


@pytest.mark.slow
def test_gpu_submissions_go_to_workers_that_offer_one(course, tmp_path):
    """Of two workers only one has the resource; the exercise trains nothing, so that no device is needed."""
    cohorts.write(course, tmp_path / "in", 4)
    (tmp_path / "cluster").mkdir()
    with contextlib.closing(LocalCluster(tmp_path / "cluster")) as running:
        running.worker()
        running.worker("--resources", "GPU=1")
        assert wait_until(lambda: running.joined() == 2, 60)  # the tier is chosen by who is there
        arguments = ("grade", "tiny", tmp_path / "in", "--seed", 11, "--tier", "auto", "--format", "json")
        done = dlgrade(*arguments, "--scheduler", running.file, cwd=course.root)
    assert done.returncode == 1, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(report["tier"], report["device"]) for report in found] == [("gpu", "cuda")] * 4


# What goes wrong before anything is graded


def run_with(change, *arguments, cwd):
    """The command in a process in which one line of Python ran first."""
    code = f"import sys; {change}; from dlgrade import cli; sys.exit(cli.run(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def refused(done, code, sentence):
    """One sentence on stderr, and the exit code."""
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.fixture
def one(course, tmp_path):
    """A submission, as arguments."""
    cohorts.write(course, tmp_path / "in", 1)
    return "grade", "tiny", tmp_path / "in"


def test_without_the_extra_the_way_to_get_it_is_told(course, one):
    """Exit 2; the module is hidden, since these tests need it themselves."""
    done = run_with("sys.modules['distributed'] = None", *one, "--scheduler", "tcp://x:1", cwd=course.root)
    refused(done, 2, "--scheduler needs Dask, and distributed is not installed; pip install 'dlgrade[dask]'")


def test_dask_is_loaded_only_when_it_is_asked_for():
    """Neither by the package, nor by the command, nor by grading without the option."""
    code = "import dlgrade.cli, dlgrade.batch, dlgrade.machines, sys; print(sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'dlgrade.batch'" in done.stdout
    assert "'distributed'" not in done.stdout
    assert "'dask'" not in done.stdout


@pytest.mark.parametrize(
    ("address", "code", "sentence"),
    [
        (
            "tcp://127.0.0.1:1",
            3,
            "no Dask scheduler answers at 'tcp://127.0.0.1:1' within 1 s; is it running",
        ),
        ("host:port", 2, "--scheduler 'host:port' cannot be used (invalid literal for int"),
        ("absent.json", 2, "--scheduler 'absent.json' is no file; name the one that 'dask scheduler' wrote"),
    ],
)
def test_an_address_where_nobody_is_ends_in_one_sentence(course, one, address, code, sentence):
    """Not reachable: exit 3. No address at all: exit 2."""
    change = "from dlgrade import cluster; cluster.CONNECT_SECONDS = 1"  # ten by default
    refused(run_with(change, *one, "--scheduler", address, cwd=course.root), code, sentence)


def test_a_cluster_of_another_version_is_refused(course, one, two_workers):
    """Its nodes would run other code than this; the first one that differs is named."""
    change = "from dlgrade import cluster; cluster.__version__ = '9.9'"
    done = run_with(change, *one, "--scheduler", two_workers.file, cwd=course.root)
    refused(done, 3, "the scheduler has dlgrade 0.1.0, and this machine 9.9; install the same versions")


def test_the_gpu_tier_needs_a_worker_that_offers_one(course, one, two_workers):
    """Exit 2, with the option that such a worker is started with."""
    done = dlgrade(*one, "--tier", "gpu", "--scheduler", two_workers.file, cwd=course.root)
    refused(done, 2, "tier 'gpu' needs Dask workers that were started with --resources 'GPU=1'")


def test_jobs_and_scheduler_contradict_each_other(course, one):
    """Exit 2 before anybody is asked."""
    done = dlgrade(*one, "--jobs", 2, "--scheduler", "tcp://x:1", cwd=course.root)
    refused(done, 2, "--jobs is for this machine; on a cluster each Dask worker's --nthreads says it")


def test_results_of_nodes_that_differ_are_not_mixed():
    """By torch or by data; the two nodes and what differs are named."""
    first = node.Opened("tcp://a:1", (), {"versions": {"torch": "2"}, "data": {"cifar10": "0123"}})
    same = node.Opened("tcp://b:1", (), first.ready)
    cluster._refuse_differences(first, same)
    for what, name in (("versions", "torch"), ("data", "cifar10")):
        other = node.Opened("tcp://b:1", (), {**first.ready, what: {name: "9"}})
        with pytest.raises(GraderFault, match=rf"worker at tcp://b:1 has {name} 9, and the one at tcp://a:1"):
            cluster._refuse_differences(first, other)


@pytest.mark.slow
def test_a_zygote_that_nobody_needs_any_more_ends(course, tmp_path, monkeypatch):
    """A driver that was killed never says so; who comes later gets a new one."""
    monkeypatch.setattr(node, "IDLE_SECONDS", 1.0)
    from dlgrade.engine import RunPlan
    from dlgrade.planning import graded_isolation
    from dlgrade.runsettings import RunSettings

    plan = RunPlan(course.exercise("tiny"), RunSettings("quick", 5, mode=graded_isolation(None)[0]), True)
    keeper = node.Keeper(node.Parcel.of(plan), tmp_path, 1)
    for _ in range(2):
        with keeper.run() as run:
            assert len(run.checks) == 7
            assert list(tmp_path.iterdir())
        assert wait_until(lambda: not list(tmp_path.iterdir()), 60)
    keeper.close()
