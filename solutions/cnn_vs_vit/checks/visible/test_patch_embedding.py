"""What PatchEmbedding must compute, and what holds of it whatever its layer is called."""

import torch

from dlgrade import compare, proxy, structure
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.outcome import StudentRaised

PROPERTIES = (
    "patches_become_one_token_each",
    "each_token_sees_its_own_patch_only",
    "patches_share_one_projection",
)


@check(
    part="PatchEmbedding",
    points=1,
    kind="shape",
    help="Tokens come second, features last. How many patches fit along one side, and how many in all?",
)
def patches_become_one_token_each(submission, oracle):
    """the output is (N, patches, E), for any number of channels and any size of patch; so says `count`"""
    for image, patch, channels, width in ((8, 4, 3, 5), (6, 2, 1, 7), (5, 5, 2, 4), (3, 1, 3, 6)):
        model = submission.build("PatchEmbedding", image, patch, channels, width)
        tokens = model(oracle.normal(2, channels, image, image))
        what, patches = f"PatchEmbedding({image}, {patch}, {channels}, {width})", (image // patch) ** 2
        compare.tensor(tokens, what=f"{what}(x)", shape=(2, patches, width), dtype=torch.float32)
        count = _count(model)
        observe("count", torch.tensor(float(patches if count is None else count)))
        compare.require(count in (None, patches), f"{what}.count is not the number of its patches")


def _count(model):
    """The attribute `count` where there is one: a ViT that never reads it can do without."""
    try:
        found = proxy.read(model, "count")
    except StudentRaised:
        return None
    return compare.number(found, what="the attribute count")


@check(
    part="PatchEmbedding",
    points=1,
    kind="property",
    help="Compare image_size with patch_size before you build the layer, and with x.shape in forward.",
)
def patches_that_do_not_fit_are_refused(submission, oracle):
    """a patch_size that does not divide image_size is a ValueError, and so is an image of another size"""
    model = submission.build("PatchEmbedding", 9, 3, 1, 4)
    tokens = model(oracle.normal(1, 1, 9, 9))
    compare.tensor(tokens, what="PatchEmbedding(9, 3, 1, 4)(x)", shape=(1, 9, 4))
    what = "PatchEmbedding(9, 4, 1, 4)"
    compare.raises("ValueError", lambda: submission.build("PatchEmbedding", 9, 4, 1, 4), what=what)
    wrong = oracle.normal(1, 1, 12, 12)
    compare.raises("ValueError", lambda: model(wrong), what="PatchEmbedding(9, 3, 1, 4) of a 12 x 12 image")


@check(
    part="PatchEmbedding",
    points=3,
    kind="structure",
    needs=("patches_become_one_token_each",),
    help="reshape() never moves a pixel: bring the two patch dimensions together with permute() first.",
)
def each_token_sees_its_own_patch_only(submission, oracle):
    """token i depends on all pixels of patch i, counted row by row from the left, and on nothing else"""
    model = submission.build("PatchEmbedding", 6, 2, 3, 8).eval()
    images = oracle.normal(2, 3, 6, 6)
    structure.batch_independence(model, images, what="the tokens")
    leaf = images.requires_grad_()
    tokens = compare.tensor(model(leaf), what="PatchEmbedding(6, 2, 3, 8)(x)", shape=(2, 9, 8))
    seen = torch.stack(
        [torch.autograd.grad(tokens[0, i].sum(), leaf, retain_graph=True)[0][0].abs() > 0 for i in range(9)]
    )  # (patches, C, H, W)
    observe("pixels that each token depends on", seen.double())
    for index in range(9):
        row, column = divmod(index, 3)
        own = torch.zeros(6, 6, dtype=torch.bool)
        own[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = True
        compare.require(
            not bool((seen[index] & ~own).any()), f"token {index} depends on pixels outside its patch"
        )
        compare.require(bool(seen[index][:, own].all()), f"token {index} does not depend on all of its patch")


@check(
    part="PatchEmbedding",
    points=2,
    kind="value",
    needs=("patches_become_one_token_each",),
    otherwise=PROPERTIES,
    help="Number the pixels of a small image and follow them: in which order do they reach the projection?",
)
def patches_are_projected_as_the_reference_does(submission, oracle):
    """with the reference's weights, the tokens are the reference's"""
    for image, patch, channels in ((6, 2, 3), (8, 4, 1)):
        ours = oracle.build("PatchEmbedding", image, patch, channels, 5)
        probe = (oracle.normal(1, channels, image, image),)
        images = oracle.normal(2, channels, image, image)
        theirs = submission.build("PatchEmbedding", image, patch, channels, 5, weights=ours, probe=probe)
        compare.close(
            theirs(images), ours(images), what=f"PatchEmbedding({image}, {patch}, {channels}, 5)(x)"
        )


@check(
    part="PatchEmbedding",
    points=1,
    kind="property",
    needs=("patches_become_one_token_each",),
    help="The same content gives the same token in every place: positions are not this part's business.",
)
def patches_share_one_projection(submission, oracle):
    """equal patches give equal tokens, in every place and image, and the tokens are linear in the pixels"""
    model = submission.build("PatchEmbedding", 6, 3, 2, 40).double()
    structure.disturb(model, seed=oracle.seed())
    patch = oracle.normal(1, 2, 3, 3).double()
    tokens = _tokens(model, patch.repeat(2, 1, 2, 2))
    change = tokens - _tokens(model, 2 * patch.repeat(2, 1, 2, 2))  # takes out what belongs to a place
    observe(
        "do changes of a token depend on its place", ((change - change[:1, :1]).abs().max() > 1e-6).double()
    )
    observe("do equal patches give different tokens", ((tokens - tokens[:1, :1]).abs().max() > 1e-6).double())
    compare.require(
        float((tokens - tokens[:1, :1]).abs().max()) <= 1e-6, "equal patches give different tokens"
    )
    first, second = oracle.normal(2, 2, 6, 6).double(), oracle.normal(2, 2, 6, 6).double()
    middle = (_tokens(model, first) + _tokens(model, second)) / 2
    off = (_tokens(model, (first + second) / 2) - middle).abs().max()
    observe("are the tokens not linear in the pixels", (off > 1e-6).double())
    compare.require(float(off) <= 1e-6, "the tokens of a mean of two images are not the mean of their tokens")
    rank = int(
        torch.linalg.matrix_rank(_tokens(model, torch.eye(18).double().reshape(18, 2, 3, 3).tile(2, 2))[:, 0])
    )
    compare.require(rank >= 17, f"18 pixels leave only {rank} dimensions in a token of 40")


def _tokens(model, images):
    with torch.no_grad():
        return compare.tensor(
            model(images), what="PatchEmbedding(6, 3, 2, 40)(x) in float64", shape=(len(images), 4, 40)
        ).double()
