"""Gradients cleared first thing and after each step, the loss as log-softmax and NLL, a tensor returned."""

import torch
import torch.nn.functional as F


def train_one_epoch(model, loader, optimizer, device):
    model.train()
    optimizer.zero_grad(set_to_none=False)
    total, seen = torch.zeros((), dtype=torch.float64), 0
    for x, y in loader:
        x, y = x.to(device=device), y.to(device=device)
        loss = F.nll_loss(F.log_softmax(model(x), dim=-1), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        total += loss.item() * y.shape[0]
        seen += y.size(0)
    return total / seen


@torch.no_grad()
def evaluate(model, loader, device):
    model.eval()
    right = torch.cat([model(x.to(device)).argmax(-1).eq(y.to(device)) for x, y in loader])
    return right.double().mean().item()
