"""What SimpleCNN must compute.

Outputs are compared after a log-softmax: logits and log-probabilities train alike, so both are right.
"""

import torch
from torch.nn.functional import cross_entropy, log_softmax

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe


@check(part="SimpleCNN", points=1, kind="shape", help="Is num_classes used in the last layer?")
def simple_cnn_gives_one_logit_for_each_class(submission, oracle):
    """the output has one logit for each class, ten by default"""
    for args, classes in (((), 10), ((4,), 4), ((2,), 2)):
        logits = submission.build("SimpleCNN", *args)(oracle.normal(3, 1, 28, 28))
        what = f"SimpleCNN({classes})(images)"
        compare.tensor(logits, what=what, shape=(3, classes), dtype=torch.float32)


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
    help="nn.Dropout follows the module's mode by itself; F.dropout must be told: training=self.training.",
)
def simple_cnn_drops_out_in_train_mode_only(submission, oracle):
    """dropout makes train mode random, and is off in eval mode"""
    model = submission.build("SimpleCNN", 5).eval()
    structure.descend(model, oracle.normal(4, 1, 28, 28))
    image = oracle.normal(1, 1, 28, 28)
    copies = image.repeat(24, 1, 1, 1)  # a mask of its own for each copy, in one pass
    with torch.no_grad():
        model.train()
        training = compare.tensor(model(copies), what="the output in train mode", shape=(24, 5))
        model.eval()
        evaluating = compare.tensor(model(copies), what="the output in eval mode", shape=(24, 5))
    spread = (training - training[:1]).abs().amax(1)[1:]
    varied, moved = float(spread.max()) > 1e-6, float((evaluating - evaluating[:1]).abs().max()) > 1e-4
    compare.chance(2.0**-100)  # 23 copies drop the same of even five active units
    seen = torch.tensor([float(varied), float(moved)])
    what = "[does train mode vary, does eval mode vary]"
    observe(what, seen)
    compare.require(varied, "the same image gets the same output again and again in train mode")
    compare.require(not moved, "the same image gets different outputs in eval mode")


@check(
    part="SimpleCNN",
    points=3,
    kind="value",
    needs=("simple_cnn_gives_one_logit_for_each_class",),
    otherwise=("simple_cnn_learns_with_every_parameter", "simple_cnn_drops_out_in_train_mode_only"),
    help="Compare your layers with the statement one by one: convolution, ReLU, max pooling, three times; "
    "then flatten, linear, ReLU, dropout, linear.",
)
def simple_cnn_computes_the_lessons_network(submission, oracle):
    """with the reference's weights, the logits are the reference's"""
    ours = oracle.build("SimpleCNN", 5).eval()
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
