"""Train several models alike and set their figures side by side."""

import time

import torch

from reference.parameter_count import count_parameters
from reference.training import evaluate, train_one_epoch


def compare(models, train_loader, test_loader, *, epochs, lr, device="cpu"):
    """Train each model with Adam on the same loader, then test it.

    Args:
        models: dict of name to model, called as `model(images)`, returns (N, K) logits; each is trained
            in place, its frozen parameters excepted, in the dict's order.
        train_loader: iterable of (images, labels) batches, walked once per epoch and model.
        test_loader: iterable of (images, labels) batches.
        epochs: passes over train_loader per model, at least 1.
        lr: Adam's learning rate.
        device: where the models are moved to, trained and tested.

    Returns:
        list of one dict per model, in the order of models: `name`, `accuracy` on test_loader (fraction
        in 0..1), `parameters` (all of them, frozen too), `seconds_per_epoch` (mean time of a training
        epoch, loading included) and `images_per_second` (of the test, loading included). The two timings
        are this machine's, of this run.

    Raises:
        ValueError: epochs is below 1.
    """
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}, expected at least 1")
    test_images = sum(len(labels) for _, labels in test_loader)
    rows = []
    for name, model in models.items():
        model.to(device)
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr)
        started = time.perf_counter()
        for _ in range(epochs):
            train_one_epoch(model, train_loader, optimizer, device)
        trained = time.perf_counter()
        accuracy = evaluate(model, test_loader, device)
        tested = time.perf_counter()
        rows.append(
            {
                "name": name,
                "accuracy": accuracy,
                "parameters": count_parameters(model),
                "seconds_per_epoch": (trained - started) / epochs,
                "images_per_second": test_images / (tested - trained),
            }
        )
    return rows
