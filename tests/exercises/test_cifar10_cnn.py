"""cifar10_cnn through the real engine: garbage earns nothing, and nothing breaks."""

import pytest

from tests.exercises.grading import earned, faults, grade

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


@pytest.mark.parametrize("thing", THINGS)
def test_garbage_earns_nothing_and_breaks_nothing(run, thing):
    """Whatever every part returns instead of a result, no check passes and none fails by our fault."""
    text = f"{HEAD}\n\ndef thing():\n    return {THINGS[thing]}\n\n{BODY}"
    # Nine parameters are within the budget, and zeros of the right shape have the right shape.
    allowed = ("cifar10_cnn_stays_within_the_parameter_budget", "transforms_give_float_tensors")
    report = grade(run, text)
    assert faults(report) == []
    assert [check for check in earned(report) if check not in allowed] == []


@pytest.mark.parametrize("kind", OTHERS)
def test_objects_that_are_not_what_they_should_be_break_nothing(run, kind):
    """A part of the wrong kind, or one that ruins what it was given, is never our fault."""
    report = grade(run, f"{HEAD}\n\n{OTHERS[kind]}")
    assert faults(report) == []
    assert [c.id for c in report.checks if c.points and c.kind in ("value", "training")] == []
