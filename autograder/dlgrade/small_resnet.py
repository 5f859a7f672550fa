"""A small residual network with weights of the kit's own, for where no large one can be downloaded.

The weights were trained on the first five classes of CIFAR-10 (JPEG) by `reference/pretraining.py`; the
other five are what they are transferred to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

WEIGHTS: Final = Path(__file__).with_name("small_resnet.npz")
PRETRAINED_CLASSES: Final = 5  # of CIFAR-10, from the first: airplane, automobile, bird, cat, deer
PRETRAINED_WIDTH: Final = 16


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, each with batch norm, added to a shortcut around them.

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        stride: 1 keeps height and width, 2 halves them.

    Source: He et al. 2016, arXiv:1512.03385, figure 2.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        inner = self.relu(self.bn1(self.conv1(x)))
        out: torch.Tensor = self.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))
        return out


class SmallResNet(nn.Module):
    """A ResNet of one block at each of three resolutions; its classifier is `fc`, as in torchvision's.

    Args:
        num_classes: K.
        width: channels at full resolution; they double with each halving.
    """

    def __init__(self, num_classes: int, width: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.layer1 = ResidualBlock(width, width, 1)
        self.layer2 = ResidualBlock(width, 2 * width, 2)
        self.layer3 = ResidualBlock(2 * width, 4 * width, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4 * width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) images -> (N, K) logits; any H and W."""
        x = self.relu(self.bn1(self.conv1(x)))  # (N, width, H, W)
        x = self.layer3(self.layer2(self.layer1(x)))  # (N, 4 * width, H / 4, W / 4)
        logits: torch.Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def pretrained() -> SmallResNet:
    """The network with the kit's weights, in float32 and eval mode.

    It takes images normalised by CIFAR-10's statistics, as `training.normalise` does, and tells the first
    five classes apart. Width 16: 78,000 parameters.
    """
    model = SmallResNet(PRETRAINED_CLASSES, PRETRAINED_WIDTH)
    with np.load(WEIGHTS, allow_pickle=False) as stored:
        model.load_state_dict({name: torch.from_numpy(stored[name]) for name in stored.files})
    return model.eval()


def save(model: SmallResNet) -> None:
    """Store a network's weights for `pretrained`, in half precision."""
    state = model.state_dict()
    half = {
        name: value.half().numpy() if value.is_floating_point() else value.numpy()
        for name, value in state.items()
    }
    np.savez_compressed(WEIGHTS, **half)
