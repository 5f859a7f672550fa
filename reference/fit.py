"""Train a classifier with a learning-rate schedule and early stopping."""

import torch

from reference.early_stopping import EarlyStopping
from reference.training import evaluate, train_one_epoch, validation_loss


def fit(model, train_loader, val_loader, *, epochs, lr, patience, device="cpu") -> dict:
    """Train with Adam until the validation loss stops falling, then restore the best weights.

    The learning rate follows StepLR(step_size=10, gamma=0.1), stepped once per epoch after the
    optimizer. Training ends after `epochs` epochs, or sooner after `patience` epochs in a row
    without a new lowest validation loss.

    Args:
        model: module, inputs (N, ...) -> (N, K) logits. It is moved to `device` and ends with the
            parameters and buffers of its best epoch.
        train_loader: iterable of (inputs, labels), trained on in its order.
        val_loader: iterable of (inputs, labels), evaluated in eval mode without gradients.
        epochs: the most epochs to run; at least 1.
        lr: learning rate of the first epoch.
        patience: see above; at least 1.
        device: where the computation runs.

    Returns:
        A dict. Lists with one entry per epoch run: `train_loss` and `val_loss` (mean per example, in
        nats), `val_accuracy` (0..1), `lr` (the rate this epoch was trained with). And `best_epoch`:
        the 0-based epoch with the lowest validation loss, the first of equals.

    Raises:
        ValueError: epochs or patience is below 1.
        RuntimeError: no epoch had a finite validation loss.
    """
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}, expected at least 1")
    model.to(device)  # before the optimizer is made, which must hold the parameters that will be trained
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.1)
    stopping = EarlyStopping(patience)
    history = {"train_loss": [], "val_loss": [], "val_accuracy": [], "lr": []}
    for _ in range(epochs):
        history["lr"].append(optimizer.param_groups[0]["lr"])
        history["train_loss"].append(train_one_epoch(model, train_loader, optimizer, device))
        history["val_loss"].append(validation_loss(model, val_loader, device))
        history["val_accuracy"].append(evaluate(model, val_loader, device))
        schedule.step()
        if stopping.update(history["val_loss"][-1], model):
            break
    stopping.restore(model)
    return {**history, "best_epoch": stopping.best_epoch}
