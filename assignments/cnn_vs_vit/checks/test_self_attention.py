"""What SelfAttention must compute, and what holds of it whatever its layers are called."""

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe

REDRAWS = 16
PROPERTIES = (
    "attention_keeps_the_shape_of_its_input",
    "attention_sees_the_whole_sequence_and_nothing_else",
    "attention_weights_of_a_token_sum_to_one",
    "attention_learns_with_four_projections",
    "attention_heads_weigh_the_tokens_differently",
    "attention_scores_are_scaled_by_the_width_of_a_head",
)


@check(
    part="SelfAttention",
    points=1,
    kind="shape",
    help="The result has one vector of width E for each token, like the input: check your last reshape.",
)
def attention_keeps_the_shape_of_its_input(submission, oracle):
    """the output has the shape of the input, for any number of tokens and heads"""
    for batch, tokens, width, heads in ((2, 5, 12, 3), (1, 1, 8, 8), (3, 7, 6, 1)):
        x = oracle.normal(batch, tokens, width)
        output = submission.build("SelfAttention", width, heads)(x)
        what = f"SelfAttention({width}, {heads})(x)"
        compare.tensor(output, what=what, shape=(batch, tokens, width), dtype=torch.float32)


@check(
    part="SelfAttention",
    points=1,
    kind="property",
    needs=("attention_keeps_the_shape_of_its_input",),
    help="How wide would each head be? Compare before you divide, and say so in a ValueError.",
)
def attention_refuses_heads_that_do_not_divide_the_width(submission, oracle):
    """a number of heads that does not divide embed_size is a ValueError"""
    output = submission.build("SelfAttention", 10, 5)(oracle.normal(2, 3, 10))
    compare.tensor(output, what="SelfAttention(10, 5)(x)", shape=(2, 3, 10))
    compare.raises(
        "ValueError", lambda: submission.build("SelfAttention", 10, 4), what="SelfAttention(10, 4)"
    )


@check(
    part="SelfAttention",
    points=2,
    kind="structure",
    needs=("attention_keeps_the_shape_of_its_input",),
    help="Scores compare the tokens of one sequence: which two dimensions does your matrix product contract?",
)
def attention_sees_the_whole_sequence_and_nothing_else(submission, oracle):
    """each token looks at all tokens of its own sequence, wherever they stand, and at no other sequence"""
    model = submission.build("SelfAttention", 12, 3).eval()
    x = oracle.normal(3, 5, 12)
    what = "SelfAttention(12, 3)(x)"
    structure.batch_independence(model, x, what=what)
    structure.dependence_on_all(model, x, what=what)
    structure.permutation_equivariance(model, x, what=what)


@check(
    part="SelfAttention",
    points=2,
    kind="property",
    needs=("attention_keeps_the_shape_of_its_input",),
    help="For one query, the softmax runs over all keys. Which dimension of your scores are the keys?",
)
def attention_weights_of_a_token_sum_to_one(submission, oracle):
    """with one head, each output is a mean of the values, with positive weights that sum to 1"""
    model = submission.build("SelfAttention", 16, 1).eval()
    structure.redraw(model, seed=oracle.seed(), spread=0.25)
    x = oracle.normal(2, 4, 16)
    with torch.no_grad():
        mixed = compare.tensor(model(x), what="SelfAttention(16, 1)(x)", shape=(2, 4, 16)).double()
        alone = model(x.reshape(8, 1, 16))  # a token that sees only itself gives its own value, projected
    alone = (
        compare.tensor(alone, what="the output for one token", shape=(8, 1, 16)).reshape(2, 4, 16).double()
    )
    # mixed = weights @ alone; the outputs of four tokens in 16 dimensions leave one solution
    weights = torch.linalg.lstsq(alone.mT, mixed.mT).solution.mT
    off = (weights @ alone - mixed).abs().amax() / mixed.abs().amax().clamp(min=1e-9)
    observe("sums of the attention weights", weights.sum(-1), 1e-3)
    observe("is the output no mixture of the values", (off > 1e-3).double())
    compare.require(float(off) <= 1e-3, "the output for a token is no mixture of what the tokens give alone")
    compare.require(
        float((weights.sum(-1) - 1).abs().max()) <= 1e-3,
        "the weights of a token over all tokens do not sum to 1",
    )
    compare.require(float(weights.min()) >= -1e-3, "some attention weights are negative")


@check(
    part="SelfAttention",
    points=1,
    kind="gradient",
    needs=("attention_keeps_the_shape_of_its_input",),
    help="Queries, keys and values each have a projection of their own, and so has the result of the heads.",
)
def attention_learns_with_four_projections(submission, oracle):
    """queries, keys, values and output have a projection each, and a gradient reaches all of them"""
    model = submission.build("SelfAttention", 12, 3).eval()
    structure.redraw(model, seed=oracle.seed(), spread=0.3)
    matrices = sum(p.numel() for _, p in model.named_parameters() if p.dim() > 1)
    observe("numbers in all projections", torch.tensor(float(matrices)))
    compare.require(
        matrices >= 4 * 12 * 12,
        f"SelfAttention(12, 3) has {matrices} weights, four projections of 12 x 12 have {4 * 12 * 12}",
    )
    structure.every_parameter_learns(model, oracle.normal(2, 5, 12), dimensions=2)


@check(
    part="SelfAttention",
    points=4,
    kind="value",
    needs=("attention_keeps_the_shape_of_its_input",),
    otherwise=PROPERTIES,
    help="Compare with softmax(QKᵀ / √head_dim) V for each head; then heads side by side, then fc_out.",
)
def attention_is_the_softmax_of_scaled_scores(submission, oracle):
    """with the reference's weights, the output is the reference's"""
    for width, heads, tokens in ((12, 3, 5), (8, 2, 4)):
        ours = oracle.build("SelfAttention", width, heads)
        probe, x = (oracle.normal(2, 3, width),), oracle.normal(2, tokens, width)
        theirs = submission.build("SelfAttention", width, heads, weights=ours, probe=probe)
        compare.close(theirs(x), ours(x), what=f"SelfAttention({width}, {heads})(x)")


@check(
    part="SelfAttention",
    points=1,
    kind="property",
    needs=("attention_keeps_the_shape_of_its_input",),
    help="Each head must compare and mix its own features only. Is `heads` used in forward?",
)
def attention_heads_weigh_the_tokens_differently(submission, oracle):
    """several heads mix the tokens with weights of their own, which one head cannot"""
    distances = []
    for heads in (1, 4):
        model = submission.build("SelfAttention", 16, heads).eval()
        structure.redraw(model, seed=oracle.seed(), spread=0.5)
        mixed, alone = _mixed_and_alone(model, oracle.normal(2, 4, 16))
        weights = torch.linalg.lstsq(alone.mT, mixed.mT).solution.mT
        distances.append(float((weights @ alone - mixed).norm() / mixed.norm().clamp(min=1e-9)))
    observe("is the output with several heads that of one", torch.tensor(float(distances[1] <= 0.01)))
    compare.require(distances[1] > 0.01, "with four heads, all of them weigh the tokens alike")


@check(
    part="SelfAttention",
    points=1,
    kind="property",
    needs=("attention_keeps_the_shape_of_its_input",),
    help="A score is the dot product of two vectors: divide it by the root of their width.",
)
def attention_scores_are_scaled_by_the_width_of_a_head(submission, oracle):
    """weights are as even or uneven as scores divided by the root of the head's width make them"""
    model = submission.build("SelfAttention", 80, 5).eval()  # head_dim 16: 80, 16, 5 and roots all differ
    found = []
    for _ in range(REDRAWS):
        structure.redraw(model, seed=oracle.seed(), spread=80**-0.5)
        mixed, alone = _mixed_and_alone(model, oracle.normal(2, 6, 80))
        even = alone.mean(1, keepdim=True)  # what equal weights would give
        spread = (alone - even).square().mean().clamp(min=1e-12)
        found.append(float((mixed - even).square().mean() / spread))
    # With that spread of the weights, queries and keys have unit variance, and so have the scaled scores.
    queries, keys = oracle.normal(500, 6, 16), oracle.normal(500, 6, 16)
    weights = (queries @ keys.mT / 16**0.5).softmax(-1)
    expected = float((weights - 1 / 6).square().sum(-1).mean() / (1 - 1 / 6))
    ratio = sum(found) / REDRAWS / expected
    compare.chance(1e-7)  # the ratio of a correct answer is 1.05 +- 0.05; the bounds are 9 deviations away
    observe("unevenness of the attention weights", torch.tensor(ratio), 1e-3)
    compare.require(ratio > 0.6, "the attention weights are too even: the scores are scaled too far down")
    compare.require(
        ratio < 2.0, "the attention weights are too uneven: the scores are not scaled down enough"
    )


def _mixed_and_alone(model, x):
    """The output for each token among the others, and for each token by itself; both as float64."""
    batch, tokens, width = x.shape
    with torch.no_grad():
        mixed = compare.tensor(model(x), what="the output", shape=(batch, tokens, width))
        alone = compare.tensor(
            model(x.reshape(-1, 1, width)), what="the output for one token", shape=(batch * tokens, 1, width)
        )
    return mixed.double(), alone.reshape(batch, tokens, width).double()
