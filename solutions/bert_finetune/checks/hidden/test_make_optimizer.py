"""make_optimizer with frozen parameters, at the ends of its ranges and beyond them."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.proxy import RemoteObject
from dlgrade.specs import Toy
from dlgrade.specs_text import TinyBert


def made(submission, model, **settings):
    pair = submission.make_optimizer(model, **settings)
    two = isinstance(pair, tuple | list) and len(pair) == 2
    held = two and all(isinstance(item, RemoteObject) for item in pair)
    compare.require(held, "make_optimizer does not return a pair (optimizer, scheduler)")
    return pair


def values(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@check(
    part="make_optimizer",
    points=2,
    kind="property",
    help="Give the optimizer only the parameters that require a gradient.",
)
def frozen_parameters_stay_out_of_the_optimizer(submission, oracle):
    """a frozen parameter does not move, even if something left a gradient on it"""
    model = submission.method(TinyBert(oracle.seed(), frozen=("embeddings", "encoder.layer.0")), "train")
    before = values(model)
    free = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    settings = {"lr": 0.01, "weight_decay": 0.1, "warmup_steps": 0, "total_steps": 9}
    optimizer, scheduler = made(submission, model, **settings)
    optimizer.step()  # without any gradient: the rate of the very first step is another check's question
    scheduler.step()
    model.set_gradients({name: torch.ones_like(value) for name, value in before.items()})
    optimizer.step()
    moved = {name for name, value in values(model).items() if not torch.equal(value, before[name])}
    counts = [len(moved - free), len(free - moved)]
    observe("[frozen that move, trainable that stay]", torch.tensor(counts).double())
    compare.require(not moved - free, f"{counts[0]} frozen parameters are in the optimizer")
    compare.require(not free - moved, f"{counts[1]} trainable parameters do not move")


@check(
    part="make_optimizer",
    points=2,
    kind="training",
    help="Try no warm-up, nothing but warm-up, and a step after total_steps: "
    "which of these divides by 0 or goes below it?",
)
def schedule_holds_at_its_ends(submission, oracle):
    """no warm-up starts at lr, a schedule of warm-up only rises, and after total_steps the rate stays 0"""
    for warmup, total, steps in ((0, 4, 6), (3, 3, 5), (1, 2, 4), (5, 8, 8)):
        toy = Toy(("Linear", 2, 2), seed=oracle.seed())
        submission.method(toy, "add_module", "classifier", Toy(("Linear", 2, 2), seed=oracle.seed()))
        model = submission.method(toy, "train")
        settings = {"lr": 0.02, "weight_decay": 0.0, "warmup_steps": warmup, "total_steps": total}
        optimizer, scheduler = made(submission, model, **settings)
        moved, before = [], values(model)
        for _ in range(steps):
            model.set_gradients({name: torch.ones_like(value) for name, value in before.items()})
            optimizer.step()
            scheduler.step()
            after = values(model)
            moved.append(torch.stack([(before[name] - after[name]).mean() for name in before]))
            before = after
        expected = [
            0.02 * (step / warmup if step < warmup else max(0, total - step) / max(1, total - warmup))
            for step in range(steps)
        ]
        what = f"the rates with {warmup} of {total} steps of warm-up"
        compare.close(
            torch.stack(moved),
            torch.tensor(expected).double().unsqueeze(1).expand(steps, 4),
            what=what,
            rtol=1e-3,
            atol=1e-6,
        )


@check(
    part="make_optimizer",
    points=1,
    kind="property",
    help="Nothing trainable, no step at all, more warm-up than steps: say so with a ValueError.",
)
def impossible_schedules_are_refused(submission, oracle):
    """impossible numbers of steps and a model without trainable parameters are a ValueError"""
    toy = Toy(("Linear", 2, 2), seed=oracle.seed())
    frozen = submission.method(Toy(("Linear", 2, 2), seed=oracle.seed()), "requires_grad_", False)
    for model, warmup, total in ((toy, 5, 4), (toy, -1, 4), (toy, 0, 0), (frozen, 1, 4)):
        compare.raises(
            "ValueError",
            lambda model=model, warmup=warmup, total=total: submission.make_optimizer(
                model, lr=0.1, weight_decay=0.0, warmup_steps=warmup, total_steps=total
            ),
            what=f"make_optimizer(warmup_steps={warmup}, total_steps={total})"
            + (" of a frozen model" if model is frozen else ""),
        )
    before = submission.state(toy)
    optimizer, scheduler = made(submission, toy, lr=0.1, weight_decay=0.5, warmup_steps=0, total_steps=10**6)
    held = submission.method(toy, "train")
    optimizer.step()
    scheduler.step()
    held.set_gradients({name: torch.zeros_like(value) for name, value in before.items()})
    optimizer.step()
    after = submission.state(toy)["0.weight"]
    compare.close(after, before["0.weight"] * 0.95, what="the weights after a step that is possible")
