"""EarlyStopping: when it stops, what it keeps, and what it puts back."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from reference.early_stopping import EarlyStopping
from tests.reference.devices import DEVICES


def epochs_until_stop(losses, patience):
    """Feed the losses until it says stop; how many epochs ran, and the watcher."""
    stopping, model = EarlyStopping(patience), nn.Linear(1, 1)
    for epoch, loss in enumerate(losses):
        if stopping.update(loss, model):
            return epoch + 1, stopping
    return len(losses), stopping


@pytest.mark.parametrize(
    ("losses", "patience", "epochs", "best"),
    [
        ([3, 2, 1, 2, 2, 2], 2, 5, 2),
        ([3, 2, 1, 2, 2, 2], 3, 6, 2),
        ([3, 4, 2, 3, 1, 9, 9], 2, 7, 4),  # each improvement starts the count again
        ([1, 1, 1, 1], 2, 3, 0),  # an equal loss is no improvement
        ([5, 4, 3], 1, 3, 2),
        ([1, 2, 0], 1, 2, 0),
        ([math.nan, 2, math.nan, 1, math.inf, math.nan, 3], 3, 7, 3),
    ],
)
def test_stops_after_patience_epochs_without_a_new_lowest(losses, patience, epochs, best):
    """It runs as many epochs as counted by hand, and names the epoch of the lowest loss."""
    ran, stopping = epochs_until_stop(losses, patience)
    assert (ran, stopping.best_epoch, stopping.best_loss) == (epochs, best, losses[best])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(1, 6))
def test_agrees_with_the_definition_on_any_losses(losses, patience):
    """It stops at the first epoch whose last `patience` losses are no lower than the lowest before."""
    expected = next(
        (
            n
            for n in range(patience + 1, len(losses) + 1)
            if min(losses[n - patience : n]) >= min(losses[: n - patience])
        ),
        len(losses),
    )
    ran, stopping = epochs_until_stop(losses, patience)
    assert ran == expected
    assert stopping.best_epoch == losses[:ran].index(min(losses[:ran]))
    assert stopping.epochs_since_best == ran - 1 - stopping.best_epoch


def trained_a_little(model, steps):
    """Move parameters and batch-norm statistics by some steps, in place."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    device = next(model.parameters()).device
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 3, dtype=torch.double, device=device)).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("device", DEVICES)
def test_restores_the_best_epochs_parameters_and_buffers(device):
    """Weights and batch-norm statistics come back bit for bit after later steps changed them in place."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double().to(device)
    stopping, states = EarlyStopping(), []
    for loss in (2.0, 1.0, 3.0):
        trained_a_little(model, 2)
        states.append(copy.deepcopy(model.state_dict()))
        stopping.update(loss, model)
    assert all(not torch.equal(states[1][name], tensor) for name, tensor in model.state_dict().items())
    stopping.restore(model)
    assert all(torch.equal(states[1][name], tensor) for name, tensor in model.state_dict().items())
    assert {tensor.device.type for tensor in model.state_dict().values()} == {device}


def test_training_on_after_a_restore_does_not_change_what_was_kept():
    """A second restore gives the same weights: the model never shares memory with the copy."""
    torch.manual_seed(0)
    model, stopping = nn.Linear(3, 2).double(), EarlyStopping()
    stopping.update(1.0, model)
    best = model.weight.detach().clone()
    for _ in range(2):
        trained_a_little(model, 1)
        assert not torch.equal(model.weight, best)
        stopping.restore(model)
        assert torch.equal(model.weight, best)


@pytest.mark.parametrize("losses", [[], [math.nan], [math.inf, math.nan]])
def test_restoring_without_a_finite_loss_is_an_error(losses):
    """With nothing to restore it raises, and says how many epochs there were and what to try."""
    stopping, model = EarlyStopping(), nn.Linear(1, 1)
    for loss in losses:
        stopping.update(loss, model)
    message = f"none of {len(losses)} epochs had a finite validation loss; lower the learning rate"
    with pytest.raises(RuntimeError, match=message):
        stopping.restore(model)


@pytest.mark.parametrize("patience", [0, -3])
def test_a_patience_below_one_is_an_error(patience):
    """It is a ValueError that names the value; the default is the lesson's 5."""
    with pytest.raises(ValueError, match=f"patience is {patience}, expected at least 1 epoch"):
        EarlyStopping(patience)
    assert EarlyStopping().patience == 5
