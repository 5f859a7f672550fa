"""What train_one_epoch must do to a model, and what it returns."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import advise, observe
from dlgrade.specs import Batches, Optim, Toy


@check(
    part="train_one_epoch",
    points=3,
    kind="training",
    help="For each batch, in this order: clear the old gradients, compute the loss, backward, step.",
)
def training_moves_the_weights_as_the_reference_does(submission, oracle):
    """after one epoch over three batches the weights are those of the reference"""
    x, y = oracle.normal(10, 6).double(), oracle.integers(10, low=0, high=3)
    toy = Toy(("Linear", 6, 5), ("Tanh",), ("Linear", 5, 3), seed=oracle.seed())
    batches, optimizer = Batches(x, y, batch_size=4), Optim("SGD", of=toy, lr=0.3)
    loss = submission.train_one_epoch(toy, batches, optimizer, "cpu")
    oracle.train_one_epoch(toy, batches, optimizer, "cpu")
    ours, theirs = oracle.state(toy), submission.state(toy)
    compare.state(theirs, ours, what="after one epoch")
    compare.number(loss, what="the returned loss")


@check(
    part="train_one_epoch",
    points=2,
    kind="value",
    help="F.cross_entropy gives the mean of one batch. How much does a last, smaller batch count? Count the "
    "examples of the batches: a loader may leave some of its data set out.",
)
def training_returns_the_mean_loss_of_the_examples(submission, oracle):
    """it returns the mean loss per example, also when the last batch is smaller or left out"""
    found = []
    for examples, size, drop in ((9, 4, False), (7, 3, False), (8, 4, False), (7, 3, True)):
        x, y = oracle.normal(examples, 4).double(), oracle.integers(examples, low=0, high=3)
        toy = Toy(("Linear", 4, 3), seed=oracle.seed())
        batches, optimizer = Batches(x, y, batch_size=size, drop_last=drop), Optim("SGD", of=toy, lr=0.5)
        loss = submission.train_one_epoch(toy, batches, optimizer, "cpu")
        if isinstance(loss, torch.Tensor):
            advise(
                "train_one_epoch returns a tensor, the contract says float: end with .item() or float(...), "
                "or a loss that is kept may keep its graph in memory."
            )
        expected = oracle.train_one_epoch(toy, batches, optimizer, "cpu")
        what = f"the loss returned for {examples} examples in batches of {size}{', the last left out' * drop}"
        found.append((compare.number(loss, what=what), expected, what))
    observe("the losses", torch.tensor([loss for loss, *_ in found]).double())
    for loss, expected, what in found:
        compare.close(loss, expected, what=what, rtol=1e-5, atol=1e-5)
