"""TextClassifier beside very long texts, with an empty one, and its dropout."""

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
    """a row of nothing but zeros beside a text of 60 tokens changes nothing for the others"""
    model = submission.build("TextClassifier", *ARGS).eval()
    model.load_state_dict(oracle.weights(model))
    ids = oracle.integers(3, 60, low=1, high=40)
    ids[1, 4:] = 0
    ids[2] = 0
    with torch.no_grad():
        alone = compare.tensor(model(ids[1:2, :4]), what="the logits of one text", shape=(1, 3))
        together = compare.tensor(model(ids), what="the logits beside an empty text", shape=(3, 3))
    off = float((alone[0] - together[1]).abs().max())
    observe("does a long neighbour matter", torch.tensor(float(off > 1e-4)))
    compare.require(off <= 1e-4, "the logits of a short text change beside a text of 60 tokens")


@check(
    part="TextClassifier",
    points=2,
    kind="property",
    needs=("text_classifier_gives_one_row_for_each_text",),
    help="nn.Dropout follows the module's mode by itself; F.dropout needs training=self.training.",
)
def text_classifier_drops_out_in_train_mode_only(submission, oracle):
    """dropout makes train mode random, leaves the logits themselves whole, and is off in eval mode"""
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
