"""What count_parameters must count."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import Toy


@check(
    part="count_parameters",
    points=1,
    kind="value",
    help="Is every number of every parameter counted, and nothing that is no parameter?",
)
def parameters_are_counted_and_buffers_are_not(submission, oracle):
    """the count is that of all parameters, biases included, buffers left out"""
    for layers in (
        [("Linear", 6, 3)],
        [("Conv2d", 3, 4, 3), ("BatchNorm2d", 4), ("PReLU", 4)],
        [("GRU", 3, 5, 2), ("Embedding", 7, 2)],
        [("MultiheadAttention", 4, 2), ("Linear", 4, 3)],
        [("FrozenLinear", 4, 3), ("Linear", 3, 2)],
    ):
        toy = Toy(*layers, seed=oracle.seed())
        _same_count(submission.count_parameters(toy), oracle.count_parameters(toy), layers)


@check(
    part="count_parameters",
    points=1,
    kind="value",
    help="Is trainable_only used, and is requires_grad asked of each parameter?",
)
def frozen_parameters_are_left_out_on_request(submission, oracle):
    """with trainable_only, frozen parameters are not counted"""
    layers = [("Linear", 5, 4), ("FrozenLinear", 4, 7), ("Linear", 7, 2)]
    toy = Toy(*layers, seed=oracle.seed())
    counted = submission.count_parameters(toy, trainable_only=True)
    _same_count(counted, oracle.count_parameters(toy, trainable_only=True), layers)


def _same_count(counted, expected, layers):
    number = compare.number(counted, what="the count")
    names = " + ".join(layer[0] for layer in layers)
    observe(f"count of {names}", torch.tensor(number))
    compare.same(counted, expected, what=f"the count of {names}")
