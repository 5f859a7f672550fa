"""Step decay: the closed form, the form that drives an optimizer, and torch's StepLR."""

import pytest
import torch

from reference.schedule import StepDecay, decayed_rate


def optimizer_with(*rates):
    parameters = [torch.nn.Parameter(torch.zeros(1, dtype=torch.double)) for _ in rates]
    return torch.optim.SGD([{"params": [p], "lr": lr} for p, lr in zip(parameters, rates, strict=True)])


def rates_over(optimizer, schedule, epochs):
    """The rates each epoch runs with, the schedule stepped after the optimizer."""
    rates = []
    for _ in range(epochs):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(("step_size", "gamma"), [(10, 0.1), (1, 0.5), (7, 0.3), (40, 0.1)])
def test_agrees_with_torch_bit_for_bit(step_size, gamma):
    """Over 35 epochs and two parameter groups every rate is that of torch's StepLR."""
    ours, theirs = optimizer_with(1e-3, 0.5), optimizer_with(1e-3, 0.5)
    expected = rates_over(theirs, torch.optim.lr_scheduler.StepLR(theirs, step_size, gamma), 35)
    assert rates_over(ours, StepDecay(ours, step_size=step_size, gamma=gamma), 35) == expected


def test_agrees_with_the_closed_form():
    """By default the rate of epoch e is the initial rate times 0.1 ** (e // 10)."""
    optimizer = optimizer_with(1e-3, 0.5)
    for epoch, rates in enumerate(rates_over(optimizer, StepDecay(optimizer), 45)):
        expected = [decayed_rate(initial, epoch) for initial in (1e-3, 0.5)]
        assert rates == pytest.approx(expected, rel=1e-12, abs=0)
        assert expected == pytest.approx([1e-3 * 0.1 ** (epoch // 10), 0.5 * 0.1 ** (epoch // 10)], rel=1e-12)


def test_the_first_ten_epochs_run_at_the_initial_rate():
    """Epochs 0 to 9 have the initial rate exactly, epoch 10 a tenth of it."""
    assert [decayed_rate(0.5, epoch) for epoch in (0, 9)] == [0.5, 0.5]
    assert decayed_rate(0.5, 10) == 0.05


def test_the_rate_moves_the_parameters():
    """With a constant gradient of one each epoch's step is minus the rate of that epoch."""
    optimizer = optimizer_with(0.5)
    (parameter,), schedule = optimizer.param_groups[0]["params"], StepDecay(optimizer, step_size=2)
    steps = []
    for _ in range(5):
        before = parameter.item()
        parameter.grad = torch.ones(1, dtype=torch.double)
        optimizer.step()
        schedule.step()
        steps.append(before - parameter.item())
    assert steps == pytest.approx([0.5, 0.5, 0.05, 0.05, 0.005], rel=1e-9)


@pytest.mark.parametrize("step_size", [0, -1])
def test_a_step_size_below_one_is_an_error(step_size):
    """It is a ValueError that names the value."""
    with pytest.raises(ValueError, match=f"step_size is {step_size}, expected at least 1 epoch"):
        StepDecay(optimizer_with(0.1), step_size=step_size)
