"""An MLP head under fc, a backbone frozen in a loop, a count by hand, a comparison of its own."""

import time

import torch
from torch import nn
from torch.nn import functional as F


def build_transfer_model(num_classes, backbone):
    if type(getattr(backbone, "fc", None)) is not nn.Linear:
        raise ValueError("expected a backbone with a Linear layer fc")
    for parameter in backbone.parameters():
        parameter.requires_grad = False
    inputs, like = backbone.fc.in_features, backbone.fc.weight
    backbone.fc = nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, num_classes)).to(like)
    return backbone


def count_parameters(model, trainable_only=False):
    seen = {}
    for parameter in model.parameters():
        if parameter.requires_grad or not trainable_only:
            seen[id(parameter)] = parameter.nelement()
    return sum(seen.values())


def compare(models, train_loader, test_loader, *, epochs, lr, device="cpu"):
    if epochs < 1:
        raise ValueError("train for one epoch at least")

    def figures(name):
        model = models[name].to(device)
        optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr)
        begin = time.monotonic()
        model.train()
        for _ in range(epochs):
            for x, y in train_loader:
                optimizer.zero_grad()
                F.cross_entropy(model(x.to(device)), y.to(device)).backward()
                optimizer.step()
        middle = time.monotonic()
        model.eval()
        right, total = 0, 0
        with torch.inference_mode():
            for x, y in test_loader:
                right += (model(x.to(device)).argmax(-1).cpu() == y.cpu()).sum().item()
                total += y.numel()
        seconds = max(time.monotonic() - middle, 1e-9)
        return dict(
            name=name,
            parameters=count_parameters(model),
            accuracy=right / total,
            seconds_per_epoch=(middle - begin) / epochs,
            images_per_second=total / seconds,
        )

    return [figures(name) for name in models]
