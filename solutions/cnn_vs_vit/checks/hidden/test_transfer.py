"""That the backbone stays what it was, and that only the head learns."""

import torch

from dlgrade import compare, structure
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.outcome import Unmappable
from dlgrade.specs import PretrainedResNet


def _of_head(name):
    return name.startswith("fc.")


@check(
    part="build_transfer_model",
    points=2,
    kind="value",
    help="The pretrained weights are what is transferred: keep all of them, and start with a new head.",
)
def transfer_keeps_the_pretrained_features(submission, oracle):
    """the backbone's weights and statistics are the pretrained ones, and the head is new"""
    seed = oracle.seed()
    untouched, backbone = (PretrainedResNet(4, seed=seed) for _ in range(2))
    pretrained = oracle.state(untouched)
    model = submission.build("build_transfer_model", 4, backbone)
    after = submission.state(model)
    same = [name for name, value in pretrained.items() if name in after and torch.equal(after[name], value)]
    observe("what is as pretrained", torch.tensor([float(name in same) for name in sorted(pretrained)]))
    observe("parameters that are new", torch.tensor(float(len(after.keys() - pretrained.keys()))))
    compare.state(after, {k: v for k, v in pretrained.items() if not _of_head(k)}, what="after the transfer")
    compare.require("fc.weight" not in same, "the head still has the pretrained weights, expected a new one")


@check(
    part="build_transfer_model",
    points=1,
    kind="training",
    otherwise=("one_step_moves_the_head_only",),
    help="The new head must be a layer that forward really uses, in the place and dtype of the old one.",
)
def transfer_model_computes_head_of_features(submission, oracle):
    """with the same weights in the head, logits in eval mode are the reference's"""
    backbone = PretrainedResNet(3, seed=oracle.seed())
    ours = oracle.build_transfer_model(5, backbone)
    theirs = submission.build("build_transfer_model", 5, backbone)
    head = {"fc.weight": oracle.normal(5, 6).double(), "fc.bias": oracle.normal(5).double()}
    shapes = {name: tuple(p.shape) for name, p in theirs.named_parameters() if _of_head(name)}
    if shapes != {name: tuple(value.shape) for name, value in head.items()}:
        raise Unmappable("the head has other parameters than one Linear layer")
    ours.load_state_dict(head)
    theirs.load_state_dict(head)
    images = oracle.normal(3, 3, 7, 5).double()
    compare.close(theirs.eval()(images), ours.eval()(images), what="the logits of the transfer model")


@check(
    part="build_transfer_model",
    points=2,
    kind="training",
    help="After a step of training, which parameters may have changed? Print requires_grad by name.",
)
def one_step_moves_the_head_only(submission, oracle):
    """one step of training changes all of the head and nothing else"""
    backbone = PretrainedResNet(3, seed=oracle.seed())
    model = submission.build("build_transfer_model", 4, backbone).eval()
    images = oracle.normal(6, 3, 6, 6).double()
    structure.one_step_moves(model, images, only=_of_head)
    after = submission.state(backbone)
    expected = oracle.state(backbone)
    kept = {name: value for name, value in expected.items() if not _of_head(name)}
    compare.state(after, kept, what="after a step of training")
