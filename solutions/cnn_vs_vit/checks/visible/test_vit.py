"""What any ViT must do, however it is built: shapes, positions, independence, and learning to classify."""

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe

SMALL = {"image_size": 8, "patch_size": 4, "embed_size": 12, "depth": 2, "heads": 3}
RECIPE = {"limit": 8000, "epochs": 8, "batch_size": 64, "max_lr": 2e-3, "threads": 1}


@check(part="ViT", points=1, kind="shape", help="Is every argument passed on to the part that needs it?")
def vit_gives_one_logit_for_each_class(submission, oracle):
    """the output is (N, K), for the default and for other sizes, and for one image too"""
    logits = submission.build("ViT")(oracle.normal(2, 3, 32, 32))
    compare.tensor(logits, what="ViT()(images)", shape=(2, 10), dtype=torch.float32)
    for classes, batch, image, patch in ((4, 3, 8, 4), (7, 1, 6, 2)):
        sizes = {**SMALL, "image_size": image, "patch_size": patch}
        logits = submission.build("ViT", classes, **sizes)(oracle.normal(batch, 3, image, image))
        what = f"ViT({classes}, image_size={image}, patch_size={patch}, ...)({batch} images)"
        compare.tensor(logits, what=what, shape=(batch, classes))


def _observe_matrices(model):
    """Record whether the model's parameters can be those of two blocks, of two matrices each and more."""
    matrices = sum(p.dim() > 1 for _, p in model.named_parameters())
    observe("are there fewer matrices than in two blocks", torch.tensor(float(matrices < 8)))


@check(
    part="ViT",
    points=1,
    kind="property",
    needs=("vit_gives_one_logit_for_each_class",),
    help="Cross-entropy applies the softmax itself: return what your last layer gives.",
)
def vit_returns_logits(submission, oracle):
    """the output is logits: no softmax, and of any sign"""
    model = submission.build("ViT", 32, **SMALL).eval()
    structure.disturb(model, seed=oracle.seed(), by=0.3)
    with torch.no_grad():
        logits = compare.tensor(model(oracle.normal(6, 3, 8, 8)), what="ViT(32, ...)(images)", shape=(6, 32))
    sums_to_one = float((logits.sum(-1) - 1).abs().max()) < 1e-3
    bounded = bool((logits >= 0).all()) and bool((logits <= 1).all())
    positive = bool((logits >= 0).all())
    observe(
        "do the outputs look like probabilities",
        torch.tensor([float(sums_to_one), float(bounded), float(positive)]),
    )
    compare.require(not (sums_to_one and bounded), "the outputs are probabilities, expected logits")
    compare.require(not bounded, "all outputs lie between 0 and 1, expected logits")
    compare.chance(2.0**-32)  # 32 outputs would have to share a sign, by weights and biases of either
    compare.require(not positive, "no output is negative, expected logits of any sign")


@check(
    part="ViT",
    points=2,
    kind="structure",
    needs=("vit_gives_one_logit_for_each_class",),
    help="Is everything indexed by token rather than by place in the batch, and is dropout off in eval mode?",
)
def vit_classifies_each_image_by_itself(submission, oracle):
    """in eval mode an image's logits do not depend on the rest of the batch, nor on its place there"""
    model = submission.build("ViT", 5, **SMALL).eval()
    _observe_matrices(model)
    structure.disturb(model, seed=oracle.seed())
    images = oracle.normal(4, 3, 8, 8)
    structure.eval_is_deterministic(model, images)
    inner = structure.mixes_examples(
        lambda: submission.build("TransformerBlock", 12, 3, 0.1, 2), oracle.normal(3, 4, 12)
    )
    observe("does TransformerBlock mix the examples itself", torch.tensor(float(inner)))
    cut = structure.mixes_examples(lambda: submission.build("PatchEmbedding", 8, 4, 3, 12), images)
    observe("does PatchEmbedding mix the examples itself", torch.tensor(float(cut)))
    structure.batch_independence(model, images, what="the logits")
    moved = _minds_place(model, images)
    observe("do logits depend on the place in the batch", torch.tensor(float(moved)))
    compare.require(not moved, "an image's logits change with its place in the batch")


def _minds_place(model, images):
    """Whether the same images in another order get other logits."""
    shape = (len(images), 5)
    with torch.no_grad():
        logits = compare.tensor(model(images), what="the logits", shape=shape)
        turned = compare.tensor(model(images.flip(0)), what="the logits", shape=shape).flip(0)
    return float((logits - turned).abs().max()) > 1e-4 * float(logits.abs().max())


@check(
    part="ViT",
    points=3,
    kind="property",
    needs=("vit_gives_one_logit_for_each_class",),
    help="Attention treats tokens as a set. What tells it where each patch stands?",
)
def vit_sees_where_a_patch_stands(submission, oracle):
    """patches in another order give other logits, each patch counts, equal weights give equal logits"""
    model = submission.build("ViT", 5, **SMALL).eval()
    _observe_matrices(model)
    structure.disturb(model, seed=oracle.seed(), by=0.2)
    images = oracle.normal(2, 3, 8, 8)
    top, bottom = images[:, :, :4], images[:, :, 4:]
    with torch.no_grad():
        logits = compare.tensor(model(images), what="the logits", shape=(2, 5))
        options = [torch.cat([bottom, top], 2), images.roll(4, 3), images.roll((4, 4), (2, 3))]
        moved = [
            float((compare.tensor(model(x), what="logits", shape=(2, 5)) - logits).abs().max())
            for x in options
        ]
    scale = float(logits.abs().max())
    blind = float((logits[0] - logits[1]).abs().max()) <= 1e-4 * scale
    observe("do logits depend on the place in the batch", torch.tensor(float(_minds_place(model, images))))
    observe("do two images get the same logits", torch.tensor(float(blind)))
    extra = [p for _, p in model.named_parameters() if p.dim() > 1 and p.numel() == SMALL["embed_size"]]
    observe("vectors of a token's width beside the layers", torch.tensor(float(len(extra))))
    found = structure.gradients(model, images).values()
    idle = [value for value in found if value.dim() > 1 and not bool(value.any())]
    observe("are there weights without influence", torch.tensor(float(bool(idle))))
    again = submission.build("ViT", 5, **SMALL).eval()
    if structure.give_state(model, again):
        with torch.no_grad():
            twin = compare.tensor(again(images), what="the logits", shape=(2, 5))
        own = float((twin - logits).abs().max()) > 1e-3 * scale
        observe("do equal weights give other logits", torch.tensor(float(own)))
        compare.require(
            not own,
            "a ViT with the same parameters and buffers gives other logits: something random is in neither",
        )
    observe(
        "do logits change with the order of the patches",
        torch.tensor([float(m > 1e-4 * scale) for m in moved]),
    )
    compare.require(min(moved) > 1e-4 * scale, "the logits do not change when patches change places")
    leaf = images.clone().requires_grad_()
    logits = compare.tensor(model(leaf), what="the logits", shape=(2, 5))
    compare.require(logits.requires_grad, "no gradient flows from the logits to the image")
    (gradient,) = torch.autograd.grad((logits * torch.linspace(-1, 1.2, 5)).sum(), leaf, allow_unused=True)
    gradient = torch.zeros_like(leaf) if gradient is None else gradient
    counts = gradient.abs().amax((0, 1)).reshape(2, 4, 2, 4).amax((1, 3)) > 0
    observe("patches that count", counts.double())
    compare.require(bool(counts.all()), "some patches of the image have no influence on the logits")


@check(
    part="ViT",
    points=3,
    kind="accuracy",
    needs=("vit_gives_one_logit_for_each_class", "vit_sees_where_a_patch_stands"),
    tier="cpu",
    data="cifar10",
    help="Watch the training loss: if it falls slowly, look at what stands between the image and the logits.",
)
def vit_learns_to_classify_images(submission, contest):
    """after a short training, held-out images are recognised as well as the reference does"""
    # Sixteen patches instead of sixty-four: a quarter of the time, and in that time it learns more.
    patch_size = 8 if contest.device == "cpu" else 4
    contest.decide(
        submission,
        "ViT",
        10,
        32,
        patch_size,
        **RECIPE,
        gpu={"limit": 50_000, "epochs": 30, "batch_size": 256},
    )
