"""What finetune must do to a model, and what it returns."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import Optim
from dlgrade.specs_text import Schedule, TextToy


def setting(oracle):
    """A toy that reads ids and a mask, with an optimizer and a rate that shrinks after every step."""
    toy = TextToy(20, 4, ("Softsign",), ("Linear", 4, 3), seed=oracle.seed())
    optimizer = Optim("SGD", of=toy, lr=0.8)
    return toy, optimizer, Schedule("ExponentialLR", of=optimizer, gamma=0.6)


def batches_of(oracle, sizes):
    """Batches of their own sizes and widths, with the three classes in turn.

    Even classes keep gradients short, so that clipping them at norm 1 is as good as leaving them alone.
    """
    batches = []
    for index, size in enumerate(sizes):
        width = 4 + index
        lengths = oracle.integers(size, low=1, high=width + 1)
        ids = oracle.integers(size, width, low=1, high=20)
        mask = (torch.arange(width) < lengths.unsqueeze(1)).long()
        batches.append((ids, mask, torch.arange(index, index + size) % 3))
    return batches


@check(
    part="finetune",
    points=3,
    kind="training",
    help="For each batch, in this order: clear the gradients, loss, backward, optimizer, scheduler.",
)
def finetuning_moves_the_weights_as_the_reference_does(submission, oracle):
    """after four batches the weights are those of the reference"""
    toy, optimizer, scheduler = setting(oracle)
    batches = batches_of(oracle, (6, 3, 6, 3))
    losses = submission.finetune(toy, batches, optimizer, scheduler, "cpu")
    oracle.finetune(toy, batches, optimizer, scheduler, "cpu")
    compare.state(submission.state(toy), oracle.state(toy), what="after four steps")
    compare.require(isinstance(losses, list | tuple | torch.Tensor), "finetune does not return a list")


@check(
    part="finetune",
    points=2,
    kind="value",
    help="One number for each step: the mean cross-entropy of the batch, before the weights move.",
)
def finetuning_returns_the_loss_of_each_step(submission, oracle):
    """it returns one mean cross-entropy for each batch, from before that batch's update, as a plain number"""
    for sizes in ((6, 3, 3), (3,), (6, 9)):
        toy, optimizer, scheduler = setting(oracle)
        batches = batches_of(oracle, sizes)
        losses = submission.finetune(submission.method(toy, "eval"), batches, optimizer, scheduler)
        expected = torch.tensor(oracle.finetune(toy, batches, optimizer, scheduler), dtype=torch.float64)
        losses = losses.tolist() if isinstance(losses, torch.Tensor) and losses.dim() == 1 else losses
        compare.require(isinstance(losses, list | tuple), "finetune does not return a list of losses")
        hanging = any(isinstance(loss, torch.Tensor) and loss.requires_grad for loss in losses)
        observe("do losses hold their graphs", torch.tensor(float(hanging)))
        numbers = [compare.number(loss, what="an entry of the list") for loss in losses]
        seen = torch.tensor(numbers, dtype=torch.float64)
        observe("losses returned, relative to the first", seen)
        compare.require(
            len(numbers) == len(sizes), f"{len(numbers)} losses are returned for {len(sizes)} steps"
        )
        compare.close(seen, expected, what="the losses", rtol=1e-5, atol=1e-6)
        compare.require(
            not hanging, "a loss of the list still holds the graph of its whole step: keep a float"
        )
