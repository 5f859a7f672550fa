"""Gradients cleared after the forward pass by setting them to None, and examples counted by their losses."""

import torch.nn as nn


def train_one_epoch(model, loader, optimizer, device):
    criterion = nn.CrossEntropyLoss(reduction="none")
    model.train(True)
    losses = []
    for batch in loader:
        x, y = (part.to(device, non_blocking=True) for part in batch)
        loss = criterion(model(x), y)
        for parameter in model.parameters():
            parameter.grad = None
        loss.mean().backward()
        optimizer.step()
        losses.extend(loss.tolist())
    return sum(losses) / len(losses)


def evaluate(model, loader, device):
    was_training = model.training
    model.train(False)
    import torch

    with torch.inference_mode():
        hits = [
            (model(x.to(device)).softmax(1).max(1).indices == y.to(device)).float().tolist()
            for x, y in loader
        ]
    model.train(was_training)
    return sum(map(sum, hits)) / sum(map(len, hits))
