"""The course that the hostile suite attacks: small parts, checks of every kind, several hidden groups."""

from pathlib import Path

from dlgrade.build import build
from dlgrade.course import Course

REFERENCE = '''\
"""Reference of the hostile suite's course."""

import torch.nn.functional as F
from torch import nn


def double(x):
    """Twice the input."""
    return 2 * x


class Affine(nn.Module):
    """A linear layer from 3 to `width` numbers."""

    def __init__(self, width):
        super().__init__()  # given
        self.linear = nn.Linear(3, width)

    def forward(self, x):
        """(N, 3) -> (N, width)."""
        return self.linear(x)


def descend(model, batches, optimizer):
    """Train for one pass."""
    for x, y in batches:
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()


class Classifier(nn.Module):
    """Tells pictures of 32 by 32 pixels apart."""

    def __init__(self, classes):
        super().__init__()  # given
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.linear = nn.Linear(16 * 8 * 8, classes)

    def forward(self, x):
        """(N, 3, 32, 32) -> (N, classes)."""
        return self.linear(F.max_pool2d(self.conv(F.avg_pool2d(x, 2)).relu(), 2).flatten(1))


# @TOKEN@
'''

DECLARATION = """\
id = "target"
title = "The target of attacks"
summary = "Two functions and two modules."
graded_tier = "cpu"
preload = ["torch"]
data = ["cifar10"]

[limits]
request_seconds = 3
quick_seconds = 60
training_seconds = 20
submission_seconds = 90
memory_gb = 0.75
scratch_mb = 32
output_mb = 1
threads = 32
open_files = 128

[[parts]]
name = "double"
source = "reference/target.py"
hints = ["addition", "x + x"]

[[parts]]
name = "Affine"
source = "reference/target.py"
hints = ["one layer", "nn.Linear"]

[[parts]]
name = "descend"
source = "reference/target.py"
hints = ["four calls", "clear, compute, step"]

[[parts]]
name = "Classifier"
source = "reference/target.py"
hints = ["a convolution", "nn.Conv2d"]
"""

VISIBLE = '''\
"""Visible checks."""

import torch

from dlgrade import compare
from dlgrade.checks import check


@check(part="double", points=1, kind="shape", help="keep the shape")
def double_keeps_the_shape(submission, oracle):
    """the shape stays"""
    compare.tensor(submission.double(oracle.normal(2, 3)), what="double(x)", shape=(2, 3))


@check(part="double", points=2, kind="value", help="add it to itself", needs=("double_keeps_the_shape",))
def double_doubles(submission, oracle):
    """each value is doubled"""
    x = oracle.normal(2, 3)
    compare.close(submission.double(x), oracle.double(x), what="double(x)")


@check(part="Affine", points=1, kind="property", help="a sum of inputs")
def affine_adds_up(submission, oracle):
    """the results for two inputs and for their sum add up, and are not all the same"""
    model = submission.build("Affine", 4)
    x, y = oracle.normal(5, 3), oracle.normal(5, 3)
    zero, of_x, of_y, of_sum = (
        compare.tensor(model(v), what="Affine(4)(x)", shape=(5, 4)) for v in (0 * x, x, y, x + y)
    )
    compare.close(of_x + of_y, of_sum + zero, what="Affine(4)(x + y)", atol=1e-5)
    compare.differs(of_x, zero, by=1e-3, message="Affine(4)(x) does not depend on x")


@check(part="Affine", points=1, kind="property", help="nothing random")
def affine_repeats_itself(submission, oracle):
    """the same input gives the same result"""
    model, x = submission.build("Affine", 4), oracle.normal(5, 3)
    once = model(x)
    compare.close(model(x), once, what="the second result")


@check(part="Affine", points=2, kind="value", help="a matrix and a vector", otherwise=("affine_adds_up",))
def affine_is_affine(submission, oracle):
    """with the reference's weights the output is the reference's"""
    ours = oracle.build("Affine", 4)
    theirs = submission.build("Affine", 4, weights=ours)
    x = oracle.normal(5, 3)
    compare.close(theirs(x), ours(x), what="Affine(4)(x)")


@check(part="Affine", points=1, kind="gradient", help="keep the graph", needs=("affine_is_affine",))
def affine_has_the_right_gradient(submission, oracle):
    """the gradient of the input is the reference's"""
    ours = oracle.build("Affine", 4)
    theirs = submission.build("Affine", 4, weights=ours)
    gradients = []
    for model in (theirs, ours):
        x = torch.linspace(-1, 1, 15).reshape(5, 3).requires_grad_()
        output = model(x)
        compare.require(output.requires_grad, "the result has no gradient")
        (output**2).sum().backward()
        gradients.append(x.grad)
    compare.require(gradients[0] is not None, "no gradient reaches the input")
    compare.close(gradients[0], gradients[1], what="the gradient of the input")
'''

NUMBERS = '''\
"""Hidden checks of numbers. @TOKEN@"""

from dlgrade import compare
from dlgrade.checks import check


@check(part="double", points=1, kind="value", help="large numbers too")
def double_doubles_large_numbers(submission, oracle):
    """large numbers are doubled"""
    x = 1000 * oracle.normal(4)
    compare.close(submission.double(x), oracle.double(x), what="double(x)")
'''

ORDER = '''\
"""Hidden checks of order. @TOKEN@"""

from dlgrade import compare
from dlgrade.checks import check


@check(part="double", points=1, kind="property", help="nothing to remember")
def double_takes_rows_in_any_order(submission, oracle):
    """rows in another order and one by one give the same results"""
    x = oracle.normal(6, 2)
    whole = compare.tensor(submission.double(x), what="double(x)", shape=(6, 2))
    compare.close(submission.double(x.flip(0)).flip(0), whole, what="double(x) in another order")
    compare.close(submission.double(x[3:4]), oracle.double(x[3:4]), what="double of one row")
'''

TRAINING = '''\
"""Hidden checks of training. @TOKEN@"""

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.specs import Batches, Optim, Toy


@check(part="descend", points=3, kind="training", help="clear, compute, step")
def descend_ends_where_the_reference_does(submission, oracle):
    """the weights after one pass"""
    toy = Toy(("Linear", 3, 2), seed=oracle.seed())
    x, y = oracle.normal(10, 3).double(), oracle.normal(10, 2).double()
    arguments = toy, Batches(x, y, batch_size=4), Optim("SGD", of=toy, lr=0.1)
    submission.descend(*arguments)
    oracle.descend(*arguments)
    compare.state(submission.state(toy), oracle.state(toy), what="after one pass")


@check(part="Classifier", points=4, kind="accuracy", tier="cpu", data="cifar10", help="train longer")
def classifier_predicts(submission, contest):
    """pictures never seen are told apart"""
    contest.decide(submission, "Classifier", 10, limit=5000, epochs=3, batch_size=100, max_lr=0.01)
'''

MISTAKES = """\
[[mistake]]
name = "kept"
part = "double"
caught_by = "double_doubles"
sentence = "You return the input as it is."
edits = [["2 * x", "1 * x"]]
"""


CALIBRATION = """\
{"thresholds": {"classifier_predicts": {"generated stand-in for CIFAR-10": {"threshold": 0.3}}}}
"""


def make(root: Path, token: str) -> Course:
    """Write the course under `root`, with `token` in everything secret, and build it."""
    staff = root / "solutions" / "target"
    files = {
        root / "reference" / "target.py": REFERENCE,
        staff / "exercise.toml": DECLARATION,
        staff / "README.md": "# Target\n",
        staff / "checks" / "visible" / "test_visible.py": VISIBLE,
        staff / "checks" / "hidden" / "test_numbers.py": NUMBERS,
        staff / "checks" / "hidden" / "test_order.py": ORDER,
        staff / "checks" / "hidden" / "test_training.py": TRAINING,
        staff / "mistakes.toml": MISTAKES,
        staff / "calibration.json": CALIBRATION,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("@TOKEN@", token))
    (root / "assignments").mkdir(exist_ok=True)
    course = Course(root)
    build(course, ["target"])
    return course


def answer(course: Course) -> str:
    """The full answer, which gets every point."""
    return (course.root / "solutions" / "target" / "target.py").read_text()
