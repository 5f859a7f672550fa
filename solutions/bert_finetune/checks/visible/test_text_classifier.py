"""What TextClassifier must compute.

Outputs are compared after a log-softmax: logits and log-probabilities train alike, so both are right.
"""

import torch
from torch.nn.functional import log_softmax

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe

ARGS = (30, 6, 5, 4)  # vocabulary, embedding, hidden, outputs
RANDOM = "two calls in eval mode with the same texts differ: dropout is still on"


def texts(oracle, count, length, vocab=30):
    """Ids of texts without padding."""
    return oracle.integers(count, length, low=1, high=vocab)


def parameters_of(vocab, embed, hidden, outputs):
    """How many parameters there are, and how many if each direction, or both, had one bias instead of two."""
    gates = 4 * hidden * (embed + hidden + 2)
    whole = vocab * embed + 2 * gates + (2 * hidden + 1) * outputs
    return [whole, whole - 4 * hidden, whole - 8 * hidden]


def scores(value, what, shape):
    return compare.tensor(value, what=what, shape=shape, dtype=torch.float32)


@check(
    part="TextClassifier",
    points=1,
    kind="shape",
    help="One row for each text, one column for each output, however many there are of either.",
)
def text_classifier_gives_one_row_for_each_text(submission, oracle):
    """the output is (N, output_dim), also for a single text, a single token and a single output"""
    for args, count, length in (
        (ARGS, 3, 7),
        ((9, 4, 3, 1), 1, 1),
        ((12, 3, 8, 2), 1, 4),
        ((12, 3, 8, 1), 5, 2),
    ):
        model = submission.build("TextClassifier", *args).eval()
        with torch.no_grad():
            output = model(texts(oracle, count, length, args[0]))
        scores(output, f"TextClassifier{args} of {count} texts", (count, args[3]))


@check(
    part="TextClassifier",
    points=1,
    kind="gradient",
    needs=("text_classifier_gives_one_row_for_each_text",),
    help="Is every layer you define used in forward? Does a detach() or no_grad() cut the way back?",
)
def text_classifier_learns_with_every_parameter(submission, oracle):
    """a gradient reaches the embedding, both directions of the LSTM and the last layer"""
    model = submission.build("TextClassifier", *ARGS).eval()
    ids = texts(oracle, 6, 8)
    structure.descend(model, ids)
    found = structure.gradients(model, ids)
    words = [bool((gradient != 0).any()) for gradient in found.values() if len(gradient) == ARGS[0]]
    observe("does the embedding learn", torch.tensor(words).double())
    structure.every_parameter_learns(model, ids, dimensions=2, steps=2)


@check(
    part="TextClassifier",
    points=2,
    kind="property",
    needs=("text_classifier_gives_one_row_for_each_text",),
    help="Zeros at the end of a row are padding: neither direction may read them.",
)
def text_classifier_ignores_padding(submission, oracle):
    """a text gets the same logits whatever it is padded to, and whichever texts are beside it"""
    model = submission.build("TextClassifier", *ARGS).eval()
    model.load_state_dict(oracle.weights(model))
    ids, lengths = texts(oracle, 4, 9), (9, 5, 1, 3)
    for row, length in enumerate(lengths):
        ids[row, length:] = 0
    with torch.no_grad():
        together = scores(model(ids), "the logits of padded texts", (4, 4))
        again = scores(model(ids), "the logits of padded texts", (4, 4))
        observe("does eval mode repeat itself", (together == again).all().double())
        compare.require(torch.equal(together, again), RANDOM)
        alone = [
            scores(model(ids[row : row + 1, :length]), "the logits of one text", (1, 4))
            for row, length in enumerate(lengths)
        ]
        others = torch.where(ids == 0, 0, 30 - ids)
        beside = scores(model(torch.cat([ids[:1], others[1:]])), "the logits beside other texts", (4, 4))
    alone = torch.cat(alone)
    off = (together - alone).abs().amax(1) > 1e-4
    found = (together.unsqueeze(1) - alone).abs().amax(2) <= 1e-4  # (4, 4), of each row among the others
    swapped = bool(off.any() and found.any(0).all() and found.any(1).all())
    silent = sum(not bool((g != 0).any()) for g in structure.gradients(model, ids).values())
    mixed = (together[0] - beside[0]).abs().max() > 1e-4
    observe("texts whose logits change with padding", off.double())
    observe("do texts mix", mixed.double())
    observe("are rows swapped", torch.tensor(float(swapped)))
    observe("parameters without a gradient", torch.tensor(float(silent)))
    compare.require(not bool(mixed), "the logits of a text change with the other texts of its batch")
    compare.require(
        not swapped, "the rows come in another order than the texts, when these are not sorted by length"
    )
    compare.require(not bool(off.any()), "the logits of a text change with the zeros behind it")


@check(
    part="TextClassifier",
    points=3,
    kind="value",
    needs=("text_classifier_gives_one_row_for_each_text",),
    otherwise=("text_classifier_learns_with_every_parameter", "text_classifier_ignores_padding"),
    help="Embedding, bidirectional LSTM, the last state of each direction, dropout, linear. "
    "The backward direction's last state is the one that has read the first token.",
)
def text_classifier_joins_the_last_states_of_both_directions(submission, oracle):
    """with the reference's weights, the logits are the reference's"""
    model = submission.build("TextClassifier", *ARGS)
    count, expected = sum(value.numel() for value in model.parameters()), parameters_of(*ARGS)
    observe("parameters", torch.tensor(float(count)))
    compare.require(
        count in expected,
        f"TextClassifier{ARGS} has {count} parameters, expected {expected[0]}: those of an embedding, of one "
        "LSTM layer that reads both ways, and of a linear layer",
    )
    for args, count, length in ((ARGS, 4, 7), ((15, 4, 6, 3), 3, 5)):
        ids = texts(oracle, count, length, args[0])
        ours = oracle.build("TextClassifier", *args).eval()
        theirs = submission.build("TextClassifier", *args, weights=ours, probe=(ids,)).eval()
        what = f"the log-softmax of TextClassifier{args}"
        with torch.no_grad():
            expected = [log_softmax(ours(ids), 1)]
            swapped = ours.state_dict()["fc.weight"].roll(args[2], 1)
            ours.load_state_dict({"fc.weight": swapped})
            expected.append(log_softmax(ours(ids), 1))  # the backward direction first is as good
            actual = log_softmax(scores(theirs(ids), what, (count, args[3])), 1)
        nearest = min(expected, key=lambda value: float((value - actual).abs().nan_to_num().max()))
        compare.close(actual, nearest, what=what, rtol=1e-4, atol=1e-4)
