"""A frozen model still computes and still trains its head."""

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.proxy import RemoteModule
from dlgrade.specs_text import TinyBert


def of_encoder(names, oracle, encoder):
    """Those names of a classifier's parameters that are the encoder's, and not a head's of like names."""
    keys = {entry.name for entry in oracle.method(encoder, "eval").layout.parameters}
    first = "embeddings.word_embeddings.weight"
    known = {name.removesuffix(first) + key for name in names if name.endswith(first) for key in keys}
    deep = tuple(key.removeprefix("encoder.") for key in keys if ".layer." in key)  # held without the encoder
    return [name for name in names if name in known or name.endswith(deep)]


@check(
    part="freeze_encoder",
    points=2,
    kind="training",
    needs=("classifier_gives_one_logit_for_each_class",),
    help="Only requires_grad is to change: outputs stay what they were, and gradients still reach the head.",
)
def one_step_of_a_frozen_model_moves_the_head_only(submission, oracle):
    """freezing changes no output, and a training step afterwards moves the head and nothing else"""
    encoder = TinyBert(oracle.seed())
    model = submission.build("build_classifier", encoder, 3)
    compare.require(isinstance(model, RemoteModule), "build_classifier does not return an nn.Module")
    model.load_state_dict(oracle.weights(model))
    model.eval()
    ids, mask = oracle.integers(4, 6, low=5, high=150), torch.ones(4, 6, dtype=torch.int64)
    with torch.no_grad():
        before = compare.tensor(model(ids, mask), what="the logits", shape=(4, 3)).double()
        again = compare.tensor(model(ids, mask), what="the logits", shape=(4, 3)).double()
    submission.freeze_encoder(model)
    model.eval()
    left = sum(parameter.requires_grad for parameter in model.parameters())
    observe("is anything trainable", torch.tensor(float(left > 0)))
    output = compare.tensor(model(ids, mask), what="the logits of the frozen model", shape=(4, 3))
    random = not torch.equal(before, again)  # which is not for this check to blame
    same = random or float((output.detach().double() - before).abs().max()) <= 1e-5
    observe("[outputs unchanged, gradient left]", torch.tensor([same, output.requires_grad]).double())
    compare.require(same, "freezing changes the logits")
    compare.require(output.requires_grad, "no gradient flows from the logits of the frozen model")
    moved = structure.moved_by_one_step(model, ids, mask)
    names = [name for name, _ in model.named_parameters()]
    strays = [name for name in of_encoder(names, oracle, encoder) if name in moved]
    observe(
        "[parameters of the encoder that move, does the head]",
        torch.tensor([len(strays), len(moved) > len(strays)]).double(),
    )
    compare.require(not strays, f"a training step moves {len(strays)} parameters of the encoder")
    compare.require(len(moved) > len(strays), "a training step does not move the head")
