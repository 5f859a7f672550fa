"""A classifier keeps what the encoder has learned, reads whole texts, and judges each on its own."""

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.proxy import RemoteModule
from dlgrade.specs_text import TinyBert


def classifier(submission, encoder, num_classes):
    model = submission.build("build_classifier", encoder, num_classes)
    compare.require(isinstance(model, RemoteModule), "build_classifier does not return an nn.Module")
    return model.eval()


def logits_of(model, ids, mask, num_classes):
    with torch.no_grad():
        logits = compare.tensor(model(ids, mask), what="the logits", shape=(len(ids), num_classes))
    return logits.double()


@check(
    part="build_classifier",
    points=2,
    kind="property",
    needs=("classifier_gives_one_logit_for_each_class",),
    help="What BERT has learned is in its weights: use the encoder you are given, as it is.",
)
def classifier_keeps_the_pretrained_weights(submission, oracle):
    """the module holds the encoder's own weights, unchanged"""
    encoder = TinyBert(oracle.seed())
    given = {name: value for name, value in oracle.state(encoder).items() if value.is_floating_point()}
    model = classifier(submission, encoder, 4)
    own = list(submission.state(model).values())
    kept = [
        any(value.shape == other.shape and torch.equal(value, other) for other in own)
        for name, value in given.items()
        if not name.startswith("pooler")
    ]
    observe("share of the encoder's tensors kept", torch.tensor(sum(kept) / len(kept)))
    compare.require(all(kept), f"{len(kept) - sum(kept)} of the encoder's {len(kept)} tensors are gone")


@check(
    part="build_classifier",
    points=2,
    kind="property",
    needs=("classifier_gives_one_logit_for_each_class",),
    help="Use what the whole encoder computes, not what goes into it.",
)
def classifier_reads_every_token_in_order(submission, oracle):
    """every token of a text influences its logits, and so does their order"""
    model = classifier(submission, TinyBert(oracle.seed()), 5)
    model.load_state_dict(oracle.weights(model))
    ids, mask = oracle.integers(2, 8, low=5, high=150), torch.ones(2, 8, dtype=torch.int64)
    before = logits_of(model, ids, mask, 5)
    blind = []
    for position in range(8):
        changed = ids.clone()
        changed[:, position] = 155 - ids[:, position]
        blind.append(float((logits_of(model, changed, mask, 5) - before).abs().max()) <= 1e-6)
    observe("tokens without influence", torch.tensor(blind).double())
    compare.require(not any(blind), f"{sum(blind)} of 8 tokens have no influence on the logits")
    structure.order_matters(model, ids, mask, what="the logits")


@check(
    part="build_classifier",
    points=2,
    kind="property",
    needs=("classifier_gives_one_logit_for_each_class",),
    help="In eval mode nothing may depend on the rest of the batch, such as a mean or softmax over dim 0.",
)
def classifier_judges_each_text_on_its_own(submission, oracle):
    """a text gets the same logits alone, beside a text of 60 tokens, and a second time"""
    model = classifier(submission, TinyBert(oracle.seed()), 3)
    model.load_state_dict(oracle.weights(model))
    ids = oracle.integers(3, 60, low=5, high=150)
    mask = (torch.arange(60) < torch.tensor([60, 4, 11]).unsqueeze(1)).long()
    together = logits_of(model, ids * mask, mask, 3)
    observe(
        "does eval mode repeat itself", (together == logits_of(model, ids * mask, mask, 3)).all().double()
    )
    alone = [
        logits_of(model, ids[row : row + 1, :length], mask[row : row + 1, :length], 3)
        for row, length in enumerate((60, 4, 11))
    ]
    off = (together - torch.cat(alone)).abs().amax(1) > 1e-4 * together.abs().max().clamp(min=1)
    observe("texts that depend on the batch", off.double())
    structure.eval_is_deterministic(model, ids * mask, mask)
    compare.require(not bool(off.any()), "the logits of a text change with the texts beside it")
