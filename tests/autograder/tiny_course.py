"""A course of one tiny exercise with every kind of check, for tests of the engine on real processes."""

import textwrap
from pathlib import Path

from dlgrade.build import build
from dlgrade.course import Course

REFERENCE = '''\
"""Reference of the tiny course."""

import torch
from torch import nn


def double(x):
    """Twice the input."""
    return 2 * x


class Affine(nn.Module):
    """A linear layer.

    Args:
        width: outputs.
    """

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
'''

DECLARATION = """\
id = "tiny"
title = "A tiny exercise"
summary = "Two functions and a module."
graded_tier = "cpu"
preload = ["torch"]
data = []

[limits]
request_seconds = 3
quick_seconds = 30

[[parts]]
name = "double"
source = "reference/tiny.py"
hints = ["think of addition", "x + x"]

[[parts]]
name = "Affine"
source = "reference/tiny.py"
hints = ["one layer is enough", "nn.Linear"]

[[parts]]
name = "descend"
source = "reference/tiny.py"
hints = ["four calls", "zero_grad, backward, step"]
"""

VISIBLE = '''\
"""Visible checks of the tiny course."""

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


@check(part="Affine", points=1, kind="property", help="rows on their own")
def affine_treats_rows_on_their_own(submission, oracle):
    """the result for a row does not depend on the other rows"""
    model = submission.build("Affine", 4)
    x = oracle.normal(5, 3)
    whole = compare.tensor(model(x), what="Affine(4)(x)", shape=(5, 4))
    compare.close(model(x[:1]), whole[:1], what="the first row alone")


@check(
    part="Affine",
    points=2,
    kind="value",
    help="see the statement",
    otherwise=("affine_treats_rows_on_their_own",),
)
def affine_is_affine(submission, oracle):
    """with the reference's weights the output is the reference's"""
    ours = oracle.build("Affine", 4)
    theirs = submission.build("Affine", 4, weights=ours)
    x = oracle.normal(5, 3)
    compare.close(theirs(x), ours(x), what="Affine(4)(x)")
'''

HIDDEN = '''\
"""Hidden checks of the tiny course."""

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
    theirs, ours = submission.state(toy), oracle.state(toy)
    for name in ours:
        compare.close(theirs[name], ours[name], what=name)


@check(part="double", points=1, kind="value", help="large numbers too")
def double_doubles_large_numbers(submission, oracle):
    """secret title"""
    x = 1000 * oracle.normal(4)
    compare.close(submission.double(x), oracle.double(x), what="double(x)")


@check(part="Affine", points=1, kind="training", tier="cpu", help="needs the cpu tier")
def affine_can_be_trained(submission, oracle):
    """a check of a later tier"""
    compare.tensor(submission.build("Affine", 2)(oracle.normal(2, 3)), what="Affine(2)(x)", shape=(2, 2))
'''

MISTAKES = """\
[[mistake]]
name = "tripled"
part = "double"
caught_by = "double_doubles"
sentence = "You add the input three times."
edits = [["2 * x", "3 * x"]]

[[mistake]]
name = "flattened"
part = "double"
caught_by = "double_keeps_the_shape"
sentence = "You flatten the input."
edits = [["2 * x", "(2 * x).flatten()"]]

[[mistake]]
name = "overflowing"
part = "double"
caught_by = "double_doubles_large_numbers"
sentence = "You clip at 100."
edits = [["2 * x", "(2 * x).clamp(-100, 100)"]]

[[mistake]]
name = "batch_mean_removed"
part = "Affine"
caught_by = "affine_treats_rows_on_their_own"
sentence = "You subtract the mean of the batch, so rows depend on each other."
edits = [["self.linear(x)", "self.linear(x - x.mean(0))"]]

[[mistake]]
name = "rectified"
part = "Affine"
caught_by = "affine_is_affine"
sentence = "You apply a ReLU to the result."
edits = [["self.linear(x)", "self.linear(x).relu()"]]

[[mistake]]
name = "gradients_kept"
part = "descend"
caught_by = "descend_ends_where_the_reference_does"
sentence = "You never clear the gradients, so they add up over the batches."
edits = [["        optimizer.zero_grad()\\n", ""]]
"""

VARIANT = '''\
"""Renamed layer, and zero_grad after the step."""

from torch import nn


class Affine(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.anything = nn.Linear(3, width)

    def forward(self, x):
        return self.anything(x)


def descend(model, batches, optimizer):
    for x, y in batches:
        ((model(x) - y) ** 2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
'''


def make(root: Path) -> Course:
    """Write the course under `root` and build it."""
    staff = root / "solutions" / "tiny"
    files = {
        root / "reference" / "tiny.py": REFERENCE,
        staff / "exercise.toml": DECLARATION,
        staff / "README.md": "# Tiny\n",
        staff / "checks" / "visible" / "test_visible.py": VISIBLE,
        staff / "checks" / "hidden" / "test_hidden.py": HIDDEN,
        staff / "mistakes.toml": MISTAKES,
        staff / "variants" / "renamed.py": VARIANT,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "assignments").mkdir(exist_ok=True)
    course = Course(root)
    build(course, ["tiny"])
    return course


def answer_with(course: Course, **bodies: str) -> str:
    """The full answer with some of its definitions replaced by other source."""
    from dlgrade.units import overlay

    text = (course.root / "solutions" / "tiny" / "tiny.py").read_text()
    for body in bodies.values():
        text = overlay(text, textwrap.dedent(body))
    return text
