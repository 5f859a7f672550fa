"""The small residual network against torchvision's."""

import pytest
import torch
from torchvision.models.resnet import BasicBlock, conv1x1

from dlgrade.small_resnet import ResidualBlock, SmallResNet
from tests.reference.devices import DEVICES


@pytest.mark.parametrize(("channels", "stride"), [(4, 1), (8, 2)])
def test_block_agrees_with_torchvision(channels, stride):
    """With the same weights a block is torchvision's BasicBlock, shortcut projected or not, in both modes."""
    torch.manual_seed(0)
    ours = ResidualBlock(4, channels, stride).double()
    projection = None
    if len(ours.shortcut):
        projection = torch.nn.Sequential(conv1x1(4, channels, stride), torch.nn.BatchNorm2d(channels))
    theirs = BasicBlock(4, channels, stride, projection).double()
    theirs.load_state_dict(
        {name.replace("shortcut", "downsample"): v for name, v in ours.state_dict().items()}
    )
    x = torch.randn(2, 4, 6, 6, dtype=torch.double)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize("side", [8, 32, 33])
def test_any_image_size(side):
    """Logits are (N, K) whatever the height and width: the average pool ends in one pixel."""
    model = SmallResNet(5, width=4).to("meta")
    assert model(torch.empty(2, 3, side, side + 1, device="meta")).shape == (2, 5)


@pytest.mark.parametrize("device", DEVICES)
def test_every_parameter_gets_a_gradient(device):
    """All parts take part in training."""
    torch.manual_seed(0)
    model = SmallResNet(5, width=4).to(device)
    model(torch.randn(4, 3, 8, 8, device=device)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name
