"""One run of the exercise that a module of tests names, started once for all of them."""

import shutil
from pathlib import Path

import pytest

from dlgrade.course import Course
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.runsettings import RunSettings

COURSE = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def name(request) -> str:
    """Id of the exercise: the module's NAME."""
    return request.module.NAME


@pytest.fixture(scope="module")
def exercise(name):
    return Course(COURSE).exercise(name)


@pytest.fixture(scope="module")
def answer(exercise, name) -> str:
    return (exercise.folder / f"{name}.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def zygote(exercise):
    with Zygote(exercise.preload) as running:
        yield running


@pytest.fixture(scope="module")
def run(name, zygote, tmp_path_factory):
    """Quick, with hidden checks and without named mistakes: what garbage resembles is not the question."""
    root = tmp_path_factory.mktemp("course")
    for folder in ("reference", f"solutions/{name}", f"assignments/{name}"):
        shutil.copytree(COURSE / folder, root / folder)
    (root / "solutions" / name / "mistakes.toml").unlink()
    plan = RunPlan(Course(root).exercise(name), RunSettings("quick", 20), hidden=True)
    with Run(zygote, plan) as running:
        yield running
