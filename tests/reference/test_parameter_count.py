from torch import nn

from reference.parameter_count import count_parameters


def test_counts_every_number():
    """A Linear has inputs * outputs weights and outputs biases; 0-d parameters count one; buffers none."""
    assert count_parameters(nn.Linear(3, 4)) == 16
    assert count_parameters(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))) == 16 + 8
    assert count_parameters(nn.ReLU()) == 0


def test_shared_parameters_count_once():
    """A weight tied between two layers, and a layer used twice, add nothing the second time."""
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    assert count_parameters(nn.Sequential(first, second, first)) == 9 + 3 + 3


def test_trainable_only_leaves_frozen_parameters_out():
    """Frozen ones count by default and do not under trainable_only."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    assert count_parameters(model) == 26
    assert count_parameters(model, trainable_only=True) == 10


def test_is_an_int_and_needs_no_memory():
    """A model on the meta device, however large, is counted exactly."""
    count = count_parameters(nn.Linear(10**5, 10**6, device="meta"))
    assert type(count) is int
    assert count == 10**11 + 10**6
