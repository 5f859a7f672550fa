"""TextClassifier beside very long texts, with an empty one, and its dropout."""

import math

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe

ARGS = (40, 5, 7, 3)


@check(
    part="TextClassifier",
    points=2,
    kind="property",
    needs=("text_classifier_gives_one_row_for_each_text",),
    help="How long is a text whose ids are all 0? The LSTM cannot read nothing: let it read one step.",
)
def text_classifier_survives_an_empty_text(submission, oracle):
    """a row of nothing but zeros is read as a single 0, beside a text of 60 tokens that changes neither"""
    model = submission.build("TextClassifier", *ARGS).eval()
    model.load_state_dict(oracle.weights(model))
    ids = oracle.integers(3, 60, low=1, high=40)
    ids[1, 4:] = 0
    ids[2] = 0
    with torch.no_grad():
        alone = compare.tensor(model(ids[1:2, :4]), what="the logits of one text", shape=(1, 3))
        empty = compare.tensor(model(ids[2:, :1]), what="the logits of a single 0", shape=(1, 3))
        together = compare.tensor(model(ids), what="the logits beside an empty text", shape=(3, 3))
    off = float((alone[0] - together[1]).abs().max())
    observe("does a long neighbour matter", torch.tensor(float(off > 1e-4)))
    compare.require(off <= 1e-4, "the logits of a short text change beside a text of 60 tokens")
    observe("is any logit negative", torch.tensor(float((together < 0).any())))
    apart = float((empty[0] - together[2]).abs().max())
    learned = structure.gradients(model, ids[2:, :1])
    read = any(bool((gradient != 0).any()) for gradient in learned.values() if gradient.dim() >= 2)
    observe("[is an empty text a single 0, is that 0 read]", torch.tensor([apart <= 1e-4, read]).double())
    compare.require(apart <= 1e-4, "the logits of a row of zeros are not those of a single 0")
    compare.require(read, "the logits of a single 0 depend on no weight: it is not read")


@check(
    part="TextClassifier",
    points=2,
    kind="property",
    needs=("text_classifier_gives_one_row_for_each_text",),
    help="nn.Dropout follows the module's mode by itself; F.dropout needs training=self.training.",
)
def text_classifier_drops_out_in_train_mode_only(submission, oracle):
    """half of the joined states are dropped in train mode, no logit is, and nothing in eval mode"""
    model = submission.build("TextClassifier", *ARGS)
    model.load_state_dict(oracle.weights(model))
    copies = oracle.integers(1, 6, low=1, high=40).repeat(40, 1)
    with torch.no_grad():
        model.train()
        training = compare.tensor(model(copies), what="the output in train mode", shape=(40, 3))
        model.eval()
        evaluating = compare.tensor(model(copies), what="the output in eval mode", shape=(40, 3))
    varied = float((training - training[:1]).abs().max()) > 1e-6
    moved = float((evaluating - evaluating[:1]).abs().max()) > 1e-4
    zeros, clipped = bool((training == 0).any()), bool((evaluating == 0).any())
    spread = torch.where(training == 0, 2 * evaluating, training).double().std(0)
    whole = bool((spread < 1e-5).all())  # each logit is dropped, or doubled, or left as it is
    compare.chance(2.0**-39)  # all copies drop the same of even a single unit
    observe(
        "[does train mode vary, does eval mode vary, are logits 0 in train mode, in eval mode, doubled]",
        torch.tensor([varied, moved, zeros, clipped, whole]).double(),
    )
    compare.require(varied, "the same text gets the same logits again and again in train mode")
    compare.require(not moved, "the same text gets different logits in eval mode")
    compare.require(not zeros, "in train mode some logits are exactly 0: they have been dropped")
    structure.eval_is_deterministic(model, copies)
    several, uneven = dropped_states(submission, oracle)
    observe("[more than two states to drop, not by halves]", torch.tensor([several, uneven]).double())
    compare.require(not several, "with two states to drop, train mode gives more than 4 different results")
    compare.require(
        not uneven, "with two states to drop, the results of train mode are not 4 of equal frequency"
    )


def dropped_states(submission, oracle, copies=2000, margin=0.07):
    """Whether train mode gives more results than two states allow, dropped or not, and others than 1/4 each.

    With a state that is 0 some of the four are the same, hence a second text: either may do.
    """
    model = submission.build("TextClassifier", 40, 5, 1, 3)
    model.load_state_dict(oracle.weights(model))
    compare.chance(
        16 * math.exp(-2 * copies * margin**2)
    )  # Hoeffding: 4 results of two texts, off by the margin
    verdicts = []
    for _ in range(2):
        text = oracle.integers(1, 6, low=1, high=40)
        with torch.no_grad():
            rows = compare.tensor(model.train()(text.repeat(copies, 1)), what="the output", shape=(copies, 3))
        shares = [count / copies for count in frequencies(rows, 5)]
        even = len(shares) == 4 and all(abs(share - 0.25) <= margin for share in shares)
        verdicts.append((len(shares) > 4, not even))
    several, uneven = zip(*verdicts, strict=True)
    return all(several), all(uneven)


def frequencies(rows, most):
    """How often each of the rows occurs, those that differ by float error counted as one; `most` of them."""
    close, counts = 2e-6 * max(1.0, float(rows.abs().max())), []
    while len(rows) and len(counts) < most:
        same = (rows - rows[:1]).abs().amax(1) <= close
        counts.append(int(same.sum()))
        rows = rows[~same]
    return counts
