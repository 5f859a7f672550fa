"""The mode that finetune trains in, and where it puts its batches."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.specs import Batches, Optim
from dlgrade.specs_text import Schedule, TextToy


@check(
    part="finetune",
    points=2,
    kind="training",
    help="A model that has just been evaluated, or was loaded by from_pretrained, is in eval mode.",
)
def finetuning_switches_to_train_mode(submission, oracle):
    """a model that comes in eval mode is trained in train mode"""
    layers = ("TrainModeShift",), ("Linear", 4, 4), ("Softmax", 1), ("Linear", 4, 3)
    toy = TextToy(15, 4, *layers, seed=oracle.seed())
    optimizer = Optim("SGD", of=toy, lr=0.4)
    scheduler = Schedule("ExponentialLR", of=optimizer, gamma=0.7)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]).repeat(2, 1)
    labels = torch.tensor([2, 0, 1, 0, 1, 2])  # even classes keep gradients shorter than what is clipped
    batches = [(oracle.integers(6, 4, low=1, high=15), mask, labels) for _ in range(3)]
    for side in (submission, oracle):
        side.method(toy, "train", False)
        side.finetune(toy, batches, optimizer, scheduler)
    compare.state(
        submission.state(toy), oracle.state(toy), what="after training a model that came in eval mode"
    )


@check(
    part="finetune",
    points=2,
    kind="property",
    help="All three tensors of a batch have to go to the device, whatever kind of iterable the batches are.",
)
def finetuning_moves_batches_to_the_device(submission, oracle):
    """ids, mask and labels of each batch of a DataLoader are moved to the device"""
    toy = TextToy(15, 3, ("Linear", 3, 2), seed=oracle.seed())
    optimizer = Optim("SGD", of=toy, lr=0.3)
    scheduler = Schedule("StepLR", of=optimizer, step_size=2, gamma=0.5)
    ids, mask = oracle.integers(10, 5, low=1, high=15), torch.ones(10, 5, dtype=torch.int64)
    mask[::2, 3:] = 0
    batches = Batches(ids, mask, torch.arange(10) % 2, batch_size=4, elsewhere=True)
    submission.finetune(toy, batches, optimizer, scheduler, "cpu")
    oracle.finetune(toy, batches, optimizer, scheduler, "cpu")
    compare.state(submission.state(toy), oracle.state(toy), what="after three steps")
