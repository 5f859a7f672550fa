"""A residual network small enough to pretrain on a laptop, for where no pretrained one can be downloaded."""

from torch import nn


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, each with batch norm, added to a shortcut around them.

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        stride: 1 keeps height and width, 2 halves them.

    Source: He et al. 2016, arXiv:1512.03385, figure 2.
    """

    def __init__(self, in_channels, out_channels, stride):
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

    def forward(self, x):
        """(N, C, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        inner = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class SmallResNet(nn.Module):
    """A ResNet of one block at each of three resolutions; its classifier is `fc`, as in torchvision's.

    Args:
        num_classes: K.
        width: channels at full resolution; they double with each halving.
    """

    def __init__(self, num_classes, width=32):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.layer1 = ResidualBlock(width, width, 1)
        self.layer2 = ResidualBlock(width, 2 * width, 2)
        self.layer3 = ResidualBlock(2 * width, 4 * width, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4 * width, num_classes)

    def forward(self, x):
        """(N, 3, H, W) images -> (N, K) logits; any H and W."""
        x = self.relu(self.bn1(self.conv1(x)))  # (N, width, H, W)
        x = self.layer3(self.layer2(self.layer1(x)))  # (N, 4 * width, H / 4, W / 4)
        return self.fc(self.avgpool(x).flatten(1))
