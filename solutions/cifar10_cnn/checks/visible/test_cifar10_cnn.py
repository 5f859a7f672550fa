"""What a Cifar10CNN of any design must do."""

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe

BUDGET = 2_000_000


@check(
    part="Cifar10CNN",
    points=1,
    kind="shape",
    help="Follow the sides through your layers from 32 on; is num_classes used in the last one?",
)
def cifar10_cnn_gives_one_logit_for_each_class(submission, oracle):
    """the output has one logit for each class, ten by default, for one image or several"""
    for args, classes, images in (((), 10, 3), ((7,), 7, 3), ((4,), 4, 1)):
        model = submission.build("Cifar10CNN", *args).eval()
        with torch.no_grad():
            logits = model(oracle.normal(images, 3, 32, 32))
        what = f"Cifar10CNN({classes})(images)"
        logits = compare.tensor(logits, what=what, shape=(images, classes))
        compare.require(logits.is_floating_point(), f"{what} is not floating")


@check(
    part="Cifar10CNN",
    points=1,
    kind="property",
    needs=("cifar10_cnn_gives_one_logit_for_each_class",),
    help="The first linear layer after the convolutions is often the largest: pool before it, or narrow it.",
)
def cifar10_cnn_stays_within_the_parameter_budget(submission, oracle):
    """it has at most 2,000,000 parameters"""
    model = submission.build("Cifar10CNN", 10)
    sizes = [torch.Size(entry.shape).numel() for entry in model.layout.parameters]
    observe("number of parameters", torch.tensor(float(sum(sizes))))
    compare.require(bool(sizes), "Cifar10CNN has no parameters at all")
    compare.require(
        sum(sizes) <= BUDGET, f"Cifar10CNN has {sum(sizes):,} parameters, at most {BUDGET:,} are allowed"
    )


@check(
    part="Cifar10CNN",
    points=2,
    kind="gradient",
    needs=("cifar10_cnn_gives_one_logit_for_each_class",),
    help="Is every layer you define used in forward? Does a detach() or no_grad() cut the way back? "
    "Layers in a plain list or dict are not found: use nn.ModuleList or nn.ModuleDict.",
)
def cifar10_cnn_learns_with_every_parameter(submission, oracle):
    """a gradient reaches every trainable parameter, and every layer is registered in the module"""
    model = submission.build("Cifar10CNN", 6).eval()
    images = oracle.normal(16, 3, 32, 32)
    structure.every_parameter_learns(model, images, dimensions=2, steps=3)  # a bias may cancel
    copy = submission.build("Cifar10CNN", 6).eval()
    copy.load_state_dict(model.state_dict())
    with torch.no_grad():
        first, again, copied = (
            compare.tensor(network(images), what="Cifar10CNN(6)(images)", shape=(16, 6)).double()
            for network in (model, model, copy)
        )
    close = 1e-3 * first.abs().max().clamp(min=1e-6)
    repeats, agrees = (bool((first - other).abs().max() <= close) for other in (again, copied))
    observe("[does it repeat itself, does a copy agree]", torch.tensor([repeats, agrees]).double())
    compare.require(
        agrees or not repeats,  # if two calls differ, that is another check's business
        "a second Cifar10CNN with all parameters and buffers of the first computes something else: "
        "some of its layers are not registered in the module",
    )


@check(
    part="Cifar10CNN",
    points=8,
    kind="accuracy",
    tier="cpu",
    data="cifar10",
    needs=("cifar10_cnn_gives_one_logit_for_each_class",),
    help="Convolutions with growing channels, a nonlinearity after each, pooling in between; batch "
    "normalisation makes short trainings go further.",
)
def cifar10_cnn_learns_to_classify_images(submission, contest):
    """after a short training on 10,000 images it classifies images it has not seen"""
    # Networks without normalisation need a lower rate and two more passes to learn the stand-in.
    contest.decide(
        submission,
        "Cifar10CNN",
        10,
        limit=10000,
        epochs=3,
        batch_size=128,
        max_lr=0.01,
        stand_in={"epochs": 5, "max_lr": 4e-3},
        gpu={"limit": 50_000, "epochs": 12, "batch_size": 512},
    )
