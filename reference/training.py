"""One pass over a split, to train or to measure, on whichever device the model is."""

import random

import numpy as np
import torch
import torch.nn.functional as F


def seed_everything(seed):
    """Seed the random numbers of Python, NumPy and torch on every device.

    Two runs from one seed on one CPU then agree bit for bit. Some CUDA kernels still do not:
    `torch.use_deterministic_algorithms(True)` makes torch refuse those.

    Args:
        seed: integer, 0 <= seed < 2**32 (NumPy's range).
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def train_one_epoch(model, loader, optimizer, device) -> float:
    """Train a classifier on every batch of a loader once, in the loader's order.

    The loss is the cross-entropy of the model's logits. The model is in train mode.

    Args:
        model: module, inputs (N, ...) -> (N, K) logits, on `device`.
        loader: iterable of (inputs (N, ...), labels (N,)) on any device; N may differ per batch.
        optimizer: optimizer over the model's parameters; one step per batch.
        device: where the computation runs, such as "cpu" or "cuda".

    Returns:
        Mean loss per example in nats: every example counts the same, whatever its batch's size.
        Each example's loss is the one from before its batch's step.
    """
    model.train()
    total_loss, examples = 0.0, 0
    for inputs, labels in loader:
        inputs, labels = inputs.to(device), labels.to(device)
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        # Summed on the device: calling item() in each step would make a GPU wait for the CPU.
        total_loss += loss.detach() * len(labels)
        examples += len(labels)
    return float(total_loss) / examples


def evaluate(model, loader, device) -> float:
    """Measure a classifier's accuracy, in eval mode and without gradients.

    Args:
        model: module, inputs (N, ...) -> (N, K) logits, on `device`.
        loader: iterable of (inputs (N, ...), labels (N,)) on any device; N may differ per batch.
        device: where the computation runs.

    Returns:
        Correct predictions / examples seen, 0..1. The examples are counted from the batches, since
        a loader may drop, repeat or sample some of its dataset's.
    """
    model.eval()
    correct, examples = 0, 0
    with torch.no_grad():
        for inputs, labels in loader:
            inputs, labels = inputs.to(device), labels.to(device)
            correct += (model(inputs).argmax(dim=1) == labels).sum()
            examples += len(labels)
    return int(correct) / examples
