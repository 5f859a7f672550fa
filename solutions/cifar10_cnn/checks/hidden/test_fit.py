"""Schedule, early stopping and best weights of fit, with validation losses that the check dictates.

The toy's last layer adds a scripted number to the logit of class 0, the only class of the validation
split: the higher it is, the lower the loss of that epoch, whatever the weights are.
"""

import math

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import Batches, Toy

STEPS = 2  # batches in an epoch
EPOCHS = 19  # a decay after nine epochs is then seen twice, one that comes an epoch early once
FAR = 5.0  # so that batch statistics, which move from epoch to epoch, change no order of the losses
DIARY = "4._extra_state"


def scripted(oracle, losses, steps=STEPS, **settings):
    """Arguments of a fit whose validation loss of epoch e is about FAR * losses[e], in nats.

    Each epoch has so many training steps and as many validation batches.
    """
    toy = Toy(
        ("Linear", 5, 6),
        ("BatchNorm1d", 6),
        ("Linear", 6, 3),
        ("Scripted", [-FAR * float(loss) for loss in losses], steps),
        ("Diary",),
        seed=oracle.seed(),
    )
    x, y = oracle.normal(7, 5).double(), oracle.integers(7, low=0, high=3)
    val_x, val_y = oracle.normal(5, 5).double(), torch.zeros(5, dtype=torch.int64)
    train = Batches(x, y, batch_size=math.ceil(7 / steps), **settings)
    return toy, (train, Batches(val_x, val_y, batch_size=math.ceil(5 / steps), **settings))


def frozen(oracle, shifts, labels, steps=STEPS):
    """A fit at rate 0 and without statistics: the shifts of class 0 alone tell its epochs apart."""
    toy = Toy(
        ("Linear", 5, 6),
        ("Tanh",),
        ("Linear", 6, 3),
        ("Scripted", [float(shift) for shift in shifts], steps),
        ("Diary",),
        seed=oracle.seed(),
    )
    x, y = oracle.normal(7, 5).double(), oracle.integers(7, low=0, high=3)
    val_x = oracle.normal(len(labels), 5).double()
    train = Batches(x, y, batch_size=math.ceil(7 / steps))
    return toy, (train, Batches(val_x, torch.tensor(labels), batch_size=math.ceil(len(labels) / steps)))


def finished(side, toy, loaders, steps=STEPS, **options):
    """Run fit; what it returned, the end state, and [epochs run, states loaded] from the toy's diary."""
    result = side.fit(toy, *loaders, **options)
    state = side.state(toy)
    compare.require(isinstance(state, dict), "the toy has lost its state")
    diary = compare.tensor(state.get(DIARY), what="the toy's diary", shape=(3,)).double()
    return result, state, torch.stack([diary[0] / steps, diary[2]])


def entry(result, key):
    compare.require(isinstance(result, dict) and key in result, f"fit's dict has no '{key}'")
    return result[key]


def numbers(result, key):
    """A list of fit's history as a tensor."""
    entries = entry(result, key)
    entries = entries.tolist() if hasattr(entries, "tolist") else entries
    compare.require(isinstance(entries, list | tuple), f"'{key}' is not a list")
    return torch.tensor([compare.number(e, what=f"an entry of '{key}'") for e in entries]).double()


@check(
    part="fit",
    points=2,
    kind="training",
    help="StepLR(optimizer, 10, 0.1): step it at the end of each epoch, and note the rate before training.",
)
def fit_decays_the_learning_rate_every_ten_epochs(submission, oracle):
    """ten epochs run at lr, the next at a tenth of it, and the weights show it"""
    toy, loaders = scripted(oracle, [5 - 0.25 * epoch for epoch in range(EPOCHS)])
    options = {"epochs": EPOCHS, "lr": 0.02, "patience": EPOCHS}
    result, state, _ = finished(submission, toy, loaders, **options)
    expected, reference, _ = finished(oracle, toy, loaders, **options)
    rates = numbers(result, "lr")
    observe("rates relative to the first", rates / 0.02)
    compare.state(state, reference, what=f"after {EPOCHS} epochs")
    compare.close(rates, numbers(expected, "lr"), what="'lr'", rtol=1e-4, atol=1e-9)


@check(
    part="fit",
    points=3,
    kind="training",
    help="Count the epochs in a row without a new lowest loss; a new lowest one starts the count again.",
)
def fit_stops_after_patience_epochs_without_improvement(submission, oracle):
    """training stops after `patience` epochs in a row without a new lowest validation loss"""
    scripts = (  # steps in an epoch, patience, losses
        (1, 3, (3.0, 2.0, 2.5, 2.7, 1.5, 2.0, 2.2, 2.4, 1.0, 0.5)),  # the counter starts again at 1.5
        (1, 3, (3.0, 1.0, 2.6, 2.2, 1.8, 1.4, 1.3, 1.2)),  # better than the epoch before is not enough
        (2, 2, (1.0, 1.5, 2.0, 2.5, 3.0)),
        (1, 1, (3.0, 2.0, 2.5, 1.0, 0.5)),
        (1, 4, (2.0, 1.0, 2.0, 2.0)),  # too few epochs to stop early
    )
    cases = [
        (steps, *scripted(oracle, losses, steps), {"epochs": len(losses), "lr": 0.001, "patience": patience})
        for steps, patience, losses in scripts
    ]
    stills = (  # and the classes of the validation split
        (1, 2, (1.0, 1.0, 1.0, 1.0, 1.0), (0, 0, 0, 0)),  # an equal loss is no lower one
        (1, 1, (-9.0, -8.9999, -8.9998, -8.9997), (0, 0, 0, 0)),  # a loss that is lower by 0.0001 is
        (2, 2, (-8.0, 20.0, 20.0, 20.0, 20.0), (0, 0, 0, 1, 1)),  # a better accuracy at a higher loss is not
    )
    cases += [
        (
            steps,
            *frozen(oracle, shifts, labels, steps),
            {"epochs": len(shifts), "lr": 0.0, "patience": patience},
        )
        for steps, patience, shifts, labels in stills
    ]
    runs = []
    for steps, toy, loaders, options in cases:
        result, state, ran = finished(submission, toy, loaders, steps, **options)
        _, expected, reference = finished(oracle, toy, loaders, steps, **options)
        if options["lr"] == 0.0:  # then the weights stay, whenever training ends
            weights = compare.tensor(state.get("0.weight"), what="the toy's weights", shape=(6, 5))
            moved = not torch.equal(weights.double(), expected["0.weight"])
            observe("do weights move at rate 0", torch.tensor(float(moved)))
        best = compare.number(entry(result, "best_epoch"), what="best_epoch")
        observe("[epochs run, best epoch]", torch.stack([ran[0], torch.tensor(best).double()]))
        what = f"with patience {options['patience']} and {options['epochs']} epochs at most"
        runs.append((what, result, ran, reference))
    for what, result, ran, reference in runs:
        compare.close(ran[0], reference[0], what=f"the number of epochs run {what}")
        for key in ("train_loss", "val_loss", "val_accuracy", "lr"):
            length = len(numbers(result, key))
            compare.require(length == int(reference[0]), f"'{key}' has {length} entries {what}")


@check(
    part="fit",
    points=3,
    kind="training",
    help="Copy the state dict at each new lowest loss; load the copy when training ends, however it ends.",
)
def fit_ends_with_the_best_weights_and_buffers(submission, oracle):
    """the model ends with the weights and buffers of the epoch with the lowest validation loss"""
    runs = []
    for patience, losses in (
        (2, (3.0, 1.0, 2.0, 2.5, 0.5)),
        (9, (3.0, 2.0, 1.0, 2.0, 1.5)),
        (3, (1.0, 2.0, 3.0)),
    ):
        toy, loaders = scripted(oracle, losses)
        options = {"epochs": len(losses), "lr": 0.01, "patience": patience}
        result, state, ran = finished(submission, toy, loaders, **options)
        expected, reference, _ = finished(oracle, toy, loaders, **options)
        what = f"with patience {patience} and {len(losses)} epochs at most"
        best = compare.number(entry(result, "best_epoch"), what="best_epoch")
        observe("[epochs run, states loaded]", ran)
        observe("best epoch", torch.tensor(best))
        weight = compare.tensor(state.get("0.weight"), what="the first layer's weight", shape=(6, 5))
        observe("weights at the end", weight, tolerance=1e-7)
        runs.append((what, best, state, float(entry(expected, "best_epoch")), reference))
    for what, best, state, expected, reference in runs:
        compare.state(state, reference, what=f"at the end, {what}")
        compare.close(best, expected, what=f"best_epoch {what}")


@check(
    part="fit",
    points=1,
    kind="property",
    help="The docstring's last lines: what is a ValueError, and what a RuntimeError?",
)
def fit_refuses_what_leaves_no_best_epoch(submission, oracle):
    """no epochs or no patience is a ValueError, and no finite validation loss a RuntimeError"""
    toy, (train, val) = scripted(oracle, (2.0, 1.0, 0.5))
    for name in ("epochs", "patience"):
        options = {"epochs": 1, "patience": 1, name: 0}
        compare.raises(
            "ValueError",
            lambda options=options: submission.fit(toy, train, val, lr=0.01, **options),
            what=f"fit with {name}=0",
        )
    result = submission.fit(toy, train, val, epochs=1, patience=1, lr=0.01)
    compare.require(len(numbers(result, "val_loss")) == 1, "fit with epochs=1 and patience=1 runs no epoch")
    val = Batches(torch.full((4, 5), float("nan")).double(), torch.zeros(4, dtype=torch.int64), batch_size=2)
    for epochs, patience in ((2, 3), (3, 2)):
        options = {"epochs": epochs, "patience": patience}
        compare.raises(
            "RuntimeError",
            lambda options=options: submission.fit(toy, train, val, lr=0.01, **options),
            what=f"fit of {epochs} epochs whose validation losses are all NaN",
        )


@check(
    part="fit",
    points=1,
    kind="property",
    help="Training and validation both compute on the device: hand it on, and move each batch.",
)
def fit_moves_batches_to_the_device(submission, oracle):
    """training and validation batches are moved to the device before they are used"""
    toy, loaders = scripted(oracle, (2.0, 1.0), elsewhere=True)
    options = {"epochs": 2, "lr": 0.01, "patience": 2, "device": "cpu"}
    result, state, _ = finished(submission, toy, loaders, **options)
    expected, reference, _ = finished(oracle, toy, loaders, **options)
    compare.close(
        numbers(result, "val_loss"), numbers(expected, "val_loss"), what="'val_loss'", rtol=1e-5, atol=1e-5
    )
    compare.state(state, reference, what="after two epochs of moved batches")
