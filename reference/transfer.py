"""Transfer learning: a frozen pretrained backbone, a new head."""

from torch import nn


def keep_backbone_in_eval(model, _inputs):
    """Before each forward pass, put everything but `fc` into eval mode; `fc` follows the model.

    `requires_grad_(False)` does not stop batch norm: in train mode it would go on normalising by the
    batch at hand and moving its running statistics towards the new images, and a backbone that moves is
    not frozen.

    Args:
        model: ResNet with `fc`.
        _inputs: the forward pass's inputs; not looked at.
    """
    for name, child in model.named_children():
        child.train(model.training and name == "fc")


def build_transfer_model(num_classes, backbone):
    """Freeze a pretrained network and give it a new head.

    Nothing of the backbone moves in training: its parameters get no gradient, and its batch-norm
    statistics stay those it was pretrained with, in train mode too.

    Args:
        num_classes: K, the number of classes of the new task.
        backbone: ResNet whose last layer is the Linear `fc`; changed in place.

    Returns:
        the backbone, frozen but for `fc`, a new Linear (features, K) on the device and in the dtype of
        the old one.

    Raises:
        ValueError: the backbone has no Linear `fc`.

    Source: Yosinski et al. 2014, arXiv:1411.1792.
    """
    old = getattr(backbone, "fc", None)
    if not isinstance(old, nn.Linear):
        name = type(backbone).__name__
        raise ValueError(f"{name}.fc is {type(old).__name__}, expected the Linear layer to replace")
    backbone.requires_grad_(False)
    backbone.fc = nn.Linear(old.in_features, num_classes, device=old.weight.device, dtype=old.weight.dtype)
    backbone.register_forward_pre_hook(keep_backbone_in_eval)
    return backbone
