"""What train_char_lm must do, tried on a small model of the kit whose state never forgets.

With a learning rate of 0 the weights stay, so the losses tell how the state was handed on.
"""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import CharToy


def consecutive(oracle, count, rows, steps, V):
    """Batches whose rows read on from one to the next."""
    ids = oracle.integers(rows, count * steps + 1, low=0, high=V)
    starts = range(0, count * steps, steps)
    return [(ids[:, i : i + steps], ids[:, i + 1 : i + steps + 1]) for i in starts]


def losses(found, epochs):
    """The returned losses as a tensor, once they are one number for each epoch."""
    compare.require(isinstance(found, list), "train_char_lm(...) is no list of losses")
    observe("number of losses", torch.tensor(float(len(found))))
    compare.require(len(found) == epochs, f"{epochs} epochs gave {len(found)} losses")
    numbers = [compare.number(value, what="a loss") for value in found]
    return torch.tensor(numbers, dtype=torch.float64)


@check(
    part="train_char_lm",
    points=1,
    kind="value",
    help="Cross-entropy over all characters of the batch, as a float; one number for each epoch.",
)
def training_returns_a_mean_loss_for_each_epoch(submission, oracle):
    """it returns the mean loss per character of each epoch, in nats"""
    for rows, steps, epochs in ((3, 5, 2), (1, 8, 1)):
        toy, batches = CharToy(6, seed=oracle.seed()), consecutive(oracle, 1, rows, steps, 6)
        found = losses(submission.train_char_lm(toy, batches, epochs=epochs, lr=0.0), epochs)
        expected = losses(oracle.train_char_lm(toy, batches, epochs=epochs, lr=0.0), epochs)
        compare.close(found[0], expected[0], what="the loss of the first epoch", rtol=1e-5, atol=1e-5)


@check(
    part="train_char_lm",
    points=2,
    kind="training",
    needs=("training_returns_a_mean_loss_for_each_epoch",),
    help="The state after a batch, detached, starts the next one; an epoch starts without a state.",
)
def training_carries_the_state_within_an_epoch(submission, oracle):
    """the state goes on from batch to batch, detached, and begins anew with each epoch"""
    toy, batches = CharToy(5, sharpness=4.0, seed=oracle.seed()), consecutive(oracle, 4, 2, 3, 5)
    found = losses(submission.train_char_lm(toy, batches, epochs=3, lr=0.0), 3)
    expected = losses(oracle.train_char_lm(toy, batches, epochs=3, lr=0.0), 3)
    compare.close(found, expected, what="the loss of each epoch", rtol=1e-5, atol=1e-5)


@check(
    part="train_char_lm",
    points=2,
    kind="training",
    needs=("training_returns_a_mean_loss_for_each_epoch",),
    help="Clip between backward() and step(): before, there is no gradient, and after, it has been used.",
)
def training_clips_the_gradient_before_the_step(submission, oracle):
    """with a clip near zero the weights hardly move, with a large one they do"""
    moved = []
    for clip in (1e3, 1e-10):
        toy, batches = CharToy(5, sharpness=6.0, seed=oracle.seed()), consecutive(oracle, 1, 2, 4, 5)
        before = oracle.state(toy)
        losses(submission.train_char_lm(toy, batches, epochs=4, lr=0.01, clip=clip), 4)
        oracle.train_char_lm(toy, batches, epochs=4, lr=0.01, clip=clip)
        after = submission.state(toy)
        changes = [
            compare.tensor(after.get(name), what=name, shape=tuple(value.shape)) - value
            for name, value in before.items()
            if value.is_floating_point()
        ]
        change = torch.cat([value.flatten() for value in changes])
        observe(f"change of the weights with clip={clip:g}", change)
        moved.append(float(change.abs().max()))
    compare.require(moved[0] > 1e-3, "with a clip that never acts, the weights do not move")
    compare.require(moved[1] < 0.1 * moved[0], "with clip=1e-10 the weights move as if nothing were clipped")


@check(
    part="train_char_lm",
    points=2,
    kind="training",
    needs=("training_carries_the_state_within_an_epoch",),
    help="For each batch: loss, clear old gradients, backward, clip the norm of all together, step of Adam.",
)
def training_moves_the_weights_as_the_reference_does(submission, oracle):
    """after two epochs of Adam over three batches the weights are those of the reference"""
    for clip, sharpness in ((0.02, 1.0), (0.3, 5.0), (1e3, 5.0)):  # always longer, and never
        toy, batches = CharToy(5, sharpness=sharpness, seed=oracle.seed()), consecutive(oracle, 3, 2, 4, 5)
        found = losses(submission.train_char_lm(toy, batches, epochs=2, lr=0.05, clip=clip), 2)
        expected = losses(oracle.train_char_lm(toy, batches, epochs=2, lr=0.05, clip=clip), 2)
        state, right = submission.state(toy), oracle.state(toy)
        for name, value in right.items():
            if value.is_floating_point():
                compare.close(state.get(name), value, what=f"{name} after training, clip={clip}", atol=1e-6)
        compare.close(found, expected, what="the losses on the way", rtol=1e-5, atol=1e-5)
