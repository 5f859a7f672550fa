"""SimpleCNN's outputs are logits, and its derivatives are the reference's."""

import torch
from torch.nn.functional import cross_entropy

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe


@check(
    part="SimpleCNN",
    points=2,
    kind="gradient",
    needs=("simple_cnn_gives_one_logit_for_each_class",),
    otherwise=("simple_cnn_computes_the_lessons_network", "simple_cnn_returns_logits"),
    help="Which values does each pooling keep, and where does each ReLU stand?",
)
def simple_cnn_has_the_lessons_derivatives(submission, oracle):
    """the loss changes with the images as the reference's does"""
    ours = oracle.build("SimpleCNN", 7).eval()
    theirs = submission.build("SimpleCNN", 7, weights=ours).eval()
    pixels, labels = oracle.normal(3, 1, 28, 28), oracle.integers(3, low=0, high=7)
    found = []
    for model in (theirs, ours):
        images = pixels.clone().requires_grad_()
        logits = compare.tensor(model(images), what="SimpleCNN(7)(images)", shape=(3, 7))
        compare.require(logits.requires_grad, "the output has no gradient")
        (gradient,) = torch.autograd.grad(cross_entropy(logits, labels), images, allow_unused=True)
        compare.require(gradient is not None, "the output has no gradient with respect to the images")
        found.append(compare.tensor(gradient, what="the gradient with respect to the images"))
    scale = float(found[1].abs().max())
    compare.close(
        found[0] / scale, found[1] / scale, what="the gradient with respect to the images", atol=1e-3
    )


@check(
    part="SimpleCNN",
    points=1,
    kind="property",
    needs=("simple_cnn_gives_one_logit_for_each_class",),
    help="Cross-entropy applies the softmax itself: return what the last linear layer gives, of any sign.",
)
def simple_cnn_returns_logits(submission, oracle):
    """the outputs are logits of any sign, and each image is scored on its own"""
    model = submission.build("SimpleCNN", 9).eval()
    images = 3 * oracle.normal(12, 1, 28, 28)
    structure.descend(model, images)
    with torch.no_grad():
        logits = compare.tensor(model(images), what="SimpleCNN(9)(images)", shape=(12, 9))
    sums = logits.double().sum(1)
    bounded = bool((logits >= 0).all())
    observe("[no output negative, rows sum to one]", torch.tensor([bounded, is_one(sums)]).double())
    compare.require(not is_one(sums), "each row sums to 1: these are probabilities")
    compare.chance(2.0**-20)  # nine outputs or more would have to share a sign, by their biases and weights
    compare.require(not bounded, "no output is negative")
    structure.batch_independence(model, images[:3], what="the output")


def is_one(sums):
    return bool(((sums - 1).abs() < 1e-4).all())
