"""TransformerBlock at other sizes, in float64, and its gradient."""

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe

OTHERWISE = (
    "block_sees_the_whole_sequence_and_nothing_else",
    "block_normalises_last",
    "block_drops_out_at_its_rate_in_train_mode_only",
    "block_widens_its_feed_forward_part",
    "block_feed_forward_silences_units",
)


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
        results = []
        for model in (theirs, ours):
            x = values.clone().requires_grad_()
            output = compare.tensor(model(x), what="the output in float64", shape=(2, tokens, width))
            compare.require(output.requires_grad, "no gradient flows from the output to the input")
            results.append((output, torch.autograd.grad((output * direction).sum(), x, allow_unused=True)[0]))
        (output, gradient), (expected, expected_gradient) = results
        # A norm's epsilon is free within reason: 1e-5 is PyTorch's, 1e-6 and 1e-12 are common too.
        what = f"TransformerBlock({width}, {heads}, 0.2, {expansion})"
        compare.close(output, expected, what=f"{what}(x)", rtol=1e-4, atol=1e-4)
        compare.close(gradient, expected_gradient, what=f"the gradient of {what}", rtol=1e-3, atol=1e-3)
