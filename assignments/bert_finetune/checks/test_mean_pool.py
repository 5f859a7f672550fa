"""What mean_pool must compute, and what flows back through it."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe


def mask_of(lengths, width):
    """(N, width), 1 for the first tokens of each text."""
    return (torch.arange(width) < torch.tensor(lengths).unsqueeze(1)).long()


@check(
    part="mean_pool",
    points=2,
    kind="value",
    help="Sum the vectors of a text's own tokens, and divide by how many of them there are.",
)
def mean_pool_averages_the_tokens(submission, oracle):
    """each text gets the mean of its own token vectors, in their dtype"""
    for lengths, width, size in (((5, 2, 1), 5, 4), ((3, 3), 3, 6), ((1, 7, 4, 6), 8, 3)):
        vectors = oracle.normal(len(lengths), width, size) + 1  # a mean of zero would hide a wrong count
        pooled = submission.mean_pool(vectors, mask_of(lengths, width))
        expected = oracle.mean_pool(vectors, mask_of(lengths, width))
        compare.close(pooled, expected, what=f"mean_pool of {len(lengths)} texts padded to {width}")


@check(
    part="mean_pool",
    points=1,
    kind="gradient",
    help="Keep to operations on tensors: detach(), numpy() and tolist() cut the way back to the encoder.",
)
def mean_pool_hands_gradients_to_the_tokens(submission, oracle):
    """each token gets its share of the gradient, padding gets none"""
    vectors = oracle.normal(3, 6, 4).requires_grad_()
    mask = mask_of((6, 2, 3), 6)
    pooled = compare.tensor(submission.mean_pool(vectors, mask), what="mean_pool", shape=(3, 4))
    observe("has the result a gradient", torch.tensor(float(pooled.requires_grad)))
    compare.require(pooled.requires_grad, "no gradient flows from the pooled vectors to the tokens")
    weights = oracle.normal(3, 4)
    (gradient,) = torch.autograd.grad((pooled * weights.to(pooled.dtype)).sum(), vectors)
    share = mask / mask.sum(1, keepdim=True)
    expected = share.unsqueeze(-1) * weights.unsqueeze(1)
    compare.close(gradient, expected, what="the gradient with respect to the token vectors")
