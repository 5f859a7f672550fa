"""The exercise of the cohort benchmark: one answer and the same six checks for three graders."""

from __future__ import annotations

from pathlib import Path

ANSWER = '''\
"""A convolution and a small network."""

import torch
from torch import nn


def convolve2d(image, kernel):
    """The sum of kernel times window, for each window of the image."""
    rows, columns = image.shape[0] - kernel.shape[0] + 1, image.shape[1] - kernel.shape[1] + 1
    result = torch.zeros(rows, columns, dtype=image.dtype)
    for i in range(rows):
        for j in range(columns):
            window = image[i : i + kernel.shape[0], j : j + kernel.shape[1]]
            result[i, j] = (window * kernel).sum()
    return result


class SimpleCNN(nn.Module):
    """Two convolutions and a linear layer: (N, 3, 32, 32) -> (N, num_classes)."""

    def __init__(self, num_classes):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(4),
        )
        self.head = nn.Linear(32 * 4, num_classes)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))
'''

# name, and the body as a notebook's cell runs it
CELLS = {
    "convolve2d_sums": """\
import torch
torch.manual_seed(1)
image, kernel = torch.randn(8, 9), torch.randn(3, 3)
expected = torch.nn.functional.conv2d(image[None, None], kernel[None, None])[0, 0]
assert torch.allclose(convolve2d(image, kernel), expected, atol=1e-5)""",
    "convolve2d_takes_other_kernels": """\
import torch
torch.manual_seed(2)
image, kernel = torch.randn(7, 5), torch.randn(2, 4)
expected = torch.nn.functional.conv2d(image[None, None], kernel[None, None])[0, 0]
assert torch.allclose(convolve2d(image, kernel), expected, atol=1e-5)""",
    "cnn_output_shape": """\
import torch
assert SimpleCNN(10)(torch.randn(4, 3, 32, 32)).shape == (4, 10)""",
    "cnn_other_class_count": """\
import torch
assert SimpleCNN(7)(torch.randn(2, 3, 32, 32)).shape == (2, 7)""",
    "cnn_gradients": """\
import torch
model = SimpleCNN(10)
model(torch.randn(4, 3, 32, 32)).square().sum().backward()
assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())""",
    "cnn_loss_falls": """\
import torch
torch.manual_seed(3)
model, x, y = SimpleCNN(10), torch.randn(32, 3, 32, 32), torch.randint(0, 10, (32,))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
losses = []
for step in range(20):
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < losses[0]""",
}

CHECKS = '''\
"""The six checks."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.specs import Steps


@check(part="convolve2d", points=1, kind="value", help="Add up kernel times window.")
def convolve2d_sums(submission, oracle):
    """each output is the sum of kernel times window"""
    image, kernel = oracle.normal(8, 9), oracle.normal(3, 3)
    compare.close(submission.convolve2d(image, kernel), oracle.convolve2d(image, kernel), what="the result")


@check(part="convolve2d", points=1, kind="value", help="A kernel need not be square.")
def convolve2d_takes_other_kernels(submission, oracle):
    """kernels of any size are taken"""
    image, kernel = oracle.normal(7, 5), oracle.normal(2, 4)
    compare.close(submission.convolve2d(image, kernel), oracle.convolve2d(image, kernel), what="the result")


@check(part="SimpleCNN", points=1, kind="shape", help="One score for each class.")
def cnn_output_shape(submission, oracle):
    """the output has a score for each class"""
    model = submission.build("SimpleCNN", 10)
    compare.tensor(model(oracle.normal(4, 3, 32, 32)), what="the scores", shape=(4, 10))


@check(part="SimpleCNN", points=1, kind="shape", help="Use num_classes.")
def cnn_other_class_count(submission, oracle):
    """the number of classes is an argument"""
    model = submission.build("SimpleCNN", 7)
    compare.tensor(model(oracle.normal(2, 3, 32, 32)), what="the scores", shape=(2, 7))


@check(part="SimpleCNN", points=1, kind="gradient", help="Register every layer and use it.")
def cnn_gradients(submission, oracle):
    """every parameter gets a gradient"""
    model = submission.build("SimpleCNN", 10)
    loss = model(oracle.normal(4, 3, 32, 32)).square().sum()
    gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    compare.require(
        all(g is not None and float(g.abs().sum()) > 0 for g in gradients), "a parameter has no gradient"
    )


@check(part="SimpleCNN", points=1, kind="training", help="Do all layers take part?")
def cnn_loss_falls(submission, oracle):
    """the loss falls in 20 steps"""
    model = submission.build("SimpleCNN", 10).train()
    x, y = oracle.normal(32, 3, 32, 32), oracle.integers(32, low=0, high=10)
    before = torch.nn.functional.cross_entropy(model(x), y)
    submission.method(Steps(of=model, x=x, y=y, lr=1e-3), "run", 20)
    after = torch.nn.functional.cross_entropy(model(x), y)
    compare.require(bool(after < before), "the loss did not fall")
'''

DECLARATION = """\
id = "cnn"
title = "A convolution and a small network"
summary = "Six checks."
graded_tier = "quick"
preload = ["torch"]
data = []

[[parts]]
name = "convolve2d"
source = "reference/cnn.py"
hints = ["two loops", "sum the products"]

[[parts]]
name = "SimpleCNN"
source = "reference/cnn.py"
hints = ["two convolutions", "flatten, then a linear layer"]
"""

MISTAKES = """\
[[mistake]]
name = "flipped"
part = "convolve2d"
caught_by = "convolve2d_sums"
sentence = "You flip the kernel."
edits = [["(window * kernel)", "(window * kernel.flip(0, 1))"]]
"""


def submission_text(number: int) -> str:
    """A student's answer: the texts differ, so that no grader can take one result for another."""
    return f"# student {number}\n{ANSWER}"


def write_course(root: Path) -> None:
    """The exercise as a dlgrade course, not yet built."""
    staff = root / "solutions" / "cnn"
    texts = {
        root / "reference" / "cnn.py": ANSWER,
        staff / "exercise.toml": DECLARATION,
        staff / "README.md": "# A convolution and a small network\n",
        staff / "mistakes.toml": MISTAKES,
        staff / "checks" / "visible" / "test_cnn.py": CHECKS,
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (staff / "checks" / "hidden").mkdir()
    (root / "assignments").mkdir()
