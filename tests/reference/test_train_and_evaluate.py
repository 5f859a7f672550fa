"""One pass over a split: what it computes, in which mode, and what it leaves alone."""

import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from reference.training import evaluate, seed_everything, train_one_epoch
from tests.reference.devices import DEVICES


class Recorder(nn.Linear):
    """A linear classifier that notes the modes it ran in and the first number of each input."""

    def __init__(self, inputs, classes):
        super().__init__(inputs, classes, dtype=torch.double)
        self.seen = []

    def forward(self, x):
        self.seen.append((self.training, torch.is_grad_enabled(), x[0, 0].item()))
        return super().forward(x)


def classifier(seed=0):
    torch.manual_seed(seed)
    return Recorder(4, 3)


def uneven_batches(sizes=(5, 2, 1, 7)):
    """Batches of random inputs and labels, of different sizes and scales: a mean of means would be wrong."""
    generator = torch.Generator().manual_seed(0)
    return [
        (
            torch.randn(n, 4, dtype=torch.double, generator=generator) * n,
            torch.randint(3, (n,), generator=generator),
        )
        for n in sizes
    ]


def test_training_is_the_steps_written_out():
    """Weights and mean loss are those of plain SGD with cross-entropy's gradient written out."""
    model, batches = classifier(), uneven_batches()
    weight, bias, losses = model.weight.detach().clone(), model.bias.detach().clone(), []
    for x, labels in batches:
        log_p = torch.log_softmax(x @ weight.T + bias, dim=1)
        losses += (-log_p[torch.arange(len(x)), labels]).tolist()
        error = (log_p.exp() - F.one_hot(labels, 3)) / len(x)
        weight, bias = weight - 0.1 * error.T @ x, bias - 0.1 * error.sum(dim=0)
    loss = train_one_epoch(model, batches, torch.optim.SGD(model.parameters(), lr=0.1), "cpu")
    torch.testing.assert_close(model.weight.detach(), weight)
    torch.testing.assert_close(model.bias.detach(), bias)
    assert type(loss) is float
    assert math.isclose(loss, sum(losses) / 15, rel_tol=1e-12)


def test_training_ignores_gradients_left_from_before():
    """Gradients that the parameters already have do not enter the first step."""
    clean, dirty, batches = classifier(), classifier(), uneven_batches()
    dirty.weight.grad = torch.full_like(dirty.weight, 1e3)
    for model in (clean, dirty):
        train_one_epoch(model, batches, torch.optim.SGD(model.parameters(), lr=0.1), "cpu")
    assert torch.equal(clean.weight, dirty.weight)


def test_training_runs_in_train_mode_and_in_the_loaders_order():
    """Every batch is seen once, in order, in train mode, even if the model came in eval mode."""
    model, batches = classifier().eval(), uneven_batches()
    train_one_epoch(model, batches, torch.optim.SGD(model.parameters(), lr=0.1), "cpu")
    assert model.seen == [(True, True, x[0, 0].item()) for x, _ in batches]


def test_training_leaves_other_parameters_alone():
    """Only what the optimizer holds moves: of a model whose bias it lacks, the bias stays bit for bit."""
    model = classifier()
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    train_one_epoch(model, uneven_batches(), torch.optim.SGD([model.weight], lr=0.1), "cpu")
    assert torch.equal(model.bias, bias)
    assert not torch.equal(model.weight, weight)


def test_training_repeats_itself_bit_for_bit():
    """From one seed two runs over a shuffled loader end in the same weights and the same loss."""
    x, labels = torch.randn(50, 4, dtype=torch.double), torch.arange(50) % 3
    ends = []
    for _ in range(2):
        seed_everything(7)
        model = Recorder(4, 3)
        loader = DataLoader(TensorDataset(x, labels), batch_size=8, shuffle=True)
        loss = train_one_epoch(model, loader, torch.optim.Adam(model.parameters(), lr=0.1), "cpu")
        ends.append((loss, model.weight.detach().clone()))
    assert ends[0][0] == ends[1][0]
    assert torch.equal(ends[0][1], ends[1][1])


def test_training_lowers_the_loss_of_a_separable_problem():
    """On classes that a linear model can tell apart the mean loss falls with every epoch."""
    model, batches = classifier(), [(F.one_hot(torch.arange(12) % 3, 4).double(), torch.arange(12) % 3)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = [train_one_epoch(model, batches, optimizer, "cpu") for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def identity_classifier():
    """Predicts the index of its input's largest entry."""
    model = classifier()
    with torch.no_grad():
        model.weight.copy_(torch.eye(3, 4))
        model.bias.zero_()
    return model


def test_accuracy_counts_examples_not_batches():
    """7 of 7 right in one batch and 0 of 1 in another are 7/8, not the batches' mean of 1/2."""
    right = torch.eye(4, dtype=torch.double)[[0, 1, 2, 0, 1, 2, 0]], torch.tensor([0, 1, 2, 0, 1, 2, 0])
    wrong = torch.eye(4, dtype=torch.double)[[0]], torch.tensor([2])
    accuracy = evaluate(identity_classifier(), [right, wrong], "cpu")
    assert type(accuracy) is float
    assert accuracy == 7 / 8


def test_accuracy_is_a_fraction_of_the_examples_seen():
    """A loader that drops its last batch is judged by the 8 it gave, a generator without length too."""
    inputs, labels = torch.eye(4, dtype=torch.double)[[0] * 11], torch.tensor([0] * 6 + [1] * 5)
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=4, drop_last=True)
    assert evaluate(identity_classifier(), loader, "cpu") == 6 / 8
    assert evaluate(identity_classifier(), (batch for batch in loader), "cpu") == 6 / 8


def test_accuracy_agrees_with_a_count_by_hand():
    """Over uneven batches it is the share of examples whose largest logit is their label's."""
    model, batches = classifier(), uneven_batches()
    pairs = [
        (model(x[None])[0].tolist(), y) for xs, ys in batches for x, y in zip(xs, ys.tolist(), strict=True)
    ]
    assert evaluate(model, batches, "cpu") == sum(max(row) == row[label] for row, label in pairs) / 15


def test_accuracy_is_measured_in_eval_mode_without_gradients():
    """Every batch is seen once, in order, in eval mode, without gradients; these are on again after."""
    model, batches = classifier().train(), uneven_batches()
    evaluate(model, batches, "cpu")
    assert model.seen == [(False, False, x[0, 0].item()) for x, _ in batches]
    assert torch.is_grad_enabled()


def test_measuring_changes_no_parameter_and_no_buffer():
    """A model with dropout and batch norm keeps its state bit for bit and gives the same figure twice."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert evaluate(model, uneven_batches(), "cpu") == evaluate(model, uneven_batches(), "cpu")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_one_example_is_enough():
    """A single batch of one gives its own loss, and an accuracy of 0 or 1."""
    batch = uneven_batches((1,))
    model = classifier()
    assert evaluate(model, batch, "cpu") in (0.0, 1.0)
    before = F.cross_entropy(model(batch[0][0]), batch[0][1]).item()
    assert train_one_epoch(model, batch, torch.optim.SGD(model.parameters(), lr=0.1), "cpu") == before


def test_seeding_repeats_all_three_libraries():
    """After the same seed Python, NumPy and torch each repeat their number; after another none does."""
    draws = []
    for seed in (3, 3, 4):
        seed_everything(seed)
        draws.append((random.random(), np.random.random(), torch.rand(()).item()))
    assert draws[0] == draws[1]
    assert all(ours != others for ours, others in zip(draws[0], draws[2], strict=True))


@pytest.mark.parametrize("device", DEVICES)
def test_batches_follow_the_model_to_its_device(device):
    """Batches from the CPU train and measure a model on the device as one on the CPU."""
    batches, figures = uneven_batches(), []
    for where in ("cpu", device):
        model = classifier().to(where)
        loss = train_one_epoch(model, batches, torch.optim.SGD(model.parameters(), lr=0.1), where)
        figures.append((loss, evaluate(model, batches, where)))
    assert figures[1] == pytest.approx(figures[0], rel=1e-9)
