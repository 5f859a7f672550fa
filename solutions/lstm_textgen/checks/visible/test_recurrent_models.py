"""What SimpleRNN and LSTMModel must compute: one output for each sequence, after its last step."""

import math
from math import prod

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.outcome import CheckFailed

COPIES = 40


def built(submission, name, *args, **kwargs):
    """A module of the answer in eval mode, where dropout is off."""
    model = submission.build(name, *args, **kwargs)
    if not isinstance(model, torch.nn.Module):
        raise CheckFailed(f"{name} is no nn.Module")
    return model.eval()


def one_output_for_each_sequence(submission, oracle, name, *layers):
    for examples, steps, features, outputs in ((4, 6, 3, 2), (1, 5, 2, 4), (3, 1, 5, 1)):
        model = built(submission, name, features, 7, *layers, outputs)
        with torch.no_grad():
            found = model(oracle.normal(examples, steps, features))
        what = f"{name} of {examples} sequences of {steps} steps"
        compare.tensor(found, what=what, shape=(examples, outputs), dtype=torch.float32)


def the_references_output(submission, oracle, name, sizes):
    for args, examples, steps in sizes:
        ours = oracle.build(name, *args).eval()
        probe = (oracle.normal(5, 3, args[0]),)
        theirs = built(submission, name, *args, weights=ours, probe=probe)
        x = oracle.normal(examples, steps, args[0])
        with torch.no_grad():
            compare.close(theirs(x), ours(x), what=f"{name}{args} of {examples} sequences of {steps} steps")


def reads_every_step_of_each_sequence(submission, oracle, name, *layers):
    model = built(submission, name, 3, 8, *layers, 2)
    x = oracle.normal(4, 6, 3)
    structure.batch_independence(model, x)
    leaf = x.clone().requires_grad_()
    found = compare.tensor(model(leaf), what="the output", shape=(4, 2))
    (gradient,) = torch.autograd.grad(found.sum(), leaf, allow_unused=True)
    gradient = compare.tensor(gradient, what="the gradient with respect to the input", shape=(4, 6, 3))
    unread = gradient.abs().amax((0, 2)) <= 1e-9 * gradient.abs().max()
    observe("time steps without influence", unread.double())
    steps = unread.nonzero().flatten().tolist()
    compare.require(not steps, f"the output does not depend on time step {steps[:1]} of 0..5")


def keeps_nothing_between_calls(submission, oracle, name, *layers):
    first, second = (built(submission, name, 3, 6, *layers, 2) for _ in range(2))
    repeats_itself(first, oracle.normal(1, 1, 3).repeat(COPIES, 1, 1))
    second.load_state_dict(first.state_dict())
    x, other = oracle.normal(3, 4, 3), oracle.normal(3, 4, 3)
    with torch.no_grad():
        fresh, alike = (compare.tensor(m(x), what="the output", shape=(3, 2)) for m in (first, second))
        compare.tensor(first(other), what="the output", shape=(3, 2))
        again = compare.tensor(first(x), what="the output", shape=(3, 2))
        fewer = compare.tensor(first(x[:2]), what="the output", shape=(2, 2))
    random = float((fresh - alike).abs().max()) > 1e-5
    kept = float((fresh - again).abs().max()) > 1e-5
    mixed = float((fresh[:2] - fewer).abs().max()) > 1e-5
    seen = torch.tensor([random, kept, mixed]).double()
    observe("[differs from a copy, differs after other calls, differs in a smaller batch]", seen)
    compare.require(not random, "two models with the same weights give different outputs")
    compare.require(not kept, "the output for a sequence depends on what the model read in earlier calls")
    compare.require(
        not mixed, "the output for a sequence depends on the size of its batch, or on earlier calls"
    )


def repeats_itself(model, copies):
    """Require equal sequences to give equal outputs in eval mode, in one call and in two."""
    with torch.no_grad():
        once, again = (compare.tensor(model(copies), what="the output", shape=(COPIES, 2)) for _ in range(2))
    between, within = (float((once - other).abs().max()) > 1e-5 for other in (again, once[:1]))
    each = len((once * 1e5).round().unique(dim=0)) == COPIES
    seen = torch.tensor([between, within, each]).double()
    observe("copies: [do two calls differ, do some copies, do all]", seen)
    compare.require(
        not (between or within),
        "in eval mode equal sequences give different outputs: something random is still on",
    )


def has_as_many_parameters(model, expected, fewer):
    """Require the lesson's number of parameters; two biases that are always added may be one."""
    found = sum(prod(entry.shape) for entry in model.layout.parameters)
    observe("parameters more than in the lesson's network", torch.tensor(float(found - expected)))
    compare.require(
        found in (expected, expected - fewer),
        f"it has {found} parameters, where the layers asked for have {expected} (or {expected - fewer}, "
        "with one bias in place of two that are added)",
    )


def grows_with_the_weights(model, x, seed):
    """How much larger the output's dependence on x gets when all weights, which are small, are doubled.

    None where calls do not repeat themselves, which other checks are about.
    """
    moved, repeats = [], True
    for spread in (0.02, 0.04):
        structure.redraw(model, seed=seed, spread=spread)
        with torch.no_grad():
            usual, again, nothing = (
                compare.tensor(model(value), what="the output", shape=(1, 2))
                for value in (x, x, torch.zeros_like(x))
            )
        moved.append(float((usual - nothing).abs().max()))
        repeats = repeats and torch.equal(usual, again)
    observe("does a second call agree", torch.tensor(float(repeats)))
    return moved[1] / max(moved[0], 1e-30) if repeats else None


@check(
    part="SimpleRNN",
    points=1,
    kind="shape",
    help="The output of the last time step alone goes through the linear layer: (N, D) to (N, O).",
)
def simple_rnn_gives_one_output_for_each_sequence(submission, oracle):
    """the output is (N, output_size), whatever the number of steps"""
    one_output_for_each_sequence(submission, oracle, "SimpleRNN")


@check(
    part="SimpleRNN",
    points=2,
    kind="property",
    needs=("simple_rnn_gives_one_output_for_each_sequence",),
    help="Is the input read with the batch first? And which time step's hidden state has read everything?",
)
def simple_rnn_reads_every_step_of_each_sequence(submission, oracle):
    """the output of an example depends on every step of that example, and on no other example"""
    reads_every_step_of_each_sequence(submission, oracle, "SimpleRNN")


@check(
    part="SimpleRNN",
    points=1,
    kind="property",
    needs=("simple_rnn_gives_one_output_for_each_sequence",),
    help="Each call starts from a hidden state of zeros, and eval mode is not random.",
)
def simple_rnn_keeps_nothing_between_calls(submission, oracle):
    """a sequence gives the same output whatever the model read before"""
    keeps_nothing_between_calls(submission, oracle, "SimpleRNN")


@check(
    part="SimpleRNN",
    points=1,
    kind="structure",
    needs=("simple_rnn_gives_one_output_for_each_sequence",),
    help="h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh) at every step, then one linear layer; no more.",
)
def simple_rnn_is_one_layer_with_tanh(submission, oracle):
    """it is one recurrent layer with tanh and a linear layer, and nothing else"""
    model, x = built(submission, "SimpleRNN", 3, 8, 2), oracle.normal(4, 6, 3)
    has_as_many_parameters(model, 3 * 8 + 8 * 8 + 2 * 8 + 8 * 2 + 2, 8)
    structure.eval_is_deterministic(model, x)
    structure.train_and_eval_agree(model, x)
    structure.redraw(model, seed=oracle.seed(), spread=0.5)  # every bias is 0 then
    structure.order_matters(model, x)
    ahead = x * torch.tensor([1e6, 1, 1, 1, 1, 1]).reshape(1, 6, 1)
    ended, ended_ahead = (torch.cat([value[:, :-1], x[:, :1]], dim=1) for value in (x, ahead))
    back, begun_back = ahead.flip(1), ended_ahead.flip(1)
    with torch.no_grad():
        usual, last, turned, first, second, third, fourth = (
            compare.tensor(model(value), what="the output", shape=(4, 2))
            for value in (x, ended, -x, ahead, ended_ahead, back, begun_back)
        )
    size = float(usual.abs().max())
    counts = [float((a - b).abs().max()) > 1e-5 * size for a, b in ((usual, last), (third, fourth))]
    observe("[does the last step count, the first before a large last]", torch.tensor(counts).double())
    huge = float(first.abs().max()) > 100 * max(size, 0.01)
    blind = float((first - second).abs().max()) < 1e-5 * size
    even = float((usual + turned).abs().max()) > 1e-4 * size
    seen = torch.tensor([huge, blind, even]).double()
    observe("[grows without bound, forgets the rest after a large step, is no odd function]", seen)
    compare.require(not huge, "with a large first step the output grows without bound: no tanh holds it")
    compare.require(
        not blind, "after a large first step the later ones do not count: is tanh applied at every step?"
    )
    compare.require(not even, "with all biases at 0, -x does not give the negative output: is it tanh?")


@check(
    part="SimpleRNN",
    points=2,
    kind="value",
    needs=("simple_rnn_gives_one_output_for_each_sequence",),
    otherwise=(
        "simple_rnn_reads_every_step_of_each_sequence",
        "simple_rnn_keeps_nothing_between_calls",
        "simple_rnn_is_one_layer_with_tanh",
    ),
    help="One layer with tanh, from a state of zeros; its last hidden state through one linear layer.",
)
def simple_rnn_computes_the_lessons_network(submission, oracle):
    """with the reference's weights, the output is the reference's"""
    sizes = (((3, 5, 2), 4, 6), ((1, 4, 3), 2, 9), ((6, 2, 1), 5, 1))
    the_references_output(submission, oracle, "SimpleRNN", sizes)


@check(
    part="LSTMModel",
    points=1,
    kind="shape",
    help="The top layer's hidden state of the last step goes through the linear layer: (N, D) to (N, O).",
)
def lstm_model_gives_one_output_for_each_sequence(submission, oracle):
    """the output is (N, output_size), whatever the number of steps and layers"""
    for layers in (1, 3):
        one_output_for_each_sequence(submission, oracle, "LSTMModel", layers)


@check(
    part="LSTMModel",
    points=2,
    kind="property",
    needs=("lstm_model_gives_one_output_for_each_sequence",),
    help="h_n is (layers, N, D): a view to (N, ...) mixes the examples. Is the input read batch first?",
)
def lstm_model_reads_every_step_of_each_sequence(submission, oracle):
    """the output of an example depends on every step of that example, and on no other example"""
    for layers in (1, 2):
        reads_every_step_of_each_sequence(submission, oracle, "LSTMModel", layers)


@check(
    part="LSTMModel",
    points=1,
    kind="property",
    needs=("lstm_model_gives_one_output_for_each_sequence",),
    help="Each call starts from a hidden and a cell state of zeros, and eval mode is not random.",
)
def lstm_model_keeps_nothing_between_calls(submission, oracle):
    """a sequence gives the same output whatever the model read before"""
    for layers in (1, 2):
        keeps_nothing_between_calls(submission, oracle, "LSTMModel", layers)


@check(
    part="LSTMModel",
    points=2,
    kind="structure",
    needs=("lstm_model_gives_one_output_for_each_sequence",),
    help="Give num_layers to the LSTM: each has weights of its own and reads the layer below.",
)
def lstm_model_stacks_its_layers(submission, oracle):
    """it has the parameters of num_layers LSTM layers, all learn, and each reads the layer below"""
    width, counts = 5, []
    for layers in (1, 2, 3):
        model = built(submission, "LSTMModel", 4, width, layers, 2)
        counts.append(sum(prod(entry.shape) for entry in model.layout.parameters))
        structure.every_parameter_learns(model, oracle.normal(8, 5, 4), steps=2)
    added = [counts[1] - counts[0], counts[2] - counts[1]]
    observe("numbers that a layer adds", torch.tensor(added).double())
    compare.require(
        min(added) >= 8 * width**2, f"a further layer adds {min(added)} parameters, too few for an LSTM"
    )
    gates = 4 * width  # of one layer
    has_as_many_parameters(model, gates * (4 + 5 * width + 3 * 2) + 2 * width + 2, 3 * gates)
    # Each layer multiplies once, and the linear layer too: small weights, doubled, give 2 ** 4 times as much.
    growth = grows_with_the_weights(model, oracle.normal(1, 1, 4), oracle.seed())
    if growth is None:
        return
    passed = round(math.log2(max(growth, 1.0))) if math.isfinite(growth) else -1
    observe("layers on the shortest way from input to output", torch.tensor(float(passed)))
    compare.require(
        passed == 4,
        "the output does not come from the input through all layers one by one: "
        "each layer reads the one below, and starts from zeros",
    )


@check(
    part="LSTMModel",
    points=3,
    kind="value",
    needs=("lstm_model_gives_one_output_for_each_sequence",),
    otherwise=(
        "lstm_model_reads_every_step_of_each_sequence",
        "lstm_model_keeps_nothing_between_calls",
        "lstm_model_stacks_its_layers",
    ),
    help="nn.LSTM's output is the top layer's hidden state at every step. Which step, which layer, h or c?",
)
def lstm_model_computes_the_lessons_network(submission, oracle):
    """with the reference's weights, the output in eval mode is the reference's"""
    sizes = (((3, 5, 2, 4), 3, 6), ((2, 4, 1, 3), 4, 1), ((5, 3, 3, 1), 2, 7))
    the_references_output(submission, oracle, "LSTMModel", sizes)
