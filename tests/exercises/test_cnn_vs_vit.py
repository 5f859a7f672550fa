"""cnn_vs_vit through the real engine: the answer earns everything, garbage nothing, and nothing breaks."""

from pathlib import Path

import pytest

from dlgrade.course import Course
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.report import Report
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission
from dlgrade.units import overlay, split

COURSE = Path(__file__).resolve().parents[2]
NAME = "cnn_vs_vit"

# Every function returns `thing()`, and so does every network's forward.
BODY = """
import torch
from torch import nn


class Garbage(nn.Module):
    def __init__(self, *args, **kwargs):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return thing()


class SelfAttention(Garbage):
    pass


class TransformerBlock(Garbage):
    pass


class PatchEmbedding(Garbage):
    pass


class ViT(Garbage):
    pass


def build_transfer_model(num_classes, backbone):
    return thing()


def count_parameters(model, trainable_only=False):
    return thing()


def compare(models, train_loader, test_loader, *, epochs, lr, device="cpu"):
    return thing()
"""

THINGS = {
    "nothing": "None",
    "text": "'text'",
    "an object": "object()",
    "a module": "nn.Linear(2, 2)",
    "an empty tensor": "torch.zeros(0)",
    "a wrong shape": "torch.zeros(2, 3, 4)",
    "NaN": "torch.full((2, 5, 12), float('nan'))",
    "a complex tensor": "torch.zeros(2, 5, 12, dtype=torch.complex64)",
    "rows of text": "[{'name': 'a', 'accuracy': 'b', 'parameters': 'c', 'seconds_per_epoch': 'd', "
    "'images_per_second': 'e'}] * 2",
    "rows of tensors": "[{k: torch.zeros(2) for k in ('name', 'accuracy', 'parameters', 'seconds_per_epoch', "
    "'images_per_second')}] * 2",
    "an exception": "[][0]",
    "an exit": "exit()",
}

OTHERS = {
    "networks that are no modules": "def {part}(*args, **kwargs):\n    return 7\n",
    "networks that are functions": "def {part}(*args, **kwargs):\n    return lambda x: x\n",
    "networks without parameters": (
        "class {part}(nn.Module):\n    def __init__(self, *args, **kwargs):\n        super().__init__()\n\n"
        "    def forward(self, x, mask=None):\n        return x\n"
    ),
    "outputs without a gradient": (
        "class {part}(nn.Module):\n    def __init__(self, *args, **kwargs):\n        super().__init__()\n\n"
        "    def forward(self, x, mask=None):\n        return x.detach().clone()\n"
    ),
}


def submission(text: str, name: str = "someone") -> Submission:
    return Submission(name, name, text, Path(name), "py")


@pytest.fixture(scope="module")
def exercise():
    return Course(COURSE).exercise(NAME)


@pytest.fixture(scope="module")
def zygote(exercise):
    with Zygote(exercise.preload) as running:
        yield running


@pytest.fixture(scope="module")
def run(exercise, zygote):
    with Run(zygote, RunPlan(exercise, RunSettings("quick", 20), hidden=True)) as running:
        yield running


@pytest.fixture(scope="module")
def answer(exercise) -> str:
    return (exercise.folder / f"{NAME}.py").read_text(encoding="utf-8")


def grade(run: Run, text: str) -> Report:
    [report] = run.grade([submission(text)])
    return report


def test_the_answer_earns_every_point(run, answer):
    """All quick checks pass; the accuracy check is left to its tier."""
    report = grade(run, answer)
    assert [f"{c.id}: {c.message}" for c in report.counted if c.verdict != "passed"] == []
    assert report.score == report.max_score
    assert report.deferred_points == 3


@pytest.mark.parametrize("thing", THINGS)
def test_garbage_earns_nothing_and_breaks_nothing(run, thing):
    """Whatever every part returns instead of a result, no check passes and none fails by our fault."""
    report = grade(run, f"def thing():\n    return {THINGS[thing]}\n\n{BODY}")
    assert [f"{c.id}: {c.message}" for c in report.checks if c.verdict == "internal"] == []
    assert [c.id for c in report.checks if c.points] == []


@pytest.mark.parametrize("kind", OTHERS)
def test_parts_of_the_wrong_kind_break_nothing(run, answer, kind):
    """A part that is no module, or one that learns nothing, is never our fault and has no right values."""
    parts = ("SelfAttention", "TransformerBlock", "PatchEmbedding", "ViT")
    wrong = "\n\n".join(OTHERS[kind].format(part=part) for part in parts)
    report = grade(run, overlay(answer, f"from torch import nn\n\n\n{wrong}"))
    assert [f"{c.id}: {c.message}" for c in report.checks if c.verdict == "internal"] == []
    own = [check for check in report.checks if check.part in parts]
    assert [c.id for c in own if c.points and c.kind in ("value", "gradient", "structure")] == []


@pytest.mark.parametrize("part", ["SelfAttention", "PatchEmbedding", "count_parameters"])
def test_one_part_alone_is_graded_on_its_own(run, answer, part):
    """A submission that defines one part earns that part's points, and the others are missing."""
    imports = "\n".join(line for line in answer.splitlines() if line.startswith(("import ", "from ")))
    report = grade(run, f"{imports}\n\n\n{split(answer, 'answer').unit(part).code}\n")
    assert {c.verdict for c in report.counted if c.part == part} == {"passed"}
    assert {c.verdict for c in report.counted if c.part != part} == {"missing"}


@pytest.mark.parametrize(
    ("variant", "part", "path"),
    [
        ("fused_qkv", "SelfAttention", "by layout"),
        ("library_attention", "TransformerBlock", "by layout"),
        ("channels_last_patches", "PatchEmbedding", "by layout"),
        ("projections_without_bias", "SelfAttention", "by property"),
        ("twins", "SelfAttention", "by name"),
    ],
)
def test_the_report_says_how_weights_were_matched(run, exercise, answer, variant, part, path):
    """An unusual answer earns full marks, and its value checks say by which path."""
    text = (exercise.variants_folder / f"{variant}.py").read_text(encoding="utf-8")
    report = grade(run, overlay(answer, text))
    assert [f"{c.id}: {c.message}" for c in report.counted if c.verdict != "passed"] == []
    assert path in {check.path for check in report.checks if check.part == part}


@pytest.mark.slow
def test_the_answer_passes_at_any_seed(exercise, zygote, answer):
    """Twenty secret seeds: no check fails the answer by bad luck or a tolerance that is too narrow."""
    for seed in range(1000, 1020):
        with Run(zygote, RunPlan(exercise, RunSettings("quick", seed), hidden=True)) as run:
            report = grade(run, answer)
        assert [c.id for c in report.counted if c.verdict != "passed"] == [], seed


def test_statistics_that_drift_cost_nothing_and_are_told(run, answer):
    """A frozen backbone whose batch norms go on counting earns every point, and the report has advice."""
    assert grade(run, answer).advice == ()
    hook = "    backbone.register_forward_pre_hook(keep_backbone_in_eval)\n"
    assert hook in answer
    report = grade(run, answer.replace(hook, ""))
    assert report.score == report.max_score
    [advice] = report.advice
    assert "batch statistics of your backbone still move" in advice
