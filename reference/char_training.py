"""Train a character language model by truncated backpropagation through time."""

import torch
from torch.nn import functional as F


def train_char_lm(model, batches, *, epochs, lr, clip=1.0, device="cpu"):
    """Train with Adam on consecutive batches, carrying the state but not its gradient.

    The state at the end of a batch is the start of the next one, detached, so that the gradient reaches
    back to the start of a batch and no further. Each epoch starts from no state. Each step's gradient,
    over all parameters together, is scaled down to norm `clip` where it is longer.

    Args:
        model: called as `model(ids, state)`, returns (logits (N, T, V), state); trained in place, in
            train mode.
        batches: list of (x, y), LongTensors (N, T), consecutive as `make_batches` returns them.
        epochs: passes over the batches.
        lr: Adam's learning rate.
        clip: largest gradient norm.
        device: where the model is moved to and trained.

    Returns:
        list of one float per epoch: the mean loss per character, in nats, as measured during the epoch.

    Raises:
        ValueError: batches is empty.

    Source: Pascanu et al. 2013, "On the difficulty of training recurrent neural networks", arXiv:1211.5063.
    """
    if not batches:
        raise ValueError("batches is empty, expected one or more; is the text longer than one batch?")
    model.to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for _ in range(epochs):
        state, total, characters = None, 0.0, 0
        for x, y in batches:
            x, y = x.to(device), y.to(device)
            logits, (h, c) = model(x, state)  # logits: (N, T, V)
            state = (h.detach(), c.detach())
            loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())  # (N*T, V) against (N*T,)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            total += loss.item() * y.numel()
            characters += y.numel()
        losses.append(total / characters)
    return losses
