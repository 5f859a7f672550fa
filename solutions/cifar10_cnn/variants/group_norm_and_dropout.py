"""A Cifar10CNN with group normalisation, GELU, dropout and a frozen first layer."""

from torch import nn


class Cifar10CNN(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        colours = nn.Conv2d(3, 24, 3, padding=1)
        colours.requires_grad_(False)

        def block(before, after):
            return nn.Sequential(
                nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(8, after), nn.GELU(), nn.MaxPool2d(2)
            )

        self.net = nn.Sequential(
            colours, block(24, 32), block(32, 64), nn.Dropout2d(0.05), block(64, 128), nn.Flatten(1),
            nn.Dropout(0.1), nn.Linear(2048, num_classes),
        )  # fmt: skip

    def forward(self, images):
        return self.net(images)
