"""What SimpleCNN must compute.

Outputs are compared after a log-softmax: logits and log-probabilities train alike, so both are right.
"""

import torch
from torch.nn.functional import cross_entropy, log_softmax

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.outcome import Unmappable

CLASSES = 512  # twice as many as hidden units: what became of each unit can be solved for


def same_size(model, reference):
    """Require as many parameters as the network described has, however they are named and arranged."""
    compare.require(isinstance(model, torch.nn.Module), "SimpleCNN(5) is no nn.Module")
    sizes = [
        sum(torch.Size(entry.shape).numel() for entry in network.layout.parameters)
        for network in (model, reference)
    ]
    observe("number of parameters", torch.tensor(float(sizes[0])))
    compare.require(
        sizes[0] == sizes[1],
        f"SimpleCNN(5) has {sizes[0]:,} parameters, the network described has {sizes[1]:,}",
    )


def hidden_units(logits, last):
    """What stood in front of the last layer and the share of the logits that it misses, a row for an image.

    A column of ones stands for what a log-softmax takes off each row.
    """
    columns = torch.cat([last["weight"], torch.ones(CLASSES, 1)], dim=1).double()
    targets = (logits - last["bias"]).double().T
    units = torch.linalg.lstsq(columns, targets).solution
    return units[:-1].T, (columns @ units - targets).norm(dim=0) / targets.norm(dim=0)


@check(
    part="SimpleCNN",
    points=1,
    kind="shape",
    help="Is num_classes used in the last layer? Does the first dimension stay, also where it is 1?",
)
def simple_cnn_gives_one_logit_for_each_class(submission, oracle):
    """the output has one logit for each class, ten by default, for one image or several"""
    for args, classes, images in (((), 10, 3), ((4,), 4, 1), ((2,), 2, 3)):
        logits = submission.build("SimpleCNN", *args)(oracle.normal(images, 1, 28, 28))
        what = f"SimpleCNN({classes})(images)"
        compare.tensor(logits, what=what, shape=(images, classes), dtype=torch.float32)


@check(
    part="SimpleCNN",
    points=1,
    kind="gradient",
    needs=("simple_cnn_gives_one_logit_for_each_class",),
    help="Is every layer you define used in forward? Does a detach() or no_grad() cut the way back?",
)
def simple_cnn_learns_with_every_parameter(submission, oracle):
    """a gradient reaches every parameter"""
    model = submission.build("SimpleCNN", 6).eval()
    structure.every_parameter_learns(model, oracle.normal(16, 1, 28, 28), steps=2)
    images = oracle.normal(4, 1, 28, 28).requires_grad_()
    logits = compare.tensor(model(images), what="SimpleCNN(6)(images)", shape=(4, 6))
    cross_entropy(logits, oracle.integers(4, low=0, high=6)).backward()
    reached = images.grad is not None and bool((images.grad.abs().amax(dim=(1, 2, 3)) > 0).all())
    compare.require(reached, "no gradient reaches the images: the convolutions cannot learn")


@check(
    part="SimpleCNN",
    points=2,
    kind="property",
    needs=("simple_cnn_gives_one_logit_for_each_class",),
    help="Dropout 0.5 stands between the last ReLU and the last layer, nowhere else. nn.Dropout follows the "
    "module's mode by itself; F.dropout must be told: training=self.training.",
)
def simple_cnn_drops_out_in_train_mode_only(submission, oracle):
    """train mode drops half of the 256 hidden units at random, eval mode none"""
    reference = oracle.build("SimpleCNN", CLASSES)
    try:
        model = submission.build("SimpleCNN", CLASSES, weights=reference)
        last = {kind: reference.get_parameter(f"classifier.4.{kind}").detach() for kind in ("weight", "bias")}
    except Unmappable:  # then only whether there is any dropout can be told
        model, last = submission.build("SimpleCNN", CLASSES).eval(), None
        structure.descend(model, oracle.normal(4, 1, 28, 28))
    copies = oracle.normal(1, 1, 28, 28).repeat(24, 1, 1, 1)  # a mask of its own for each copy, in one pass
    with torch.no_grad():
        model.train()
        training = compare.tensor(model(copies), what="the output in train mode", shape=(24, CLASSES))
        model.eval()
        evaluating = compare.tensor(model(copies), what="the output in eval mode", shape=(24, CLASSES))
    spread = (training - training[:1]).abs().amax(1)[1:]
    varied, moved = float(spread.max()) > 1e-6, float((evaluating - evaluating[:1]).abs().max()) > 1e-4
    compare.chance(2.0**-100)  # 23 copies drop the same of even five active units
    seen = torch.tensor([float(varied), float(moved)])
    what = "[does train mode vary, does eval mode vary]"
    observe(what, seen)
    compare.require(varied, "the same image gets the same output again and again in train mode")
    compare.require(not moved, "the same image gets different outputs in eval mode")
    if last is not None:
        units, unexplained = hidden_units(torch.cat([evaluating[:1], training]), last)
        drops_half_of(units[0], float(unexplained[0]), units[1:], float(unexplained[1:].max()))


def drops_half_of(units, unexplained, dropped, unexplained_in_training):
    """Require each unit that was dropped or kept to be 0 or twice what it is in eval mode."""
    if unexplained > 1e-3:  # something follows the last layer, which is other checks' business
        return
    active = units.abs() > 0.1 * units.abs().max()
    factors = dropped[:, active] / units[active]
    kept = factors[factors.abs() > 0.05]
    factor = float(kept.median()) if len(kept) else 0.0
    at_its_place = unexplained_in_training < 1e-3
    alone = bool(((kept - factor).abs() < 0.02).all())
    often = len(kept) < 0.6 * factors.numel()
    facts = torch.tensor([at_its_place, alone, often]).double()
    observe("[logits untouched, units kept or dropped and no more, many dropped]", facts)
    observe("factor of a kept unit", torch.tensor(factor if alone else 0.0), tolerance=0.01)
    compare.require(at_its_place, "in train mode the logits themselves are changed at random")
    compare.require(alone, "in train mode there is more at random than 256 units that are kept or dropped")
    compare.require(
        abs(factor - 2) < 0.02,
        f"in train mode a unit that is kept counts {factor:.3g} times as much as in eval mode, "
        "which is another rate than 0.5",
    )


@check(
    part="SimpleCNN",
    points=3,
    kind="value",
    needs=("simple_cnn_gives_one_logit_for_each_class",),
    otherwise=("simple_cnn_learns_with_every_parameter", "simple_cnn_drops_out_in_train_mode_only"),
    help="Compare your layers and their sizes with the statement one by one: convolution, ReLU, max pooling, "
    "three times; then flatten, linear, ReLU, dropout, linear.",
)
def simple_cnn_computes_the_lessons_network(submission, oracle):
    """it has the network's parameters, and with the reference's weights the logits are the reference's"""
    ours = oracle.build("SimpleCNN", 5).eval()
    same_size(submission.build("SimpleCNN", 5), ours)
    theirs = submission.build("SimpleCNN", 5, weights=ours).eval()
    images = oracle.normal(4, 1, 28, 28)
    with torch.no_grad():
        expected = ours(images)
        logits = compare.tensor(
            theirs(images), what="SimpleCNN(5)(images)", shape=(4, 5), dtype=torch.float32
        )
    compare.close(
        log_softmax(logits, 1),
        log_softmax(expected, 1),
        what="the log-softmax of SimpleCNN(5)(images)",
        rtol=1e-4,
        atol=max(1e-4, 10 * float(getattr(expected, "drift", 0.0))),
    )
