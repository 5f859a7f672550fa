"""What evaluate must return."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import advise, observe
from dlgrade.specs import Batches, Toy


@check(
    part="evaluate",
    points=2,
    kind="value",
    help="Count correct predictions and examples over all batches, and divide once at the end.",
)
def evaluation_returns_the_share_of_correct_predictions(submission, oracle):
    """it returns correct predictions / examples, also when the last batch is smaller or left out"""
    found = []
    for examples, size, classes, drop in (
        (23, 8, 3, False),
        (9, 4, 4, False),
        (12, 12, 2, False),
        (11, 4, 2, True),
    ):
        x, y = oracle.normal(examples, 5).double(), oracle.integers(examples, low=0, high=classes)
        toy = Toy(("Linear", 5, classes), seed=oracle.seed())
        batches = Batches(x, y, batch_size=size, drop_last=drop)
        accuracy = submission.evaluate(toy, batches, "cpu")
        if isinstance(accuracy, torch.Tensor):
            advise("evaluate returns a tensor, the contract says float: end with .item() or float(...).")
        what = f"the accuracy on {examples} examples in batches of {size}{', the last left out' * drop}"
        found.append((compare.number(accuracy, what=what), oracle.evaluate(toy, batches, "cpu"), what))
    observe("the accuracies", torch.tensor([accuracy for accuracy, *_ in found]).double())
    for accuracy, expected, what in found:
        compare.close(accuracy, expected, what=what, atol=1e-5)


@check(
    part="evaluate",
    points=2,
    kind="property",
    needs=("evaluation_returns_the_share_of_correct_predictions",),
    help="Dropout and batch normalisation differ between the modes: switch the mode before the first batch.",
)
def evaluation_switches_to_eval_mode(submission, oracle):
    """a model that comes in train mode is evaluated in eval mode"""
    found = []
    for _ in range(2):
        x, y = oracle.normal(203, 5).double(), oracle.integers(203, low=0, high=4)
        toy = Toy(
            ("Linear", 5, 6), ("TrainModeShift",), ("BatchNorm1d", 6), ("Linear", 6, 4), seed=oracle.seed()
        )
        batches = Batches(x, y, batch_size=32)
        for side in (submission, oracle):
            side.method(toy, "train", True)
        accuracy = compare.number(submission.evaluate(toy, batches, "cpu"), what="the accuracy")
        found.append(
            (accuracy, oracle.evaluate(toy, batches, "cpu"), submission.state(toy), oracle.state(toy))
        )
    observe("the accuracies", torch.tensor([float(accuracy) for accuracy, *_ in found]).double())
    for accuracy, expected, after, before in found:
        compare.close(accuracy, expected, what="the accuracy in eval mode", atol=1e-5)
        compare.state(after, before, what="after an evaluation")
