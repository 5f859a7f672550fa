"""Derivatives through time, and the dropout between the layers of LSTMModel."""

import math

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.outcome import CheckFailed

COPIES = 4000
CHANCE = 2e-7  # of failing a correct answer


def built(submission, name, *args, **kwargs):
    model = submission.build(name, *args, **kwargs)
    if not isinstance(model, torch.nn.Module):
        raise CheckFailed(f"{name} is no nn.Module")
    return model.eval()


def input_gradient(model, x, weights):
    """Gradient of a weighted sum of the outputs with respect to the input."""
    leaf = x.clone().requires_grad_()
    found = compare.tensor(model(leaf), what="the output", shape=tuple(weights.shape))
    compare.require(found.requires_grad, "no gradient flows from the output to the input")
    (gradient,) = torch.autograd.grad((found * weights).sum(), leaf, allow_unused=True)
    return compare.tensor(gradient, what="the gradient with respect to the input", shape=tuple(x.shape))


def the_references_derivatives(submission, oracle, name, *args):
    ours = oracle.build(name, *args).eval()
    theirs = built(submission, name, *args, weights=ours, probe=(oracle.normal(5, 3, args[0]),))
    x, weights = oracle.normal(3, 7, args[0]), oracle.normal(3, args[-1])
    expected = input_gradient(ours, x, weights)
    scale = float(expected.abs().max())
    what = "the gradient with respect to the input, step by step"
    compare.close(input_gradient(theirs, x, weights) / scale, expected / scale, what=what, atol=2e-5)


def sizes(silent, steady):
    return torch.tensor([float(len(silent)), float(sum(silent)), float(steady)])


@check(
    part="SimpleRNN",
    points=1,
    kind="gradient",
    needs=("simple_rnn_gives_one_output_for_each_sequence",),
    help="Is every layer you define used? Does a detach() or no_grad() cut the way back through time?",
)
def simple_rnn_learns_with_every_parameter(submission, oracle):
    """a gradient reaches every parameter"""
    structure.every_parameter_learns(built(submission, "SimpleRNN", 4, 6, 3), oracle.normal(8, 5, 4), steps=2)


@check(
    part="SimpleRNN",
    points=1,
    kind="gradient",
    needs=("simple_rnn_gives_one_output_for_each_sequence",),
    otherwise=(
        "simple_rnn_learns_with_every_parameter",
        "simple_rnn_reads_every_step_of_each_sequence",
        "simple_rnn_is_one_layer_with_tanh",
    ),
    help="The gradient must go back through every step of the recurrence, unscaled.",
)
def simple_rnn_has_the_lessons_derivatives(submission, oracle):
    """the output changes with each input step as the reference's does"""
    the_references_derivatives(submission, oracle, "SimpleRNN", 3, 5, 2)


@check(
    part="LSTMModel",
    points=1,
    kind="gradient",
    needs=("lstm_model_gives_one_output_for_each_sequence",),
    otherwise=("lstm_model_stacks_its_layers", "lstm_model_reads_every_step_of_each_sequence"),
    help="The gradient must go back through every step and every layer, unscaled.",
)
def lstm_model_has_the_lessons_derivatives(submission, oracle):
    """the output changes with each input step as the reference's does"""
    the_references_derivatives(submission, oracle, "LSTMModel", 3, 5, 2, 2)


@check(
    part="LSTMModel",
    points=2,
    kind="property",
    needs=("lstm_model_gives_one_output_for_each_sequence",),
    help="nn.LSTM has an argument for it. It acts between layers, so a single layer has none.",
)
def lstm_model_drops_out_between_layers_only(submission, oracle):
    """in train mode two layers drop out, one layer does not; eval mode is not random"""
    x = oracle.normal(4, 6, 3)
    seen = []
    for layers in (1, 2):
        model = built(submission, "LSTMModel", 3, 16, layers, 2)
        silent = [not bool(gradient.any()) for gradient in structure.gradients(model, x).values()]
        with torch.no_grad():
            still, again = (compare.tensor(model(x), what="the output", shape=(4, 2)) for _ in range(2))
            model.train()
            moved = compare.tensor(model(x), what="the output", shape=(4, 2))
        steady = float((still - again).abs().max()) <= 1e-6
        observe(f"[parameters, of them unused, is eval steady] of {layers} layers", sizes(silent, steady))
        seen.append(float((still - moved).abs().max()) > 1e-6)
    compare.chance(0.8 ** (4 * 6 * 16))  # nothing is dropped at all
    observe("does train mode differ, with one layer and with two", torch.tensor(seen).double())
    compare.require(not seen[0], "a single layer gives another output in train mode than in eval mode")
    compare.require(seen[1], "two layers give the same output in train mode as in eval mode")


@check(
    part="LSTMModel",
    points=1,
    kind="property",
    needs=("lstm_model_drops_out_between_layers_only", "lstm_model_stacks_its_layers"),
    help="A fifth of what one layer hands to the next is dropped, the rest divided by 0.8, and no more.",
)
def lstm_model_drops_a_fifth(submission, oracle):
    """each number between two layers is dropped with probability 0.2, and grows by 1.25 where it is kept"""
    model = built(submission, "LSTMModel", 2, 1, 2, 1)  # one number between the layers: dropped or not
    for _ in range(6):
        model.load_state_dict(small_weights(oracle, model))
        copies = oracle.uniform(1, 1, 2, low=0.5, high=1.5).repeat(COPIES, 1, 1).requires_grad_()
        with torch.no_grad():
            still = compare.tensor(model.eval()(copies), what="the output", shape=(COPIES, 1)).double()
        found = compare.tensor(model.train()(copies), what="the output", shape=(COPIES, 1))
        values = found.detach().double().flatten()
        if float(values.max() - values.min()) > 1e-4:  # weights that make the dropped number matter
            break
    (gradient,) = torch.autograd.grad(found.sum(), copies, allow_unused=True)
    gradient = compare.tensor(gradient, what="the gradient with respect to the input", shape=(COPIES, 1, 2))
    unread = gradient[:, 0] == 0  # exactly: what is dropped is multiplied by 0
    dropped, partly = unread.all(1), unread.any(1) & ~unread.all(1)
    share = float(dropped.double().mean())
    kinds = 1 + int((values.sort().values.diff() > 1e-6).sum())
    with torch.no_grad():
        alone = built(submission, "LSTMModel", 2, 1, 1, 1).train()(copies)
    alone = compare.tensor(alone, what="the output", shape=(COPIES, 1))
    varies = [float((outputs - outputs[:1]).abs().max()) > 1e-5 for outputs in (still, alone)]
    observe("do copies differ, [in eval mode, with one layer]", torch.tensor(varies).double())
    observe("is one of two inputs dropped", partly.any().double())
    observe("different outputs of one input", torch.tensor(float(min(kinds, 5))))
    margin = math.sqrt(math.log(2 / CHANCE) / (2 * COPIES))  # Hoeffding 1963
    compare.chance(CHANCE)
    compare.require(not bool(partly.any()), "in train mode a number of the input is dropped")
    observe("sixths dropped", torch.tensor(float(round(6 * share))))
    compare.require(
        abs(share - 0.2) <= margin,
        f"a number between the layers is dropped in {share:.1%} of {COPIES} cases",
    )
    compare.require(kinds == 2, f"one number can be dropped or not, and gives {kinds} different outputs")
    least = values[dropped].mean()
    apart = float(still[0] - least)
    growth = float(values[~dropped].mean() - least) / apart if abs(apart) > 1e-7 else 0.0
    observe("growth of what is kept, in quarters", torch.tensor(float(round(4 * growth))))
    compare.require(abs(growth - 1.25) < 0.12, f"what is kept grows by {growth:.2f}, expected 1.25")


def small_weights(oracle, module):
    """Parameters of a size at which gates and tanh are nearly linear, none of them near 0."""
    values, learned = {}, {entry.name for entry in module.layout.parameters}
    for name, value in oracle.weights(module).items():
        if name not in learned:  # a buffer may be the rate of dropout
            continue
        size = oracle.uniform(*value.shape, low=0.2, high=0.4).to(value.dtype)
        values[name] = torch.where(value < 0, -size, size)
    return values


def works_in_float64(submission, oracle, name, *args):
    x = oracle.normal(3, 4, args[0], dtype=torch.float64)
    with torch.no_grad():
        found = built(submission, name, *args).double()(x)
    compare.tensor(found, what="the output", shape=(3, args[-1]), dtype=torch.float64)


@check(
    part="SimpleRNN",
    points=1,
    kind="property",
    needs=("simple_rnn_gives_one_output_for_each_sequence",),
    help="x.new_zeros(...) has the dtype and device of x, torch.zeros(...) has not.",
)
def simple_rnn_works_in_float64(submission, oracle):
    """in float64 it reads float64 and gives float64"""
    works_in_float64(submission, oracle, "SimpleRNN", 3, 5, 2)


@check(
    part="LSTMModel",
    points=1,
    kind="property",
    needs=("lstm_model_gives_one_output_for_each_sequence",),
    help="x.new_zeros(...) has the dtype and device of x, torch.zeros(...) has not.",
)
def lstm_model_works_in_float64(submission, oracle):
    """in float64 it reads float64 and gives float64"""
    works_in_float64(submission, oracle, "LSTMModel", 3, 5, 2, 2)
