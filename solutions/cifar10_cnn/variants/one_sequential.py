"""SimpleCNN as a subclass of Sequential that ends with a log-softmax, its last layer starting at zero."""

from torch import nn


class SimpleCNN(nn.Sequential):
    def __init__(self, num_classes=10):
        layers = []
        for before, after in ((1, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(before, after, 3, 1, 1), nn.ReLU(inplace=True), nn.MaxPool2d(2, 2)]
        last = nn.Linear(256, num_classes)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        super().__init__(
            *layers, nn.Flatten(), nn.Linear(1152, 256), nn.ReLU(), nn.Dropout(), last, nn.LogSoftmax(dim=1)
        )
