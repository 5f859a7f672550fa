import warnings

import pytest
import torch
from torch import nn
from transformers import get_linear_schedule_with_warmup

from dlgrade.tiny_bert import tiny_bert
from reference.bert_classifier import build_classifier, freeze_encoder
from reference.bert_optimizer import make_optimizer

CONSTANT = {"lr": 0.1, "weight_decay": 0.5, "warmup_steps": 0, "total_steps": 10}


def rates(optimizer, scheduler, steps):
    """The learning rate each of the next steps runs at."""
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_only_matrices_decay():
    """A step on zero gradients shrinks matrices by lr * decay and leaves biases and LayerNorms alone."""
    torch.manual_seed(0)
    model = build_classifier(tiny_bert(0), 2).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
        parameter.grad = torch.zeros_like(parameter)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer, _ = make_optimizer(model, **CONSTANT)
    optimizer.step()
    for name, parameter in model.named_parameters():
        exempt = "LayerNorm" in name or name.endswith("bias")
        torch.testing.assert_close(parameter, before[name] * (1 if exempt else 0.95), rtol=1e-12, atol=0)


def test_step_is_adamw():
    """With a matrix as the only parameter, the steps are those of torch's AdamW at the schedule's rates."""
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 4, bias=False), nn.Linear(3, 4, bias=False)
    theirs.load_state_dict(ours.state_dict())
    optimizer, scheduler = make_optimizer(ours, lr=0.1, weight_decay=0.5, warmup_steps=2, total_steps=5)
    plain = torch.optim.AdamW(theirs.parameters(), weight_decay=0.5)
    for factor in (0, 1 / 2, 1, 2 / 3, 1 / 3):
        plain.param_groups[0]["lr"] = 0.1 * factor
        for model, stepper in ((ours, optimizer), (theirs, plain)):
            stepper.zero_grad()
            model(torch.ones(2, 3)).square().sum().backward()
            stepper.step()
        scheduler.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


@pytest.mark.parametrize(("warmup", "total"), [(0, 5), (3, 10), (4, 4), (1, 1)])
def test_schedule_in_closed_form(warmup, total):
    """The rate rises as s / warmup, falls in a line to 0 at total and stays there, as transformers' does."""
    model = nn.Linear(2, 2)
    optimizer, scheduler = make_optimizer(
        model, lr=0.3, weight_decay=0, warmup_steps=warmup, total_steps=total
    )
    seen = rates(optimizer, scheduler, total + 3)
    other = torch.optim.AdamW(model.parameters(), lr=0.3)
    assert seen == rates(other, get_linear_schedule_with_warmup(other, warmup, total), total + 3)
    for s, rate in enumerate(seen):
        rising = s / warmup if s < warmup else 1
        falling = (
            max(0, (total - s) / (total - warmup)) if s >= warmup and total > warmup else float(s < total)
        )
        assert rate == pytest.approx(0.3 * min(rising, falling))


def test_frozen_parameters_are_left_out():
    """With the encoder frozen the optimizer holds the head's weight and bias and nothing else."""
    model = freeze_encoder(build_classifier(tiny_bert(0), 2))
    optimizer, _ = make_optimizer(model, **CONSTANT)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(model.head.weight), id(model.head.bias)}


def test_every_trainable_parameter_is_held_once():
    """No parameter is forgotten and none is stepped twice, a shared one neither."""
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    optimizer, _ = make_optimizer(model, **CONSTANT)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())


def test_model_without_biases_has_no_empty_group():
    """A model of matrices alone makes one group."""
    assert len(make_optimizer(nn.Linear(2, 2, bias=False), **CONSTANT)[0].param_groups) == 1


def test_stepping_in_order_warns_of_nothing():
    """Optimizer first, scheduler second is the order PyTorch expects: no warning comes up."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rates(*make_optimizer(nn.Linear(2, 2), **CONSTANT), 3)


@pytest.mark.parametrize(("warmup", "total"), [(5, 4), (-1, 4), (0, 0)])
def test_impossible_schedules_are_refused(warmup, total):
    """A warm-up longer than the training, or no training, is refused with both figures."""
    with pytest.raises(ValueError, match=f"warmup_steps is {warmup} and total_steps {total}"):
        make_optimizer(nn.Linear(2, 2), lr=0.1, weight_decay=0, warmup_steps=warmup, total_steps=total)


def test_nothing_to_train_is_refused():
    """A model frozen as a whole is an error that asks for the head."""
    with pytest.raises(ValueError, match="no trainable parameter; is the head frozen"):
        make_optimizer(nn.Linear(2, 2).requires_grad_(False), **CONSTANT)
