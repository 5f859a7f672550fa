"""PatchEmbedding in float64, with its gradient, at other sizes."""

import torch

from dlgrade import compare
from dlgrade.checks import check


@check(
    part="PatchEmbedding",
    points=1,
    kind="gradient",
    otherwise=("each_token_sees_its_own_patch_only", "patches_share_one_projection"),
    help="Try one channel, patches of one pixel and a patch as large as the image.",
)
def patches_and_their_gradient_hold_at_other_sizes(submission, oracle):
    """in float64, tokens and gradient are the reference's for other sizes of image and patch"""
    for image, patch, channels, width in ((9, 3, 2, 7), (4, 4, 1, 6), (3, 1, 5, 4)):
        ours = oracle.build("PatchEmbedding", image, patch, channels, width)
        probe = (oracle.normal(1, channels, image, image),)
        theirs = submission.build("PatchEmbedding", image, patch, channels, width, weights=ours, probe=probe)
        ours.double(), theirs.double()
        values = oracle.normal(2, channels, image, image).double()
        direction = oracle.normal(2, (image // patch) ** 2, width).double()
        results = []
        for model in (theirs, ours):
            x = values.clone().requires_grad_()
            tokens = compare.tensor(model(x), what="the tokens in float64", shape=tuple(direction.shape))
            compare.require(tokens.requires_grad, "no gradient flows from the tokens to the image")
            results.append((tokens, torch.autograd.grad((tokens * direction).sum(), x, allow_unused=True)[0]))
        (tokens, gradient), (expected, expected_gradient) = results
        what = f"PatchEmbedding({image}, {patch}, {channels}, {width})"
        compare.close(tokens, expected, what=f"{what}(x)")
        compare.close(gradient, expected_gradient, what=f"the gradient of {what}")
