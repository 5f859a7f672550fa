"""What TransformerBlock must compute, and what holds of it whatever its layers are called."""

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe

PROPERTIES = (
    "block_sees_the_whole_sequence_and_nothing_else",
    "block_normalises_last",
    "block_drops_out_at_its_rate_in_train_mode_only",
    "block_widens_its_feed_forward_part",
    "block_feed_forward_silences_units",
)


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
    with torch.no_grad():
        output = model(3 * oracle.normal(2, 5, 16) + 1)
    output = compare.tensor(output, what="TransformerBlock(16, 2, 0.1, 4)(x)", shape=(2, 5, 16))
    mean, spread = output.mean(-1).abs().max(), (output.var(-1, unbiased=False) - 1).abs().max()
    observe("is the output of a block not normalised", torch.tensor(float(mean > 0.02 or spread > 0.05)))
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
    """dropout acts in train mode only, and not at all at rate 0"""
    x = oracle.normal(4, 6, 16)
    structure.eval_is_deterministic(submission.build("TransformerBlock", 16, 2, 0.5, 2), x)
    structure.train_and_eval_agree(submission.build("TransformerBlock", 16, 2, 0.0, 2), x)
    structure.train_and_eval_differ(submission.build("TransformerBlock", 16, 2, 0.5, 2), x)


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
    compare.close(theirs(x), ours(x), what="TransformerBlock(12, 3, 0.1, 4)(x)", rtol=1e-4, atol=1e-4)


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
    compare.require(bool(silent), "no layer of the block leads from 8 features to 5 x 8 or back")
    compare.require(
        all(0.05 < share < 0.95 for share in silent), "no unit of the feed-forward part is silent"
    )
