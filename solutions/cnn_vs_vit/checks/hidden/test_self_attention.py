"""SelfAttention at other sizes, in float64, and its gradient."""

import torch

from dlgrade import compare
from dlgrade.checks import check

OTHERWISE = (
    "attention_sees_the_whole_sequence_and_nothing_else",
    "attention_weights_of_a_token_sum_to_one",
    "attention_learns_with_four_projections",
    "attention_heads_weigh_the_tokens_differently",
    "attention_scores_are_scaled_by_the_width_of_a_head",
)


@check(
    part="SelfAttention",
    points=2,
    kind="gradient",
    otherwise=OTHERWISE,
    help="Try other sizes, and double(): does anything assume a width, a dtype or a length?",
)
def attention_and_its_gradient_hold_at_other_sizes(submission, oracle):
    """in float64, output and gradient are the reference's, from one token to many and from one head to E"""
    for width, heads, tokens in ((24, 3, 6), (9, 1, 3), (6, 6, 1)):
        ours = oracle.build("SelfAttention", width, heads)
        probe = (oracle.normal(2, 4, width),)
        theirs = submission.build("SelfAttention", width, heads, weights=ours, probe=probe)
        ours.double(), theirs.double()
        values, direction = oracle.normal(2, tokens, width).double(), oracle.normal(2, tokens, width).double()
        results = []
        for model in (theirs, ours):
            x = values.clone().requires_grad_()
            output = compare.tensor(model(x), what="the output in float64", shape=(2, tokens, width))
            compare.require(output.requires_grad, "no gradient flows from the output to the input")
            results.append((output, torch.autograd.grad((output * direction).sum(), x, allow_unused=True)[0]))
        (output, gradient), (expected, expected_gradient) = results
        compare.close(output, expected, what=f"SelfAttention({width}, {heads})(x)")
        compare.close(gradient, expected_gradient, what=f"the gradient of SelfAttention({width}, {heads})")
