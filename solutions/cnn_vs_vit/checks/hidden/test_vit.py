"""ViT's depth and parameters: every block its own, all of them in use."""

from collections import Counter

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.outcome import Outcome


@check(
    part="ViT",
    points=2,
    kind="structure",
    help="[block] * depth is one block in depth places. Make a new block for each.",
)
def vit_has_depth_blocks_of_its_own(submission, oracle):
    """there are as many blocks and heads as asked for, as wide as asked for, and no block shares weights"""
    shapes = {}
    for depth in (1, 2, 4):
        shapes[depth] = _shapes(_vit(submission, depth=depth, heads=3))
    sizes = {depth: _weights(found) for depth, found in shapes.items()}
    wide = _weights(_shapes(_vit(submission, depth=1, heads=3, embed_size=24)))
    first, second = sizes[2] - sizes[1], sizes[4] - sizes[2]
    observe("weights by depth and width", torch.tensor([float(size) for size in (*sizes.values(), wide)]))
    compare.require(first > 0, "the number of weights does not grow with depth: do the blocks share them?")
    compare.require(second == 2 * first, "the number of weights does not grow by the same for each block")
    compare.require(
        wide > 2 * sizes[1], "the number of weights does not grow with embed_size as a transformer's does"
    )
    block = shapes[2] - shapes[1]  # what one more block brings
    compare.require(block <= shapes[1], "with depth 1 there are not the weights of a block")
    compare.require(not block <= shapes[1] - block, "with depth 1 there are the weights of two blocks")
    images, tokens, seed = oracle.normal(2, 3, 8, 8), oracle.normal(2, 4, 12), oracle.seed()
    deaf = _same_for_any_heads(lambda heads: _vit(submission, depth=1, heads=heads), images, seed)
    inner = _same_for_any_heads(
        lambda heads: submission.build("TransformerBlock", 12, heads, 0.1, 2), tokens, seed
    )
    found = structure.gradients(_vit(submission, depth=1, heads=3).eval(), images).values()
    idle = any(value.dim() > 1 and not bool(value.any()) for value in found)
    observe(
        "[do heads change nothing, nor in a TransformerBlock, are there weights without influence]",
        torch.tensor([deaf, inner, idle]).double(),
    )
    compare.require(inner or not deaf, "with the same weights, 2 heads and 6 heads give the same logits")


def _same_for_any_heads(build, x, seed):
    """Whether a module gives the same with two heads as with six, its weights being equal."""
    try:
        few, many = build(2).eval(), build(6).eval()
        structure.disturb(few, seed=seed, by=0.3)
        if not structure.give_state(few, many):
            return False
        with torch.no_grad():
            first, second = (compare.tensor(model(x), what="the output") for model in (few, many))
        return first.shape == second.shape and float((first - second).abs().max()) <= 1e-6
    except Outcome:
        return False


@check(
    part="ViT",
    points=2,
    kind="gradient",
    help="Which of the layers in your constructor does forward never reach?",
)
def vit_learns_with_all_its_weights(submission, oracle):
    """a gradient reaches every weight of every block"""
    model = _vit(submission, depth=3, heads=3).eval()
    structure.disturb(model, seed=oracle.seed())
    structure.every_parameter_learns(model, oracle.normal(4, 3, 8, 8), dimensions=2)


def _vit(submission, *, depth, heads, embed_size=12):
    return submission.build(
        "ViT", 5, image_size=8, patch_size=4, embed_size=embed_size, depth=depth, heads=heads
    )


def _shapes(model):
    """How many parameters there are of each shape."""
    return Counter(p.shape for _, p in model.named_parameters())


def _weights(shapes):
    return sum(shape.numel() * count for shape, count in shapes.items())
