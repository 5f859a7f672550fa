"""A Cifar10CNN scores each image on its own, sees all of it, and returns logits."""

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe

IMAGES = 12  # in each batch: torch prepares a convolution for each size of batch that it meets
ALONE = 4  # of them
PATCH = 4  # pixels: a stride may skip single pixels, not whole patches


@check(
    part="Cifar10CNN",
    points=2,
    kind="property",
    needs=("cifar10_cnn_gives_one_logit_for_each_class",),
    help="In eval mode nothing may depend on the rest of the batch: no batch statistics, no sum over dim 0.",
)
def cifar10_cnn_scores_each_image_on_its_own(submission, oracle):
    """in eval mode an image gets the same scores alone, in a batch, and a second time"""
    model = submission.build("Cifar10CNN", 5).eval()
    images = oracle.normal(IMAGES, 3, 32, 32)
    structure.descend(model, images)
    structure.eval_is_deterministic(model, images)
    with torch.no_grad():
        together = compare.tensor(model(images), what="Cifar10CNN(5)(images)", shape=(IMAGES, 5)).double()
        rows = [
            compare.tensor(model(images[i : i + 1]), what="one image's scores", shape=(1, 5))
            for i in range(ALONE)
        ]
    difference = (together[:ALONE] - torch.cat(rows).double()).abs().max()
    apart = difference > 1e-3 * together.abs().max().clamp(min=1e-3)
    observe("do scores depend on the batch", apart.double())
    compare.require(not bool(apart), "an image's scores depend on the other images of the batch")


@check(
    part="Cifar10CNN",
    points=2,
    kind="property",
    needs=("cifar10_cnn_gives_one_logit_for_each_class",),
    help="Follow what each output can see: which pixels and which colours reach the last layer?",
)
def cifar10_cnn_sees_the_whole_image(submission, oracle):
    """every region and every colour of the image influences the scores"""
    model = submission.build("Cifar10CNN", 10).eval()
    images = oracle.normal(IMAGES, 3, 32, 32)
    structure.descend(model, images)
    images.requires_grad_()
    scores = compare.tensor(model(images), what="Cifar10CNN(10)(images)", shape=(IMAGES, 10))
    compare.require(scores.requires_grad, "no gradient flows from the scores to the images")
    weights = oracle.normal(IMAGES, 10)
    (gradient,) = torch.autograd.grad((scores * weights.to(scores.dtype)).sum(), images, allow_unused=True)
    compare.require(gradient is not None, "no gradient flows from the scores to the images")
    gradient = compare.tensor(gradient, what="the gradient with respect to the images")
    strength = gradient.abs().amax(0).unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH).amax((-1, -2))
    unseen = strength <= 1e-6 * strength.max()
    observe("regions without influence, by colour", unseen.double())
    compare.require(
        not bool(unseen.any()),
        f"{int(unseen.sum())} of {unseen.numel()} regions of the image have no influence",
    )


@check(
    part="Cifar10CNN",
    points=1,
    kind="property",
    needs=("cifar10_cnn_gives_one_logit_for_each_class",),
    help="Cross-entropy applies the softmax itself: return what the last layer gives, of any sign and size.",
)
def cifar10_cnn_returns_logits(submission, oracle):
    """the outputs are logits, not probabilities"""
    model = submission.build("Cifar10CNN", 40).eval()
    images = oracle.normal(IMAGES, 3, 32, 32)
    structure.descend(model, images)
    with torch.no_grad():
        scores = compare.tensor(model(images), what="Cifar10CNN(40)(images)", shape=(IMAGES, 40)).double()
    sums = bool(((scores.sum(1) - 1).abs() < 1e-4).all())
    bounded = bool(((scores >= 0) & (scores <= 1)).all()) and float(scores.abs().max()) > 0
    observe("[rows sum to one, all in 0..1]", torch.tensor([sums, bounded]).double())
    compare.require(not sums, "each row sums to 1: these are probabilities")
    compare.chance(2.0**-39)  # forty outputs would have to share a sign, by their weights
    compare.require(not bounded, "every score lies between 0 and 1: these are no logits")
