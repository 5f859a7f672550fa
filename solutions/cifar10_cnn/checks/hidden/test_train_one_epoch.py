"""Modes, optimizers with a memory, and devices in train_one_epoch."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import Batches, Optim, Toy


@check(
    part="train_one_epoch",
    points=2,
    kind="training",
    help="The model may come from an evaluation: switch its mode before the first batch.",
)
def training_switches_to_train_mode(submission, oracle):
    """a model that comes in eval mode is trained in train mode, and a mean loss is that of train mode"""
    layers = ("Linear", 5, 6), ("BatchNorm1d", 6), ("TrainModeShift",), ("Linear", 6, 4), ("StepCounter",)
    runs = []
    for comes_in_train_mode in (True, False):
        toy, found, expected = _an_epoch(submission, oracle, layers, comes_in_train_mode)
        observe(f"loss of a model that comes in mode {comes_in_train_mode}", torch.tensor(found))
        runs.append((submission.state(toy), oracle.state(toy), found, expected))
    for theirs, ours, *_ in runs:
        compare.state(theirs, ours, what="after an epoch in train mode")
    _, found, expected = _an_epoch(submission, oracle, [("Linear", 5, 4)], True)
    if abs(found - expected) > 1e-5 * abs(expected):
        return  # not the mean, whatever the mode: another check's business
    for *_, found, expected in runs:
        compare.close(found, expected, what="the loss of an epoch in train mode", rtol=1e-5, atol=1e-5)


def _an_epoch(submission, oracle, layers, comes_in_train_mode):
    """Train a toy on both sides; the toy, the loss that is returned and the loss that is expected."""
    x, y = oracle.normal(11, 5).double(), oracle.integers(11, low=0, high=4)
    toy = Toy(*layers, seed=oracle.seed())
    batches, optimizer = Batches(x, y, batch_size=4), Optim("SGD", of=toy, lr=0.1)
    for side in (submission, oracle):
        side.method(toy, "train", comes_in_train_mode)
    found = submission.train_one_epoch(toy, batches, optimizer, "cpu")
    expected = oracle.train_one_epoch(toy, batches, optimizer, "cpu")
    return toy, compare.number(found, what="the returned loss"), expected


@check(
    part="train_one_epoch",
    points=2,
    kind="training",
    help="Use the optimizer you are given, batch by batch; it remembers the steps before.",
)
def training_continues_over_epochs(submission, oracle):
    """two epochs with one optimizer, Adam or SGD with momentum, end where the reference ends"""
    for name, settings in (("Adam", {"lr": 0.05}), ("SGD", {"lr": 0.2, "momentum": 0.9})):
        x, y = oracle.normal(13, 7).double(), oracle.integers(13, low=0, high=5)
        toy = Toy(("Linear", 7, 8), ("ReLU",), ("Linear", 8, 5), seed=oracle.seed())
        batches, optimizer = Batches(x, y, batch_size=5), Optim(name, of=toy, **settings)
        for _ in range(2):
            loss = submission.train_one_epoch(toy, batches, optimizer, "cpu")
            observe(
                f"loss of an epoch with {name}", torch.tensor(compare.number(loss, what="the returned loss"))
            )
            oracle.train_one_epoch(toy, batches, optimizer, "cpu")
        compare.state(submission.state(toy), oracle.state(toy), what=f"after two epochs with {name}")


@check(
    part="train_one_epoch",
    points=1,
    kind="property",
    help="Move inputs and labels of each batch with .to(device), whatever the device is.",
)
def training_moves_batches_to_the_device(submission, oracle):
    """each batch is moved to the device before it is used"""
    x, y = oracle.normal(6, 4).double(), oracle.integers(6, low=0, high=3)
    toy = Toy(("Linear", 4, 3), seed=oracle.seed())
    batches, optimizer = Batches(x, y, batch_size=4, elsewhere=True), Optim("SGD", of=toy, lr=0.5)
    loss = submission.train_one_epoch(toy, batches, optimizer, "cpu")
    oracle.train_one_epoch(toy, batches, optimizer, "cpu")
    compare.number(loss, what="the returned loss")
    compare.state(submission.state(toy), oracle.state(toy), what="after an epoch of moved batches")
