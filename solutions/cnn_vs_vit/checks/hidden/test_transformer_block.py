"""TransformerBlock at other sizes, in float64, and its gradient."""

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.outcome import CheckFailed, Outcome

OTHERWISE = (
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
    kind="gradient",
    otherwise=OTHERWISE,
    help="Try other widths, heads and expansions: does the block assume any of them?",
)
def block_and_its_gradient_hold_at_other_sizes(submission, oracle):
    """in float64, output and gradient in eval mode are the reference's for other widths and expansions"""
    for width, heads, expansion, tokens in ((8, 1, 5, 1), (10, 5, 1, 4)):
        ours = oracle.build("TransformerBlock", width, heads, 0.2, expansion).eval()
        probe = (oracle.normal(2, 3, width),)
        theirs = submission.build(
            "TransformerBlock", width, heads, 0.2, expansion, weights=ours, probe=probe
        ).eval()
        inner = structure.mixes_examples(
            lambda: submission.build("SelfAttention", 8, 2), oracle.normal(2, 3, 8)
        )
        observe("does SelfAttention mix the examples itself", torch.tensor(float(inner)))
        ours.double(), theirs.double()
        values, direction = oracle.normal(2, tokens, width).double(), oracle.normal(2, tokens, width).double()
        found, expected = (_with_gradient(model, values, direction) for model in (theirs, ours))
        what = f"TransformerBlock({width}, {heads}, 0.2, {expansion})"
        try:
            _require_close(found, expected, what)
        except CheckFailed:
            halves = _around_own_attention(submission, theirs, width, heads)
            if halves is None:
                raise
            _require_close(found, _with_gradient(halves, values, direction), f"{what} around your attention")


def _with_gradient(model, values, direction):
    """The output and its gradient with respect to the input."""
    x = values.clone().requires_grad_()
    output = compare.tensor(model(x), what="the output in float64", shape=tuple(direction.shape))
    compare.require(output.requires_grad, "no gradient flows from the output to the input")
    return output, torch.autograd.grad((output * direction).sum(), x, allow_unused=True)[0]


def _require_close(found, expected, what):
    # A norm's epsilon is free within reason: 1e-5 is PyTorch's, 1e-6 and 1e-12 are common too.
    compare.close(found[0], expected[0], what=f"{what}(x)", rtol=1e-4, atol=1e-4)
    compare.close(found[1], expected[1], what=f"the gradient of {what}", rtol=1e-3, atol=1e-3)


def _around_own_attention(submission, block, width, heads):
    """The lesson's two halves with a block's weights, around what the submission's own SelfAttention gives.

    A mistake in there is not the block's. In float64. None where the block has not the lesson's names.
    """
    state = submission.state(block)
    own = {name.removeprefix("attention."): v for name, v in state.items() if name.startswith("attention.")}
    try:
        attention = submission.build("SelfAttention", width, heads).eval()
    except Outcome:
        return None
    if own.keys() != submission.state(attention).keys() or not state.keys() >= HALVES:
        return None
    attention.double().load_state_dict(own)

    def layer(name, x):
        return torch.nn.functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(name, x):
        return torch.nn.functional.layer_norm(x, (width,), state[f"{name}.weight"], state[f"{name}.bias"])

    def halves(x):
        y = norm("norm1", compare.tensor(attention(x), what="the attention", shape=tuple(x.shape)) + x)
        return norm("norm2", layer("feed_forward.2", layer("feed_forward.0", y).relu()) + y)

    return halves
