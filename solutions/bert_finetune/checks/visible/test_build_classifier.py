"""What the module that build_classifier returns must do, however it is built.

Its parameters get values from a formula, so that a fresh head, of zeros perhaps, hides nothing.
"""

import torch

from dlgrade import compare, proxy, structure
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.proxy import RemoteModule
from dlgrade.specs_text import TinyBert


def classifier(submission, oracle, num_classes):
    """The answer's classifier in eval mode with formula weights, and the encoder it was built on."""
    encoder = TinyBert(oracle.seed())
    model = submission.build("build_classifier", encoder, num_classes)
    compare.require(isinstance(model, RemoteModule), "build_classifier does not return an nn.Module")
    model.load_state_dict(oracle.weights(model))
    return model.eval(), encoder


def of_encoder(names, oracle, encoder):
    """Those names of a classifier's parameters that are the encoder's, and not a head's of like names."""
    keys = {entry.name for entry in oracle.method(encoder, "eval").layout.parameters}
    first = "embeddings.word_embeddings.weight"
    known = {name.removesuffix(first) + key for name in names if name.endswith(first) for key in keys}
    deep = tuple(key.removeprefix("encoder.") for key in keys if ".layer." in key)  # held without the encoder
    return [name for name in names if name in known or name.endswith(deep)]


def texts(oracle, lengths):
    """Ids (N, T) and mask of texts of these lengths; what stands at padding are ids too."""
    ids = oracle.integers(len(lengths), max(lengths), low=5, high=150)
    return ids, (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()


def logits_of(model, ids, mask, num_classes, what="the logits"):
    with torch.no_grad():
        logits = compare.tensor(model(ids, mask), what=what, shape=(len(ids), num_classes))
    compare.require(logits.is_floating_point(), f"{what} have dtype {logits.dtype}, expected a floating one")
    return logits.double()


@check(
    part="build_classifier",
    points=1,
    kind="shape",
    help="The module takes ids and mask, and its last layer has one output for each class.",
)
def classifier_gives_one_logit_for_each_class(submission, oracle):
    """the module turns ids and mask (N, T) into logits (N, num_classes)"""
    for lengths, num_classes in (((4, 7, 2), 2), ((1,), 3), ((5, 5), 7)):
        model, _ = classifier(submission, oracle, num_classes)
        what = f"the logits of {len(lengths)} texts for {num_classes} classes"
        logits_of(model, *texts(oracle, lengths), num_classes, what)


@check(
    part="build_classifier",
    points=2,
    kind="gradient",
    needs=("classifier_gives_one_logit_for_each_class",),
    help="Fine-tuning trains the encoder too: no torch.no_grad() around it, no detach() behind it.",
)
def classifier_trains_head_and_encoder(submission, oracle):
    """a gradient reaches the head and every layer of the encoder"""
    model, encoder = classifier(submission, oracle, 3)
    found = structure.gradients(model, *texts(oracle, (9, 6, 4)))
    found = {name: compare.tensor(g, what=f"the gradient of {name}") for name, g in found.items()}
    inside = of_encoder(found, oracle, encoder)
    head = [g for name, g in found.items() if name not in inside]
    matrices = [found[name] for name in inside if found[name].dim() >= 2 and "pooler" not in name]
    reached = [sum(bool((g != 0).any()) for g in group) for group in (matrices, head)]
    graph = proxy.read(submission.method(encoder, "eval"), "graph")
    observe("does the encoder run with a graph", torch.tensor(float(graph is True)))
    observe("matrices of the encoder and parameters of the head that learn", torch.tensor(reached).double())
    compare.require(len(matrices) == 15, "the encoder's parameters are not among the module's trainable ones")
    compare.require(reached[0] == 15, f"a gradient reaches {reached[0]} of 15 matrices of the encoder")
    compare.require(reached[1] > 0, "no gradient reaches a parameter of the head")


@check(
    part="build_classifier",
    points=3,
    kind="property",
    needs=("classifier_gives_one_logit_for_each_class",),
    help="Padding can get in twice: through the encoder's attention, and when token vectors become one.",
)
def classifier_ignores_padding(submission, oracle):
    """neither what stands at padding nor how much of it there is changes the logits"""
    model, encoder = classifier(submission, oracle, 3)
    ids, mask = texts(oracle, (9, 5, 3))
    before = logits_of(model, ids, mask, 3)
    repeats = torch.equal(before, logits_of(model, ids, mask, 3))
    observe("does eval mode repeat itself", torch.tensor(float(repeats)))
    compare.require(repeats, "two calls in eval mode with the same texts differ: dropout is still on")
    longest = logits_of(model, ids[:1], mask[:1], 3)
    alone = logits_of(model, ids[1:2, :5], mask[1:2, :5], 3)
    logits_of(model, ids, mask, 3)
    told = proxy.read(submission.method(encoder, "eval"), "told")
    seen = told.double() if isinstance(told, torch.Tensor) else torch.full((1,), 0.5)
    masked = seen.shape == mask.shape and bool(torch.equal(seen != 0, mask != 0))
    positions = []
    for position in range(5, 9):
        changed = ids.clone()
        changed[1, position] = 155 - ids[1, position]
        after = logits_of(model, changed, mask, 3)
        positions.append(_far(before, after))
    observe("does the encoder get the mask", torch.tensor(float(masked)))
    observe("padding that changes the logits, by position", torch.tensor(positions).double())
    observe("does a text without padding change, too", torch.tensor(float(_far(before[:1], longest))))
    observe("does the amount of padding matter", torch.tensor(float(_far(before[1:2], alone))))
    compare.require(not any(positions), "the logits of a text depend on the ids at its padding")
    compare.require(not _far(before[1:2], alone), "the logits of a text depend on how far it is padded")


def _far(first, second):
    return float((first - second).abs().max()) > 1e-4 * max(1.0, float(first.abs().max()))


@check(
    part="build_classifier",
    points=2,
    kind="property",
    needs=("classifier_gives_one_logit_for_each_class",),
    help="Cross-entropy applies the softmax itself: return what the last layer gives, all of it.",
)
def classifier_returns_logits(submission, oracle):
    """the outputs are logits: not probabilities, not clipped, and none of them dropped in training"""
    model, _ = classifier(submission, oracle, 24)
    ids, mask = texts(oracle, (7, 4))
    logits = logits_of(model, ids, mask, 24)
    model.train()
    training = logits_of(model, ids.repeat(8, 1), mask.repeat(8, 1), 24, "the logits in train mode")
    sums = bool(((logits.sum(1) - 1).abs() < 1e-4).all())
    positive, zeros = bool((logits >= 0).all()), bool((training == 0).any())
    compare.chance(2.0**-24)  # 24 logits happen to be positive
    observe("[rows sum to 1, none is negative, some are 0]", torch.tensor([sums, positive, zeros]).double())
    compare.require(not sums, "each row sums to 1: these are probabilities")
    compare.require(not positive, "none of 24 logits is negative: something cuts them off")
    compare.require(not zeros, "in train mode some logits are exactly 0: they have been dropped")


@check(
    part="build_classifier",
    points=4,
    kind="accuracy",
    needs=("classifier_trains_head_and_encoder", "classifier_ignores_padding", "classifier_returns_logits"),
    tier="cpu",
    data="sst2+bert",
    help="What lies between encoder and logits? A deep head, or much dropout, learns slowly.",
)
def finetuned_bert_classifies_reviews(submission, contest):
    """fine-tuned on phrases of film reviews, it tells praise from blame in sentences it has not seen"""
    contest.decide(
        submission,
        "build_classifier",
        limit=1500,
        epochs=1,
        batch_size=16,
        max_lr=1e-4,
        # The stand-in encoder was never pretrained, so all of it has to learn, from the beginning.
        stand_in={"limit": 6000, "epochs": 8, "batch_size": 32, "max_lr": 5e-4},
        gpu={"limit": 70_000, "batch_size": 32},  # all of SST-2
    )
