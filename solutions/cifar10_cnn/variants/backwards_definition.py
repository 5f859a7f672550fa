"""SimpleCNN whose layers are defined last to first, its blocks in a ModuleList."""

from torch import nn


class SimpleCNN(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.out = nn.Linear(256, num_classes)
        self.hidden = nn.Linear(128 * 9, 256)
        self.drop = nn.Dropout(p=0.5)
        self.blocks = nn.ModuleList(
            [nn.Conv2d(a, b, 3, padding=1) for a, b in ((64, 128), (32, 64), (1, 32))]
        )
        self.pool = nn.MaxPool2d(kernel_size=2)

    def forward(self, x):
        for block in reversed(self.blocks):
            x = self.pool(block(x).relu())
        x = self.hidden(x.reshape(len(x), -1)).clamp(min=0)
        return self.out(self.drop(x))
