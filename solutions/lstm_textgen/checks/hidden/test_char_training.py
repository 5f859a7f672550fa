"""Modes and devices in train_char_lm."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import BatchList, CharToy


def consecutive(oracle, count, rows, steps, V):
    ids = oracle.integers(rows, count * steps + 1, low=0, high=V)
    starts = range(0, count * steps, steps)
    return [(ids[:, i : i + steps], ids[:, i + 1 : i + steps + 1]) for i in starts]


def losses(found, epochs):
    compare.require(isinstance(found, list), "train_char_lm(...) is no list of losses")
    observe("number of losses", torch.tensor(float(len(found))))
    compare.require(len(found) == epochs, f"{epochs} epochs gave {len(found)} losses")
    numbers = [compare.number(value, what="a loss") for value in found]
    return torch.tensor(numbers, dtype=torch.float64)


@check(
    part="train_char_lm",
    points=1,
    kind="training",
    needs=("training_returns_a_mean_loss_for_each_epoch",),
    help="The model may come from sampling, in eval mode: switch its mode before the first batch.",
)
def training_of_a_character_model_is_in_train_mode(submission, oracle):
    """a model that comes in eval mode is trained in train mode"""
    toy, batches = CharToy(7, sharpness=3.0, seed=oracle.seed()), consecutive(oracle, 2, 2, 5, 7)
    for side in (submission, oracle):
        side.method(toy, "train", False)
    found = losses(submission.train_char_lm(toy, batches, epochs=1, lr=0.0), 1)
    expected = losses(oracle.train_char_lm(toy, batches, epochs=1, lr=0.0), 1)
    compare.close(found, expected, what="the loss in train mode", rtol=1e-5, atol=1e-5)


@check(
    part="train_char_lm",
    points=1,
    kind="property",
    needs=("training_carries_the_state_within_an_epoch",),
    help="Move x and y of each batch with .to(device), whatever the device is.",
)
def training_of_a_character_model_moves_its_batches(submission, oracle):
    """each batch is moved to the device before it is used"""
    toy = CharToy(5, sharpness=2.0, seed=oracle.seed())
    pairs = consecutive(oracle, 2, 3, 4, 5)
    for batches in (BatchList(pairs), BatchList(pairs, elsewhere=True)):
        found = losses(submission.train_char_lm(toy, batches, epochs=1, lr=0.0, device="cpu"), 1)
        expected = losses(oracle.train_char_lm(toy, batches, epochs=1, lr=0.0, device="cpu"), 1)
        compare.close(found, expected, what="the loss over the batches", rtol=1e-5, atol=1e-5)
