"""cnn_vs_vit through the real engine: garbage earns nothing, and nothing breaks."""

import pytest

from dlgrade.units import overlay
from tests.exercises.grading import earned, faults, grade, lost

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


@pytest.mark.parametrize("thing", THINGS)
def test_garbage_earns_nothing_and_breaks_nothing(run, thing):
    """Whatever every part returns instead of a result, no check passes and none fails by our fault."""
    report = grade(run, f"def thing():\n    return {THINGS[thing]}\n\n{BODY}")
    assert faults(report) == []
    assert earned(report) == []


@pytest.mark.parametrize("kind", OTHERS)
def test_parts_of_the_wrong_kind_break_nothing(run, answer, kind):
    """A part that is no module, or one that learns nothing, is never our fault and has no right values."""
    parts = ("SelfAttention", "TransformerBlock", "PatchEmbedding", "ViT")
    wrong = "\n\n".join(OTHERS[kind].format(part=part) for part in parts)
    report = grade(run, overlay(answer, f"from torch import nn\n\n\n{wrong}"))
    assert faults(report) == []
    own = [check for check in report.checks if check.part in parts]
    assert [c.id for c in own if c.points and c.kind in ("value", "gradient", "structure")] == []


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
    assert lost(report) == []
    assert path in {check.path for check in report.checks if check.part == part}


def test_statistics_that_drift_cost_nothing_and_are_told(run, answer):
    """A frozen backbone whose batch norms go on counting earns every point, and the report has advice."""
    assert grade(run, answer).advice == ()
    hook = "    backbone.register_forward_pre_hook(keep_backbone_in_eval)\n"
    assert hook in answer
    report = grade(run, answer.replace(hook, ""))
    assert report.score == report.max_score
    [advice] = report.advice
    assert "batch statistics of your backbone still move" in advice


def test_choosing_an_epoch_by_the_test_images_costs_nothing_and_is_told(run, answer):
    """Weights and accuracy of the epoch that was best on the test images earn every point, with advice."""
    loop, measured = "        for _ in range(epochs):\n", "accuracy = evaluate(model, test_loader, device)\n"
    step = "train_one_epoch(model, train_loader, optimizer, device)\n"
    keep = (
        "            if evaluate(model, test_loader, device) > accuracy:\n"
        "                accuracy = evaluate(model, test_loader, device)\n"
        "                kept = {key: value.clone() for key, value in model.state_dict().items()}\n"
    )
    assert [answer.count(text) for text in (loop, measured, step)] == [1, 1, 1]
    text = answer.replace(loop, f"        accuracy = -1.0\n{loop}")
    text = text.replace(measured, "model.load_state_dict(kept)\n").replace(step, step + keep)
    report = grade(run, text)
    assert lost(report) == []
    [advice] = report.advice
    assert "you keep the epoch that was best on the test images" in advice
