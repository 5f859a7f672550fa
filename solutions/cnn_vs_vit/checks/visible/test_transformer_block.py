"""What TransformerBlock must compute, and what holds of it whatever its layers are called."""

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.outcome import CheckFailed, Outcome

PROPERTIES = (
    "block_sees_the_whole_sequence_and_nothing_else",
    "block_normalises_last",
    "block_drops_out_at_its_rate_in_train_mode_only",
    "block_widens_its_feed_forward_part",
    "block_feed_forward_silences_units",
)
HALVES = {
    f"{layer}.{values}"
    for layer in ("norm1", "norm2", "feed_forward.0", "feed_forward.2")
    for values in ("weight", "bias")
}


@check(
    part="TransformerBlock",
    points=2,
    kind="structure",
    help="Attention mixes the tokens of one sequence; all else looks at one token at a time.",
)
def block_sees_the_whole_sequence_and_nothing_else(submission, oracle):
    """the output has the input's shape; each token looks at all of its own sequence, wherever they stand"""
    model = submission.build("TransformerBlock", 12, 3, 0.1, 2).eval()
    x = oracle.normal(3, 5, 12)
    what = "TransformerBlock(12, 3, 0.1, 2)(x)"
    with torch.no_grad():
        compare.tensor(model(x), what=what, shape=(3, 5, 12), dtype=torch.float32)
    structure.eval_is_deterministic(model, x)
    inner = structure.mixes_examples(lambda: submission.build("SelfAttention", 12, 3), x)
    observe("does SelfAttention mix the examples itself", torch.tensor(float(inner)))
    structure.batch_independence(model, x, what=what)
    structure.dependence_on_all(model, x, what=what)
    structure.permutation_equivariance(model, x, what=what)


@check(
    part="TransformerBlock",
    points=1,
    kind="property",
    help="Which is the last thing that happens to a token before dropout: a sum or a norm?",
)
def block_normalises_last(submission, oracle):
    """each token leaves a new block with mean 0 and variance 1: the norm comes after the sum"""
    model = submission.build("TransformerBlock", 16, 2, 0.1, 4).eval()
    x = 3 * oracle.normal(2, 5, 16) + 1
    with torch.no_grad():
        output = model(x)
    output = compare.tensor(output, what="TransformerBlock(16, 2, 0.1, 4)(x)", shape=(2, 5, 16))
    mean, spread = output.mean(-1).abs().max(), (output.var(-1, unbiased=False) - 1).abs().max()
    added, over_tokens = (output - x).mean(-1).abs().max(), output.mean(1).abs().max()
    observe(
        "[not centred, variance not 1, what is added centred, each feature centred, some are zero]",
        torch.tensor(
            [mean > 0.02, spread > 0.05, added <= 0.02, over_tokens <= 0.02, bool((output == 0).any())]
        ).double(),
    )
    running = [name for name, _ in model.named_buffers() if "running" in name]
    observe("running statistics in a block", torch.tensor(float(len(running))))
    compare.require(float(mean) <= 0.02, "the mean of a token's features is not 0 at the end of a new block")
    compare.require(
        float(spread) <= 0.05, "the variance of a token's features is not 1 at the end of a new block"
    )


@check(
    part="TransformerBlock",
    points=2,
    kind="property",
    help="nn.Dropout(dropout) follows the mode by itself; F.dropout must be told training=self.training.",
)
def block_drops_out_at_its_rate_in_train_mode_only(submission, oracle):
    """dropout acts in train mode only, in both halves, on single features, at its rate: not at all at 0"""
    x = oracle.normal(4, 6, 16)
    half = submission.build("TransformerBlock", 16, 2, 0.5, 2)
    structure.eval_is_deterministic(half, x)
    never = submission.build("TransformerBlock", 16, 2, 0.0, 2)
    first, second = _in_train_mode(never, x, times=2)
    observe(
        "[train mode random at rate 0, all zero]",
        torch.tensor([not torch.equal(first, second), not bool(first.any())]).double(),
    )
    structure.train_and_eval_agree(never, x)
    structure.train_and_eval_differ(half, x)
    always = submission.build("TransformerBlock", 16, 2, 1.0, 2)
    full, second = _in_train_mode(always, x, times=2)
    observe("is train mode random at rate 1", torch.tensor(float(not torch.equal(full, second))))
    compare.require(torch.equal(full, second), "at rate 1.0 two calls in train mode differ")
    if bool(full.any()):
        # Dropout in front of the sums, as in the paper, leaves the input alone, or its norm.
        bare = (x, torch.nn.functional.layer_norm(x, (16,)))
        kept = all(float((full - left).abs().max()) > 1e-3 for left in bare)
        observe("is there more than the input at rate 1", torch.tensor(float(kept)))
        compare.require(not kept, "at rate 1.0 train mode still shows what a half of the block computes")
    else:
        _require_dropout_last(half, x)


def _in_train_mode(model, x, times):
    """So many outputs in train mode; the model is left in it."""
    model.train()
    with torch.no_grad():
        return [
            compare.tensor(model(x), what="the output in train mode", shape=tuple(x.shape))
            for _ in range(times)
        ]


def _require_dropout_last(model, x):
    """Require outputs in train mode at rate 0.5 of which single features are zero, and the others change."""
    outputs = _in_train_mode(model, x, times=2)
    first, second = (output != 0 for output in outputs)
    share = float(torch.stack([first, second]).double().mean())
    partly = bool((first.any(-1) & ~first.all(-1)).any())
    both = first & second
    still = torch.equal(outputs[0][both], outputs[1][both])
    compare.chance(1e-9)  # 768 features: a share beyond 0.35 and 0.65 has chance 2 exp(-2 * 768 * 0.15^2)
    observe(
        "[dropped at the end, single features, what is left stays]",
        torch.tensor([0.35 < share < 0.65, partly, still]).double(),
    )
    compare.require(share < 0.65, "at rate 0.5 fewer features than half leave the block as zeros")
    compare.require(share > 0.35, "at rate 0.5 more features than half leave the block as zeros")
    compare.require(partly, "dropout takes all features of a token or none")
    compare.require(not still, "in train mode only what leaves the block is dropped, and nothing before")


@check(
    part="TransformerBlock",
    points=4,
    kind="value",
    otherwise=PROPERTIES,
    help="Write down what each half adds and where it normalises, then compare with the statement.",
)
def block_computes_the_lessons_two_halves(submission, oracle):
    """with the reference's weights, the output in eval mode is the reference's"""
    ours = oracle.build("TransformerBlock", 12, 3, 0.1, 4).eval()
    probe, x = (oracle.normal(2, 3, 12),), oracle.normal(2, 5, 12)
    theirs = submission.build("TransformerBlock", 12, 3, 0.1, 4, weights=ours, probe=probe).eval()
    inner = structure.mixes_examples(lambda: submission.build("SelfAttention", 12, 3), x)
    observe("does SelfAttention mix the examples itself", torch.tensor(float(inner)))
    # A norm's epsilon is free within reason: 1e-5 is PyTorch's, 1e-6 and 1e-12 are common too.
    output, expected = theirs(x), ours(x)
    try:
        compare.close(output, expected, what="TransformerBlock(12, 3, 0.1, 4)(x)", rtol=1e-4, atol=1e-4)
    except CheckFailed:
        halves = _around_own_attention(submission, theirs, 12, 3)
        if halves is None or not torch.allclose(output, halves(x), rtol=1e-4, atol=1e-4):
            raise


def _around_own_attention(submission, block, width, heads):
    """The lesson's two halves with a block's weights, around what the submission's own SelfAttention gives.

    A mistake in there is not the block's. None where the block has not the lesson's names.
    """
    state = submission.state(block)
    own = {name.removeprefix("attention."): v for name, v in state.items() if name.startswith("attention.")}
    try:
        attention = submission.build("SelfAttention", width, heads).eval()
    except Outcome:
        return None
    if own.keys() != submission.state(attention).keys() or not state.keys() >= HALVES:
        return None
    attention.load_state_dict(own)

    def layer(name, x):
        return torch.nn.functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(name, x):
        return torch.nn.functional.layer_norm(x, (width,), state[f"{name}.weight"], state[f"{name}.bias"])

    def halves(x):
        y = norm("norm1", compare.tensor(attention(x), what="the attention", shape=tuple(x.shape)) + x)
        return norm("norm2", layer("feed_forward.2", layer("feed_forward.0", y).relu()) + y)

    return halves


@check(
    part="TransformerBlock",
    points=1,
    kind="structure",
    help="How wide is the feed-forward part inside, and does every layer you define take part in forward?",
)
def block_widens_its_feed_forward_part(submission, oracle):
    """the feed-forward part is forward_expansion times as wide inside; both norms and all layers learn"""
    sizes = {}
    for expansion in (1, 2, 5):
        model = submission.build("TransformerBlock", 8, 2, 0.1, expansion).eval()
        gains = [name for name, p in model.named_parameters() if p.numel() == 8 and bool((p == 1).all())]
        shapes = [p.shape for _, p in model.named_parameters()]
        sizes[expansion] = sum(s.numel() for s in shapes if len([side for side in s if side > 1]) > 1)
        structure.disturb(model, seed=oracle.seed())
        structure.every_parameter_learns(model, oracle.normal(4, 6, 8), dimensions=2)
        # A new norm's gain is ones; an answer may store it otherwise, but then both of them.
        observe("is there one norm for both halves", torch.tensor(float(len(gains) == 1)))
        compare.require(
            len(gains) != 1, "the block has the parameters of one norm, expected one for each half"
        )
    growth = [sizes[2] - sizes[1], sizes[5] - sizes[2]]
    observe("weights by expansion", torch.tensor([float(size) for size in sizes.values()]))
    compare.require(
        growth == [2 * 64, 6 * 64],
        "the number of weights does not grow by 2 E² with each unit of forward_expansion",
    )
    compare.require(
        sizes[1] >= 6 * 64, "the block has fewer weights than attention and feed-forward part need"
    )


@check(
    part="TransformerBlock",
    points=1,
    kind="property",
    help="What stands between the two Linear layers of the feed-forward part?",
)
def block_feed_forward_silences_units(submission, oracle):
    """for one token, ReLU silences some units of the feed-forward part and lets others through"""
    model = submission.build("TransformerBlock", 8, 2, 0.1, 5).eval()
    found = structure.gradients(model, oracle.normal(1, 1, 8))
    silent = []
    for name, gradient in found.items():
        gradient = compare.tensor(gradient, what=f"the gradient of {name}")
        sides = [side for side in gradient.shape if side > 1]
        if sorted(sides) == [8, 40]:
            by_unit = gradient.reshape(sides).abs().amax(sides.index(8))
            silent.append(float((by_unit == 0).double().mean()))
    observe("are the units of the feed-forward part all active", torch.tensor(float(not any(silent))))
    observe("layers of the feed-forward part", torch.tensor(float(len(silent))))
    compare.require(bool(silent), "no layer of the block leads from 8 features to 5 x 8 or back")
    compare.require(
        all(0.05 < share < 0.95 for share in silent), "no unit of the feed-forward part is silent"
    )
