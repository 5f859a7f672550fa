"""What make_optimizer's pair does to parameters: zero gradients show the decay, constant ones the rate."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.proxy import RemoteObject
from dlgrade.specs import Toy
from dlgrade.specs_text import TinyBert


def made(submission, model, **settings):
    """The optimizer and the scheduler, which stay with the submission."""
    pair = submission.make_optimizer(model, **settings)
    two = isinstance(pair, tuple | list) and len(pair) == 2
    held = two and all(isinstance(item, RemoteObject) for item in pair)
    compare.require(held, "make_optimizer does not return a pair (optimizer, scheduler)")
    return pair


def values(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def rates(submission, oracle, steps, **settings):
    """How far each parameter with a gradient of 1 moves in each step, (steps, P), and the parameters' names.

    With Adam that is the rate.
    """
    toy = Toy(("Linear", 3, 2), seed=oracle.seed())
    for name in ("encoder", "classifier", "head", "fc"):
        submission.method(toy, "add_module", name, Toy(("Linear", 2, 2), seed=oracle.seed()))
    model = submission.method(toy, "train")
    optimizer, scheduler = made(submission, model, weight_decay=0.0, **settings)
    moved, before = [], values(model)
    for _ in range(steps):
        model.set_gradients({name: torch.ones_like(value) for name, value in before.items()})
        optimizer.step()
        scheduler.step()
        after = values(model)
        moved.append(torch.stack([(before[name] - after[name]).mean() for name in before]))
        before = after
    return torch.stack(moved), list(before)


def require_one_rate(moved, names):
    """Require all parameters to move alike in each step."""
    apart = (moved - moved[:, :1]).abs().amax(0) > 1e-3 * float(moved.abs().max())
    observe("parameters that move at another rate than the first", apart.double())
    observe("the rates of all parameters", moved)
    other = [name for name, differs in zip(names, apart.tolist(), strict=True) if differs]
    compare.require(
        not other,
        f"{len(other)} of {len(names)} parameters, first {other[:1]}, run at another rate than {names[0]}",
    )


def planned(steps, *, lr, warmup_steps, total_steps):
    """The rate of each step as the statement gives it."""
    rising = [lr * step / max(1, warmup_steps) for step in range(min(warmup_steps, steps))]
    left = max(1, total_steps - warmup_steps)
    falling = [lr * max(0, total_steps - step) / left for step in range(warmup_steps, steps)]
    return torch.tensor(rising + falling, dtype=torch.float64)


@check(
    part="make_optimizer",
    points=3,
    kind="training",
    help="AdamW with two groups: the one of biases and LayerNorm parameters has weight_decay 0.",
)
def weight_decay_shrinks_matrices_only(submission, oracle):
    """without gradients a step shrinks every matrix by lr * weight_decay, and no bias and no LayerNorm"""
    model = submission.method(TinyBert(oracle.seed()), "train")
    before = values(model)
    settings = {"lr": 0.02, "weight_decay": 0.5, "warmup_steps": 0, "total_steps": 10**6}
    optimizer, scheduler = made(submission, model, **settings)
    optimizer.step()  # without any gradient: the rate of the very first step is another check's question
    scheduler.step()
    model.set_gradients({name: torch.zeros_like(value) for name, value in before.items()})
    optimizer.step()
    after = values(model)
    kinds = {
        "matrix": [name for name, value in before.items() if value.dim() > 1],
        "bias": [name for name in before if name.endswith(".bias") and "LayerNorm" not in name],
        "gain of a LayerNorm": [name for name in before if name.endswith("LayerNorm.weight")],
        "bias of a LayerNorm": [name for name in before if name.endswith("LayerNorm.bias")],
    }
    for kind, names in kinds.items():
        factors = torch.stack([(after[name] / before[name]).median() for name in names])
        observe(f"median factor of each {kind}", factors, 1e-5)
    for kind, names in kinds.items():
        factor = 0.99 if kind == "matrix" else 1.0
        for name in names:
            value = compare.tensor(after[name], what=name, shape=tuple(before[name].shape))
            off = float((value - factor * before[name]).abs().max())
            compare.require(
                off <= 1e-5,
                f"{name}, a {kind}, is off by {off:.2g} after a step without gradient: expected "
                f"{'a factor of 1 - lr * weight_decay' if factor < 1 else 'no change'}",
            )


@check(
    part="make_optimizer",
    points=3,
    kind="training",
    help="Write the rates of the first ten steps on paper. The scheduler is stepped once after each step.",
)
def learning_rate_warms_up_and_decays_linearly(submission, oracle):
    """the rate of every parameter rises from 0 to lr in warmup_steps, then falls to 0 at total_steps"""
    settings = {"lr": 0.01, "warmup_steps": 4, "total_steps": 10}
    seen, names = rates(submission, oracle, 10, **settings)
    require_one_rate(seen, names)
    compare.close(seen[:, 0], planned(10, **settings), what="the rate of steps 0 to 9", rtol=1e-3, atol=1e-6)
