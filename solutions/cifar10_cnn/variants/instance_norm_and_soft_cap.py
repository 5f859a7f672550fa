"""A Cifar10CNN with biases that instance normalisation cancels, a smooth activation, and capped logits."""

import torch
from torch import nn


def block(inputs, outputs):
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.AvgPool2d(2),
        nn.InstanceNorm2d(outputs),
        nn.Mish(),
    ]


class Cifar10CNN(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.body = nn.Sequential(*block(3, 32), *block(32, 64), *block(64, 128))
        self.score = nn.Linear(128 * 4 * 4, num_classes)

    def forward(self, images):
        logits = torch.einsum("nd,kd->nk", self.body(images).flatten(1), self.score.weight)
        return 15 * torch.tanh((logits + self.score.bias) / 15)
