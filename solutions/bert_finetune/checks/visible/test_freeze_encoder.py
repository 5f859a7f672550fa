"""Which parameters freeze_encoder leaves trainable, in the module of your own build_classifier."""

import torch

from dlgrade import compare
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
    kind="structure",
    needs=("classifier_gives_one_logit_for_each_class",),
    help="After the call, print the name of every parameter of the model that still requires a gradient.",
)
def freezing_leaves_exactly_the_head_trainable(submission, oracle):
    """no parameter of the encoder requires a gradient any more, every one of the head still does"""
    encoder = TinyBert(oracle.seed())
    model = submission.build("build_classifier", encoder, 3)
    compare.require(isinstance(model, RemoteModule), "build_classifier does not return an nn.Module")
    submission.freeze_encoder(model)
    free = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    inside = of_encoder(free, oracle, encoder)
    loose = [name for name in inside if free[name]]
    head = [name for name in free if name not in inside]
    stuck = [name for name in head if not free[name]]
    observe("parameters of the encoder left trainable", torch.tensor(float(len(loose))))
    observe("is the head frozen", torch.tensor(float(len(stuck) == len(head))))
    compare.require(bool(inside), "the model has no parameter of a BERT encoder")
    compare.require(not loose, f"{len(loose)} parameters of the encoder are not frozen, first {loose[:1]}")
    compare.require(bool(head), "the model has no head besides the encoder")
    compare.require(not stuck, f"{len(stuck)} parameters of the head are frozen, first {stuck[:1]}")
