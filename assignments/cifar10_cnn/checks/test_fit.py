"""What fit returns, and where it leaves the weights when every epoch is better than the one before."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.specs import Batches, Toy

LISTS = ("train_loss", "val_loss", "val_accuracy", "lr")


def history_of(result, what):
    """The four lists of a result as tensors, and best_epoch as a number."""
    compare.require(isinstance(result, dict), f"{what} does not return a dict")
    history = {}
    for key in (*LISTS, "best_epoch"):
        compare.require(key in result, f"the dict that {what} returns has no '{key}'")
    for key in LISTS:
        entries = result[key].tolist() if hasattr(result[key], "tolist") else result[key]
        compare.require(isinstance(entries, list | tuple), f"'{key}' is not a list")
        numbers = [compare.number(entry, what=f"an entry of '{key}'") for entry in entries]
        history[key] = torch.tensor(numbers, dtype=torch.float64)
    history["best_epoch"] = compare.number(result["best_epoch"], what="best_epoch")
    return history


@check(
    part="fit",
    points=2,
    kind="value",
    help="Each list gets an entry per epoch: training loss, then validation loss and accuracy.",
)
def fit_reports_losses_and_accuracies_of_every_epoch(submission, oracle):
    """losses and accuracies of every epoch are in the history, means per example"""
    x, y = oracle.normal(10, 6).double(), oracle.integers(10, low=0, high=3)
    val_x, val_y = oracle.normal(11, 6).double(), oracle.integers(11, low=0, high=3)
    toy = Toy(("Linear", 6, 8), ("Tanh",), ("Linear", 8, 3), seed=oracle.seed())
    loaders = Batches(x, y, batch_size=4), Batches(val_x, val_y, batch_size=4)
    results = [side.fit(toy, *loaders, epochs=4, lr=0.05, patience=4) for side in (submission, oracle)]
    theirs, ours = (history_of(result, "fit") for result in results)
    for key in ("train_loss", "val_loss", "val_accuracy"):
        compare.close(theirs[key], ours[key], what=f"'{key}'", rtol=1e-5, atol=1e-5)


@check(
    part="fit",
    points=2,
    kind="training",
    help="Adam over all parameters with the given lr; one training pass and one validation an epoch.",
)
def fit_trains_as_the_reference_does(submission, oracle):
    """after three better and better epochs the weights are those of the reference's training"""
    x, y = oracle.normal(7, 5).double(), oracle.integers(7, low=0, high=3)
    val_x, val_y = oracle.normal(6, 5).double(), torch.zeros(6, dtype=torch.int64)
    toy = Toy(
        ("Linear", 5, 6), ("BatchNorm1d", 6), ("Linear", 6, 3), ("Scripted", [-4.0, -3.0, -2.0], 2),
        seed=oracle.seed(),
    )  # fmt: skip
    loaders = Batches(x, y, batch_size=4), Batches(val_x, val_y, batch_size=3)
    result = submission.fit(toy, *loaders, epochs=3, lr=0.01, patience=3, device="cpu")
    oracle.fit(toy, *loaders, epochs=3, lr=0.01, patience=3, device="cpu")
    compare.state(submission.state(toy), oracle.state(toy), what="after three epochs")
    compare.require(isinstance(result, dict), "fit does not return a dict")
