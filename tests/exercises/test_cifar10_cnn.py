"""cifar10_cnn through the real engine: the answer earns everything, garbage nothing, and nothing breaks."""

import shutil
from pathlib import Path

import pytest

from dlgrade.course import Course
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.report import Report
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission

COURSE = Path(__file__).resolve().parents[2]
NAME = "cifar10_cnn"

HEAD = """
import numpy as np
import torch
from torch import nn
"""

# Every function returns `thing()`, and so does every transform and every network's forward.
BODY = """
def convolve2d(image, kernel):
    return thing()


class SimpleCNN(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, images):
        return thing()


class Cifar10CNN(SimpleCNN):
    def forward(self, images):
        return thing()


def make_transforms():
    return (lambda image: thing()), (lambda image: thing())


def train_one_epoch(model, loader, optimizer, device):
    return thing()


def evaluate(model, loader, device):
    return thing()


def fit(model, train_loader, val_loader, *, epochs, lr, patience, device="cpu"):
    return thing()
"""

HISTORY = "('train_loss', 'val_loss', 'val_accuracy', 'lr', 'best_epoch')"

THINGS = {
    "nothing": "None",
    "text": "'text'",
    "true": "True",
    "a complex number": "1j",
    "an object": "object()",
    "a function": "thing",
    "a module": "nn.Linear(2, 2)",
    "an empty tensor": "torch.zeros(0)",
    "a scalar tensor": "torch.tensor(0.5)",
    "a wrong shape": "torch.zeros(2, 3, 4)",
    "an array of text": "np.array(['a', 'b'])",
    "NaN": "float('nan')",
    "a NaN image": "torch.full((3, 32, 32), float('nan'))",
    "NaN logits": "torch.full((3, 10), float('nan'))",
    "integer logits": "torch.zeros(3, 10, dtype=torch.int64)",
    "constant logits": "torch.zeros(3, 10)",
    "constant pixels": "torch.zeros(3, 32, 32)",
    "a nested list": "[[1, 2], [3]]",
    "a dict of nothing": "{}",
    "a history of text": f"{{key: ['a'] for key in {HISTORY}}}",
    "a history of nothing": f"{{key: None for key in {HISTORY}}}",
    "a history without entries": f"{{key: [] for key in {HISTORY}}}",
    "a history of one": f"{{key: 1.0 for key in {HISTORY}}}",
    "an exception": "[][0]",
    "an exit": "exit()",
}

OTHERS = {
    "transforms that are no pair": "def make_transforms():\n    return [lambda image: image]\n",
    "transforms that are no functions": "def make_transforms():\n    return 1, torch.zeros(3)\n",
    "networks that are no modules": """
def SimpleCNN(num_classes=10):
    return 7


def Cifar10CNN(num_classes=10):
    return lambda images: images
""",
    "networks without parameters": """
class SimpleCNN(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.classes = num_classes

    def forward(self, images):
        return images.flatten(1)[:, : self.classes] * 1


class Cifar10CNN(SimpleCNN):
    pass
""",
    "toys destroyed": """
def train_one_epoch(model, loader, optimizer, device):
    model.__class__ = nn.Identity
    return 1.0


def evaluate(model, loader, device):
    model._modules.clear()
    return 0.5


def fit(model, *loaders, **options):
    model.state_dict = lambda: "gone"
    return {}
""",
}


def submission(text: str, name: str = "someone") -> Submission:
    return Submission(name, name, text, Path(name), "py")


@pytest.fixture(scope="module")
def exercise():
    return Course(COURSE).exercise(NAME)


@pytest.fixture(scope="module")
def without_mistakes(tmp_path_factory):
    """The exercise in a course without named mistakes: what garbage resembles is not the question here."""
    root = tmp_path_factory.mktemp("course")
    for folder in ("reference", f"solutions/{NAME}", f"assignments/{NAME}"):
        shutil.copytree(COURSE / folder, root / folder)
    (root / "solutions" / NAME / "mistakes.toml").unlink()
    return Course(root).exercise(NAME)


@pytest.fixture(scope="module")
def zygote(exercise):
    with Zygote(exercise.preload) as running:
        yield running


@pytest.fixture(scope="module")
def run(without_mistakes, zygote):
    plan = RunPlan(without_mistakes, RunSettings("quick", 20), hidden=True)
    with Run(zygote, plan) as running:
        yield running


@pytest.fixture(scope="module")
def answer(exercise) -> str:
    return (exercise.folder / f"{NAME}.py").read_text(encoding="utf-8")


def grade(run: Run, text: str) -> Report:
    [report] = run.grade([submission(text)])
    return report


def bad_points(report: Report) -> list[str]:
    """Checks that were passed, and those that our own code failed in."""
    return [f"{c.id}: {c.verdict} {c.message}" for c in report.checks if c.points or c.verdict == "internal"]


def test_the_answer_earns_every_point(run, answer):
    """All quick checks pass; the accuracy check is left to its tier."""
    report = grade(run, answer)
    assert [check.id for check in report.counted if check.verdict != "passed"] == []
    assert report.score == report.max_score
    assert report.deferred_points == 8


@pytest.mark.parametrize("thing", THINGS)
def test_garbage_earns_nothing_and_breaks_nothing(run, thing):
    """Whatever every part returns instead of a result, no check passes and none fails by our fault."""
    text = f"{HEAD}\n\ndef thing():\n    return {THINGS[thing]}\n\n{BODY}"
    # Nine parameters are within the budget, and zeros of the right shape have the right shape.
    allowed = ("cifar10_cnn_stays_within_the_parameter_budget", "transforms_give_float_tensors")
    found = [line for line in bad_points(grade(run, text)) if not line.startswith(allowed)]
    assert found == []


@pytest.mark.parametrize("kind", OTHERS)
def test_objects_that_are_not_what_they_should_be_break_nothing(run, kind):
    """A part of the wrong kind, or one that ruins what it was given, is never our fault."""
    report = grade(run, f"{HEAD}\n\n{OTHERS[kind]}")
    assert [c.message for c in report.checks if c.verdict == "internal"] == []
    assert [c.id for c in report.checks if c.points and c.kind in ("value", "training")] == []


@pytest.mark.parametrize("part", ["convolve2d", "SimpleCNN", "make_transforms", "evaluate"])
def test_one_part_alone_is_graded_on_its_own(run, exercise, answer, part):
    """A submission that defines one part earns that part's points, and the others are missing."""
    from dlgrade.units import split

    source = split(answer, "answer")
    unit = source.unit(part)
    constants = "\n".join(
        line for line in answer.splitlines() if line.startswith(("import ", "from ", "CIFAR10_"))
    )
    report = grade(run, f"{constants}\n\n\n{unit.code}\n")
    assert {c.verdict for c in report.counted if c.part == part} == {"passed"}
    assert {c.verdict for c in report.counted if c.part != part} == {"missing"}


@pytest.mark.slow
def test_the_answer_passes_at_any_seed(exercise, zygote, answer):
    """Twenty secret seeds: no check fails the answer by bad luck or a tolerance that is too narrow."""
    for seed in range(1000, 1020):
        plan = RunPlan(exercise, RunSettings("quick", seed), hidden=True)
        with Run(zygote, plan) as run:
            report = grade(run, answer)
        assert [c.id for c in report.counted if c.verdict != "passed"] == [], seed
