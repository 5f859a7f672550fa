"""What build_transfer_model must do to a backbone."""

import torch

from dlgrade import compare, proxy, structure
from dlgrade.checks import check
from dlgrade.observation import advise, observe
from dlgrade.outcome import StudentRaised
from dlgrade.specs import PretrainedResNet, SmallPretrained, Toy

RECIPE = {"limit": 5000, "epochs": 3, "batch_size": 100, "max_lr": 0.02}


def _of_head(name):
    return name.startswith("fc.")


def _head(state):
    """Shapes of the head's parameters in a state."""
    return {name: value.shape for name, value in state.items() if _of_head(name)}


def _says(model, attribute):
    """Whether the model has an attribute of this name, which for `requires_grad` freezes nothing."""
    try:
        proxy.read(model, attribute)
    except StudentRaised:
        return False
    return True


def _equal(value, other):
    return isinstance(value, torch.Tensor) and torch.equal(value, other)


@check(
    part="build_transfer_model",
    points=1,
    kind="shape",
    help="The new head takes the place of the old one: same name, same inputs, num_classes outputs.",
)
def transfer_replaces_fc_by_a_head_for_the_new_classes(submission, oracle):
    """the backbone itself gets a new head under the name fc, with num_classes outputs"""
    for classes, width in ((4, 6), (7, 5)):
        backbone = PretrainedResNet(7, width=width, seed=oracle.seed())
        model = submission.build("build_transfer_model", classes, backbone)
        names = [name for name, _ in model.named_parameters()]
        observe("parameters under fc", torch.tensor(float(any(map(_of_head, names)))))
        compare.require(any(map(_of_head, names)), "the model has no parameters under fc")
        strays = len([name for name in structure.trainable_names(model) if not _of_head(name)])
        observe("trainable parameters elsewhere", torch.tensor(float(strays)))
        logits = model.eval()(oracle.normal(2, 3, 6, 6).double())
        compare.tensor(logits, what=f"build_transfer_model({classes}, backbone)(images)", shape=(2, classes))
        given, returned = (_head(submission.state(which)) for which in (backbone, model))
        same = given == returned
        observe("is the backbone what is returned", torch.tensor(float(same)))
        compare.require(same, "the backbone itself has no new head: it is to be changed in place")


@check(
    part="build_transfer_model",
    points=1,
    kind="property",
    help="Look at backbone.fc before you replace it: is it the Linear layer that you expect?",
)
def transfer_refuses_a_backbone_without_a_linear_fc(submission, oracle):
    """a backbone without a Linear layer `fc` is a ValueError"""
    backbone = PretrainedResNet(3, seed=oracle.seed())
    logits = submission.build("build_transfer_model", 4, backbone).eval()(oracle.normal(2, 3, 6, 6).double())
    compare.tensor(logits, what="build_transfer_model(4, backbone)(images)", shape=(2, 4))
    headless = Toy(("Flatten",), ("Linear", 108, 3), seed=oracle.seed())
    what = "build_transfer_model(4, a model without fc)"
    compare.raises("ValueError", lambda: submission.build("build_transfer_model", 4, headless), what=what)


@check(
    part="build_transfer_model",
    points=2,
    kind="structure",
    help="A parameter is frozen by its own requires_grad. What is made after the freezing is trainable.",
)
def transfer_freezes_all_but_the_head(submission, oracle):
    """every parameter of the backbone is frozen, and every one of the head is not"""
    backbone = PretrainedResNet(3, seed=oracle.seed())
    model = submission.build("build_transfer_model", 4, backbone)
    observe(
        "does the module have a requires_grad of its own", torch.tensor(float(_says(model, "requires_grad")))
    )
    structure.frozen(model, but=_of_head)
    compare.require(bool(structure.trainable_names(model)), "no parameter is trainable")
    before = submission.state(backbone)
    model.train()(oracle.normal(4, 3, 6, 6).double())
    after = submission.state(backbone)
    statistics = [name for name in before if name.endswith("running_mean")]
    if not all(_equal(after.get(name), before[name]) for name in statistics):
        advise(
            "build_transfer_model: in train mode the batch statistics of your backbone still move, though its"
            " weights are frozen. Keep it in eval mode, or its features drift while the head learns."
        )


@check(
    part="build_transfer_model",
    points=2,
    kind="accuracy",
    needs=("transfer_freezes_all_but_the_head",),
    tier="cpu",
    data="cifar10",
    help="The features are good for more than the old classes. What keeps a new head from reading them off?",
)
def transfer_learns_the_new_classes(submission, contest):
    """on a small network that the kit pretrained on five classes, the head learns the five others"""
    contest.of_classes(5, 10).decide(submission, "build_transfer_model", 5, SmallPretrained(), **RECIPE)
