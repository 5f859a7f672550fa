"""fit: Adam, step decay, early stopping and the restored best weights, against a loop written out."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reference.fit import fit
from reference.training import evaluate
from tests.reference.devices import DEVICES


def batches(n, seed, size=4):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 3, dtype=torch.double, generator=generator)
    labels = torch.randint(2, (n,), generator=generator)
    return list(zip(inputs.split(size), labels.split(size), strict=True))


def model_with_statistics(seed=0):
    """Small, with batch norm and dropout, so that modes and buffers matter."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 2)).double()


def spoiled(train):
    """A validation split with the training labels swapped: the better the fit, the higher its loss."""
    return [(inputs, 1 - labels) for inputs, labels in train]


def separable():
    """Two classes told apart by the sign of the first input."""
    inputs = torch.randn(24, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    return list(zip(inputs.split(6), (inputs[:, 0] > 0).long().split(6), strict=True))


def epochs_by_hand(model, train, val, *, epochs, lr):
    """Adam with its moments written out, the rate from its formula; history and state after each epoch."""
    parameters = list(model.parameters())
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    history, states, step = {"train_loss": [], "val_loss": [], "lr": []}, [], 0
    examples = sum(len(labels) for _, labels in train)
    for epoch in range(epochs):
        rate, total = lr * 0.1 ** (epoch // 10), 0.0
        model.train()
        for inputs, labels in train:
            step += 1
            loss = F.cross_entropy(model(inputs), labels)
            total += loss.item() * len(labels)
            for p, m, v, g in zip(
                parameters, first, second, torch.autograd.grad(loss, parameters), strict=True
            ):
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                p.data -= rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
        model.eval()
        inputs, labels = (torch.cat(column) for column in zip(*val, strict=True))
        history["val_loss"].append(F.cross_entropy(model(inputs), labels).item())
        history["train_loss"].append(total / examples)
        history["lr"].append(rate)
        states.append(copy.deepcopy(model.state_dict()))
    return history, states


def test_is_the_loop_written_out():
    """Losses, rates, best epoch and restored weights are those of 23 epochs without torch.optim."""
    train, val = batches(22, seed=1), batches(10, seed=2, size=7)
    torch.manual_seed(5)
    plain = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)).double()
    expected, states = epochs_by_hand(copy.deepcopy(plain), train, val, epochs=23, lr=0.01)
    result = fit(plain, train, val, epochs=23, lr=0.01, patience=23)
    assert set(result) == {"train_loss", "val_loss", "val_accuracy", "lr", "best_epoch"}
    for name, values in expected.items():
        assert result[name] == pytest.approx(values, rel=1e-7), name
    assert result["best_epoch"] == min(range(23), key=expected["val_loss"].__getitem__)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(tensor, states[result["best_epoch"]][name], rtol=1e-6, atol=1e-8)


def test_decays_the_rate_after_ten_epochs():
    """The list `lr` has the initial rate for epochs 0 to 9 and a tenth of it for 10 to 19."""
    lr = fit(model_with_statistics(), batches(8, 1), batches(8, 2), epochs=21, lr=0.5, patience=21)["lr"]
    assert lr == pytest.approx([0.5] * 10 + [0.05] * 10 + [0.005], rel=1e-12)
    assert lr[:10] == [0.5] * 10


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_stops_early_and_restores_the_best_epoch(patience):
    """Where only epoch 0 helps, patience + 1 epochs run and the model ends as it was after epoch 0."""
    train = separable()
    model, after_one = model_with_statistics(), model_with_statistics()
    torch.manual_seed(1)  # dropout draws the same masks in both
    result = fit(model, train, spoiled(train), epochs=50, lr=0.05, patience=patience)
    torch.manual_seed(1)
    fit(after_one, train, spoiled(train), epochs=1, lr=0.05, patience=patience)
    assert result["best_epoch"] == 0
    assert {len(values) for name, values in result.items() if name != "best_epoch"} == {patience + 1}
    assert all(
        torch.equal(tensor, after_one.state_dict()[name]) for name, tensor in model.state_dict().items()
    )


class Scripted(nn.Module):
    """Its validation loss follows a script, one entry per epoch of one training batch."""

    def __init__(self, script):
        super().__init__()
        self.register_buffer("script", torch.tensor(script, dtype=torch.double))
        self.register_buffer("epoch", torch.tensor(-1))
        self.weight = nn.Parameter(torch.zeros((), dtype=torch.double))

    def forward(self, inputs):
        if self.training:
            self.epoch += 1
        margin = self.weight * 0 - self.script[self.epoch]  # of label 0 over label 1: the higher, the worse
        return torch.stack([margin, torch.zeros_like(margin)]).expand(len(inputs), 2)


@pytest.mark.parametrize(
    ("script", "patience", "epochs", "best"),
    [
        ([3, 2, 1, 2, 2, 2], 2, 5, 2),
        ([3, 4, 2, 3, 1, 9, 9, 0], 2, 7, 4),  # each improvement starts the count again
        ([1, 1, 1, 1], 2, 3, 0),  # an equal loss is no improvement
        ([5, 4, 3], 1, 3, 2),  # ends with its epochs
        ([1, 2, 0], 1, 2, 0),
    ],
)
def test_follows_a_scripted_validation_loss(script, patience, epochs, best):
    """It runs as many epochs as counted by hand and ends with the buffers of the first lowest loss."""
    model, batch = Scripted(script), (torch.zeros(4, 1), torch.zeros(4, dtype=torch.long))
    result = fit(model, [batch], [batch], epochs=len(script), lr=0.1, patience=patience)
    assert result["val_loss"] == pytest.approx([math.log1p(math.exp(loss)) for loss in script[:epochs]])
    assert (result["best_epoch"], model.epoch.item()) == (best, best)


def test_the_returned_model_has_the_best_epochs_figures():
    """Measured again in eval mode, the model gives the best epoch's validation loss and accuracy."""
    train, val = batches(30, seed=3), batches(17, seed=4)
    model = model_with_statistics()
    result = fit(model, train, val, epochs=15, lr=0.05, patience=15)
    best = result["best_epoch"]
    assert 0 < best < 14  # neither the first nor the last, so that restoring matters
    assert result["val_loss"][best] == min(result["val_loss"])
    inputs, labels = (torch.cat(column) for column in zip(*val, strict=True))
    loss = F.cross_entropy(model.eval()(inputs), labels).item()
    assert loss == pytest.approx(result["val_loss"][best], rel=1e-12)
    assert evaluate(model, val, "cpu") == result["val_accuracy"][best]


def test_all_epochs_run_while_the_loss_keeps_falling():
    """On a separable problem validated on itself no epoch is saved, with patience 1."""
    train = separable()
    model = nn.Linear(3, 2, dtype=torch.double)
    result = fit(model, train, train, epochs=12, lr=0.01, patience=1)
    assert len(result["val_loss"]) == 12
    assert result["best_epoch"] == 11


def test_repeats_itself_bit_for_bit():
    """From one seed two runs give equal histories and equal weights."""
    runs = []
    for _ in range(2):
        model = model_with_statistics()
        runs.append(
            (fit(model, batches(12, 1), batches(8, 2), epochs=4, lr=0.01, patience=4), model.state_dict())
        )
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(tensor, runs[1][1][name]) for name, tensor in runs[0][1].items())


def test_frozen_parameters_stay():
    """Parameters without gradients keep their values bit for bit."""
    model = model_with_statistics()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    fit(model, batches(12, 1), batches(8, 2), epochs=2, lr=0.1, patience=2)
    assert torch.equal(model[0].weight, before)


def test_a_run_without_a_finite_validation_loss_is_an_error():
    """Inputs of NaN give a RuntimeError that says what to look at."""
    val = [(torch.full((4, 3), torch.nan, dtype=torch.double), torch.zeros(4, dtype=torch.long))]
    with pytest.raises(RuntimeError, match="none of 2 epochs had a finite validation loss"):
        fit(model_with_statistics(), batches(12, 1), val, epochs=5, lr=0.1, patience=2)


@pytest.mark.parametrize(("epochs", "patience", "named"), [(0, 1, "epochs is 0"), (1, 0, "patience is 0")])
def test_no_epochs_or_no_patience_is_an_error(epochs, patience, named):
    """Either below 1 is a ValueError that names it."""
    with pytest.raises(ValueError, match=f"{named}, expected at least 1"):
        fit(model_with_statistics(), batches(4, 1), batches(4, 2), epochs=epochs, lr=0.1, patience=patience)


@pytest.mark.parametrize("device", DEVICES)
def test_runs_on_the_device_it_is_given(device):
    """A model and batches from the CPU give the CPU's figures there, and the model ends there."""
    plain = nn.Linear(3, 2, dtype=torch.double)
    moved = copy.deepcopy(plain)
    options = {"epochs": 3, "lr": 0.1, "patience": 3}
    expected = fit(plain, batches(12, 1), batches(8, 2), **options)
    result = fit(moved, batches(12, 1), batches(8, 2), **options, device=device)
    assert next(moved.parameters()).device.type == device
    assert result["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-9)
