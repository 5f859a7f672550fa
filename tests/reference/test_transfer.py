import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, ResNet

from dlgrade.small_resnet import SmallResNet
from reference.parameter_count import count_parameters
from reference.transfer import build_transfer_model
from tests.reference.devices import DEVICES


def torchvision_resnet():
    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=6)


BACKBONES = {"small": lambda: SmallResNet(6, width=4), "torchvision": torchvision_resnet}
each_backbone = pytest.mark.parametrize("make", BACKBONES.values(), ids=BACKBONES.keys())


def images():
    return 3 + torch.randn(
        8, 3, 16, 16, generator=torch.Generator().manual_seed(1)
    )  # not centred: statistics move


def built(make=BACKBONES["small"]):
    torch.manual_seed(0)
    return build_transfer_model(4, make())


def train(model, steps=3):
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    labels = torch.arange(8) % 4
    model.train()
    for _ in range(steps):
        loss = F.cross_entropy(model(images()), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@each_backbone
def test_new_head_on_the_same_features(make):
    """In eval mode the logits are the new fc of the features that the backbone's old fc was given."""
    torch.manual_seed(0)
    original = make().eval()
    features = []
    original.fc.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    original(images())
    model = build_transfer_model(4, copy.deepcopy(original)).eval()
    torch.testing.assert_close(model(images()), model.fc(features[0]))
    assert model.fc.out_features == 4


@each_backbone
def test_training_moves_the_head_and_nothing_else(make):
    """After Adam steps in train mode fc has changed; all else, batch-norm statistics too, has not."""
    model = built(make)
    before = copy.deepcopy(model.state_dict())
    train(model)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"fc.weight", "fc.bias"}


def test_without_the_frozen_statistics_they_would_drift():
    """The same training without the hook moves a running mean, so these images would show a drift."""
    model = built()
    model._forward_pre_hooks.clear()
    before = model.bn1.running_mean.clone()
    train(model)
    assert not torch.equal(model.bn1.running_mean, before)


def test_train_and_eval_mode_agree():
    """A frozen backbone gives the same features in both modes; an image's do not depend on its batch."""
    model = built()
    in_training = model.train()(images())
    torch.testing.assert_close(in_training[:2], model(images()[:2]))
    torch.testing.assert_close(in_training, model.eval()(images()))


def test_a_head_with_dropout_still_follows_the_mode():
    """Only the backbone is held in eval mode: a head put in later drops in train mode, not in eval mode."""
    model = built()
    model.fc = nn.Sequential(nn.Dropout(0.5), model.fc)
    assert not torch.equal(model.train()(images()), model(images()))
    assert torch.equal(model.eval()(images()), model(images()))


@each_backbone
def test_only_the_head_is_trainable(make):
    """The trainable parameters are the head's features * K + K; no gradient reaches any other."""
    model = built(make)
    assert count_parameters(model, trainable_only=True) == model.fc.in_features * 4 + 4
    model(images()).sum().backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("device", [*DEVICES, "meta"])
def test_head_is_made_where_and_as_what_the_backbone_is(device):
    """A backbone in double or on another device gets a head that runs with it as it comes."""
    model = build_transfer_model(4, SmallResNet(6, width=4).to(device, torch.float64))
    out = model(images().to(device, torch.float64))
    assert (out.shape, out.dtype, out.device.type) == ((8, 4), torch.float64, device)


def test_survives_copying_and_pickling():
    """A copy keeps the backbone's statistics frozen too."""
    for model in (copy.deepcopy(built()), pickle.loads(pickle.dumps(built()))):
        before = model.bn1.running_mean.clone()
        train(model, steps=1)
        assert torch.equal(model.bn1.running_mean, before)


def without_fc():
    model = SmallResNet(6, width=4)
    model.fc = nn.Identity()
    return model


@pytest.mark.parametrize(
    ("backbone", "found"), [(nn.ReLU(), "ReLU.fc is NoneType"), (without_fc(), "SmallResNet.fc is Identity")]
)
def test_backbone_without_a_linear_fc_is_refused(backbone, found):
    """What has no Linear fc is refused by its class and by what stands there, and is not frozen."""
    with pytest.raises(ValueError, match=found + ", expected the Linear layer to replace"):
        build_transfer_model(4, backbone)
    assert all(parameter.requires_grad for parameter in backbone.parameters())
