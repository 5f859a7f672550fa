"""Modes, devices, gradients of different lengths and no batches at all in train_char_lm."""

import torch
from torch.nn.functional import cross_entropy

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import BatchList, CharToy, local


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


@check(
    part="train_char_lm",
    points=1,
    kind="training",
    needs=("training_carries_the_state_within_an_epoch",),
    help="Only a gradient that is longer than clip is scaled, and it is the gradient of the mean loss.",
)
def training_leaves_short_gradients_as_they_are(submission, oracle):
    """of gradients of the mean loss, the longer ones are scaled down to clip and the others stay"""
    for acts in (False, True):
        toy, batches = CharToy(5, sharpness=5.0, seed=oracle.seed()), consecutive(oracle, 4, 2, 4, 5)
        found = norms(local(toy).train(), batches)
        clip = (min(found) * max(found)) ** 0.5 if acts else 1e6
        losses(submission.train_char_lm(toy, batches, epochs=2, lr=0.003, clip=clip), 2)
        oracle.train_char_lm(toy, batches, epochs=2, lr=0.003, clip=clip)
        state, right = submission.state(toy), oracle.state(toy)
        for name, value in right.items():
            if value.is_floating_point() and acts:
                compare.close(state.get(name), value, what=f"{name} after training", atol=1e-6)
            elif value.is_floating_point():
                other = compare.tensor(state.get(name), what=name, shape=tuple(value.shape))
                moved = float((other - value).abs().max()) > 3e-4
                observe(f"does a clip that never acts change {name}", torch.tensor(float(moved)))


def norms(model, batches):
    """Length of each batch's gradient before any step."""
    found, state = [], None
    for x, y in batches:
        logits, state = model(x, state)
        loss = cross_entropy(logits.flatten(0, 1), y.flatten())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        state = tuple(part.detach() for part in state)
        found.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))
    return found


@check(
    part="train_char_lm",
    points=1,
    kind="property",
    needs=("training_returns_a_mean_loss_for_each_epoch",),
    help="Raise ValueError when there is no batch: a mean over nothing does not exist.",
)
def training_refuses_an_empty_list(submission, oracle):
    """no batches are a ValueError"""
    toy = CharToy(5, seed=oracle.seed())
    compare.raises(
        "ValueError",
        lambda: submission.train_char_lm(toy, [], epochs=1, lr=0.0),
        what="train_char_lm without batches",
    )
