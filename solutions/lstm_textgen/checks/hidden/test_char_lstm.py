"""Layers and logits of CharLSTM."""

from math import prod

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.outcome import CheckFailed


def built(submission, *args):
    model = submission.build("CharLSTM", *args)
    if not isinstance(model, torch.nn.Module):
        raise CheckFailed("CharLSTM is no nn.Module")
    return model.eval()


def logits_of(found):
    compare.require(
        isinstance(found, list | tuple) and len(found) == 2, "the result is no pair (logits, state)"
    )
    return found[0]


@check(
    part="CharLSTM",
    points=2,
    kind="structure",
    needs=("char_lstm_gives_logits_at_every_step_and_a_state",),
    help="Is every layer used, and num_layers given to the LSTM?",
)
def char_lstm_stacks_layers_that_all_learn(submission, oracle):
    """each further layer adds an LSTM layer's weights, and all parameters learn, whatever the character"""
    width, counts = 5, []
    for layers in (1, 2, 3):
        model = built(submission, 9, 4, width, layers)
        counts.append(sum(prod(entry.shape) for entry in model.layout.parameters))
        ids = oracle.integers(4, 6, low=0, high=9)
        structure.every_parameter_learns(model, ids, steps=2, read=logits_of)
    reached = [reached_by(model, oracle, character) for character in range(9)]
    observe("numbers that a text of one character teaches", torch.tensor(reached).double())
    compare.require(len(set(reached)) == 1, "a text of one character teaches more than one of another")
    added = [counts[1] - counts[0], counts[2] - counts[1]]
    observe("numbers that a layer adds", torch.tensor(added).double())
    compare.require(min(added) >= 8 * width**2, "a further layer adds too few parameters for an LSTM")


def reached_by(model, oracle, character):
    """How many numbers in the parameters have a gradient other than 0 after a text of one character."""
    logits = compare.tensor(
        logits_of(model(torch.full((2, 4), character))), what="the logits", shape=(2, 4, 9)
    )
    loss = (logits * oracle.normal(*logits.shape)).sum()
    gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return sum(int((gradient != 0).sum()) for gradient in gradients if gradient is not None)


@check(
    part="CharLSTM",
    points=1,
    kind="property",
    needs=("char_lstm_gives_logits_at_every_step_and_a_state",),
    help="Cross-entropy applies the softmax itself: return what the linear layer gives.",
)
def char_lstm_returns_logits(submission, oracle):
    """the outputs are logits, not probabilities"""
    model = built(submission, 6, 4, 5, 1)
    with torch.no_grad():
        logits = logits_of(model(oracle.integers(3, 4, low=0, high=6)))
    logits = compare.tensor(logits, what="the logits", shape=(3, 4, 6)).double()
    sums = bool(((logits.sum(2) - 1).abs() < 1e-4).all())
    observe("do rows sum to one", torch.tensor(float(sums)))
    compare.require(not sums, "the outputs of each step sum to 1: these are probabilities")


@check(
    part="CharLSTM",
    points=1,
    kind="property",
    needs=("char_lstm_gives_logits_at_every_step_and_a_state",),
    help="embedded.new_zeros(...) has the dtype and device of the layers, torch.zeros(...) has not.",
)
def char_lstm_works_in_float64(submission, oracle):
    """with layers in float64, logits and state are float64"""
    model = built(submission, 6, 4, 5, 2).double()
    with torch.no_grad():
        found = model(oracle.integers(3, 4, low=0, high=6))
    logits = compare.tensor(logits_of(found), what="the logits", shape=(3, 4, 6), dtype=torch.float64)
    compare.require(isinstance(found[1], list | tuple) and len(found[1]) == 2, "the state is no pair (h, c)")
    for name, value in zip("hc", found[1], strict=True):
        compare.tensor(value, what=f"{name} of the state", shape=(2, 3, 5), dtype=logits.dtype)
