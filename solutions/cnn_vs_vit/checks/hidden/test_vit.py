"""ViT's depth and parameters: every block its own, all of them in use."""

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe


@check(
    part="ViT",
    points=2,
    kind="structure",
    help="[block] * depth is one block in depth places. Make a new block for each.",
)
def vit_has_depth_blocks_of_its_own(submission, oracle):
    """each block adds weights of its own, as wide as asked for"""
    sizes = {}
    for depth in (1, 2, 4):
        sizes[depth] = _weights(submission, image_size=8, patch_size=4, embed_size=12, depth=depth, heads=3)
    wide = _weights(submission, image_size=8, patch_size=4, embed_size=24, depth=1, heads=3)
    first, second = sizes[2] - sizes[1], sizes[4] - sizes[2]
    observe("weights by depth and width", torch.tensor([float(size) for size in (*sizes.values(), wide)]))
    compare.require(first > 0, "the number of weights does not grow with depth: do the blocks share them?")
    compare.require(second == 2 * first, "the number of weights does not grow by the same for each block")
    compare.require(
        wide > 2 * sizes[1], "the number of weights does not grow with embed_size as a transformer's does"
    )


@check(
    part="ViT",
    points=2,
    kind="gradient",
    help="Which of the layers in your constructor does forward never reach?",
)
def vit_learns_with_all_its_weights(submission, oracle):
    """a gradient reaches every weight of every block"""
    model = submission.build("ViT", 5, image_size=8, patch_size=4, embed_size=12, depth=3, heads=3).eval()
    structure.disturb(model, seed=oracle.seed())
    structure.every_parameter_learns(model, oracle.normal(4, 3, 8, 8), dimensions=2)


def _weights(submission, **sizes):
    model = submission.build("ViT", 5, **sizes)
    return sum(p.numel() for _, p in model.named_parameters())
