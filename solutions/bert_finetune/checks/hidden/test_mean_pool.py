"""mean_pool with every kind of mask, and with what may stand in the padding."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe


def mask_of(lengths, width):
    """(N, width), 1 for the first tokens of each text."""
    return (torch.arange(width) < torch.tensor(lengths).unsqueeze(1)).long()


@check(
    part="mean_pool",
    points=1,
    kind="property",
    needs=("mean_pool_averages_the_tokens",),
    help="0 * NaN is NaN. Which operation puts a number in place of another, whatever it was?",
)
def mean_pool_is_untouched_by_what_stands_in_the_padding(submission, oracle):
    """NaN, infinity and huge numbers at padding do not reach the result"""
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    vectors = oracle.normal(3, 5, 4)
    expected = oracle.mean_pool(vectors, mask)
    for value in (1e30, float("inf"), float("nan")):
        spoilt = vectors.masked_fill(mask.unsqueeze(-1) == 0, value)
        what = f"mean_pool with {value} at padding"
        pooled = compare.tensor(submission.mean_pool(spoilt, mask), what=what, shape=(3, 4), finite=False)
        observe(f"finite texts of {what}", torch.isfinite(pooled).all(1).double())
        compare.close(pooled, expected, what=what)


@check(
    part="mean_pool",
    points=1,
    kind="value",
    needs=("mean_pool_averages_the_tokens",),
    help="The mask may be of bool, its tokens need not come first, and a text may have no token at all.",
)
def mean_pool_takes_every_mask(submission, oracle):
    """masks of other dtypes, tokens in any place, float64 vectors, and zeros for a text without tokens"""
    vectors = oracle.normal(4, 6, 3, dtype=torch.float64) + 1
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 1], [1, 1, 1, 1, 1, 0]])
    for given in (mask.bool(), mask.to(torch.float32), mask.to(torch.int32)):
        name = str(given.dtype).removeprefix("torch.")
        expected = oracle.mean_pool(vectors, given)
        compare.close(submission.mean_pool(vectors, given), expected, what=f"mean_pool with a mask of {name}")
    mask[1] = 0
    what = "mean_pool with a text without tokens"
    pooled = compare.tensor(submission.mean_pool(vectors, mask), what=what, shape=(4, 3), finite=False)
    observe(f"finite texts of {what}", torch.isfinite(pooled).all(1).double())
    compare.close(pooled, oracle.mean_pool(vectors, mask), what=what)


@check(
    part="mean_pool",
    points=1,
    kind="value",
    needs=("mean_pool_averages_the_tokens",),
    help="float16 times float32 is float32: turn the mask, or the count, into the dtype of the vectors.",
)
def mean_pool_keeps_half_precision(submission, oracle):
    """vectors of float16, as of an encoder loaded in half precision, give a mean of float16"""
    vectors = (oracle.normal(3, 5, 4) + 1).to(torch.float16)
    mask = mask_of((5, 1, 3), 5)
    pooled = compare.tensor(submission.mean_pool(vectors, mask), what="mean_pool of float16", shape=(3, 4))
    kept = pooled.dtype == torch.float16
    observe(
        "[is the result float16, is it float32]", torch.tensor([kept, pooled.dtype == torch.float32]).double()
    )
    compare.require(kept, f"mean_pool of float16 vectors is {str(pooled.dtype).removeprefix('torch.')}")
    expected = oracle.mean_pool(vectors.float(), mask).to(torch.float16)
    compare.close(pooled, expected, what="mean_pool of float16", rtol=0.01, atol=0.01)


@check(
    part="mean_pool",
    points=1,
    kind="property",
    needs=("mean_pool_averages_the_tokens",),
    help="Broadcasting turns a mask of another shape into a wrong answer without a word: compare the shapes.",
)
def mean_pool_refuses_a_mask_of_another_shape(submission, oracle):
    """a mask that is not (N, T) is a ValueError"""
    vectors = oracle.normal(3, 4, 5)
    for shape in ((3, 1), (1, 4), (4,), (3, 5), (4, 3), (12,), (3, 4, 1)):
        mask = torch.ones(shape, dtype=torch.int64)
        compare.raises(
            "ValueError",
            lambda mask=mask: submission.mean_pool(vectors, mask),
            what=f"mean_pool(vectors (3, 4, 5), mask {shape})",
        )
    mask = torch.ones(3, 4, dtype=torch.int64)
    compare.close(submission.mean_pool(vectors, mask), oracle.mean_pool(vectors, mask), what="mean_pool")
