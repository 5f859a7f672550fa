"""Train a classifier with a learning-rate schedule and early stopping."""

import copy
import math

import torch
import torch.nn.functional as F

from reference.training import evaluate, train_one_epoch


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
    # All in one function, so that the order of an epoch can be read off: train, validate, decay, decide.
    for name, value in {"epochs": epochs, "patience": patience}.items():
        if value < 1:
            raise ValueError(f"{name} is {value}, expected at least 1")

    def validation_loss():
        model.eval()
        total_loss, examples = 0.0, 0
        with torch.no_grad():
            for inputs, labels in val_loader:
                inputs, labels = inputs.to(device), labels.to(device)
                total_loss += F.cross_entropy(model(inputs), labels, reduction="sum")
                examples += len(labels)
        return float(total_loss) / examples

    model.to(device)  # before the optimizer is made, which must hold the parameters that will be trained
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.1)
    history = {"train_loss": [], "val_loss": [], "val_accuracy": [], "lr": []}
    best_loss, best_epoch, best_state = math.inf, None, None
    epochs_since_best = 0
    for epoch in range(epochs):
        history["lr"].append(optimizer.param_groups[0]["lr"])
        history["train_loss"].append(train_one_epoch(model, train_loader, optimizer, device))
        history["val_loss"].append(validation_loss())
        history["val_accuracy"].append(evaluate(model, val_loader, device))
        schedule.step()
        if history["val_loss"][-1] < best_loss:
            best_loss, best_epoch = history["val_loss"][-1], epoch
            # state_dict() holds the live tensors, which the next optimizer step would change.
            best_state = copy.deepcopy(model.state_dict())
            epochs_since_best = 0
        else:
            epochs_since_best += 1
        if epochs_since_best >= patience:
            break
    if best_state is None:
        raise RuntimeError(
            f"no best weights to restore: none of {len(history['lr'])} epochs had a finite validation "
            "loss; lower the learning rate or check the inputs for NaN"
        )
    model.load_state_dict(best_state)
    return {**history, "best_epoch": best_epoch}
