"""fit that keeps a deep copy of the whole model, sets the rate by hand and never calls the other parts."""

import copy
import math

import torch
import torch.nn.functional as F


def fit(model, train_loader, val_loader, *, epochs, lr, patience, device="cpu"):
    if min(epochs, patience) < 1:
        raise ValueError("epochs and patience must be positive")
    model = model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=123.0)
    out = {"train_loss": [], "val_loss": [], "val_accuracy": [], "lr": [], "best_epoch": 0, "stopped": False}
    best = None

    def run(loader, training):
        model.train(training)
        total, right, count = 0.0, 0, 0
        with torch.set_grad_enabled(training):
            for x, y in loader:
                x, y = x.to(device), y.to(device)
                logits = model(x)
                loss = F.cross_entropy(logits, y)
                if training:
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                total += loss.item() * len(y)
                right += (logits.argmax(1) == y).sum().item()
                count += len(y)
        return total / count, right / count

    for epoch in range(epochs):
        rate = lr / 10 ** (epoch // 10)
        for group in optimizer.param_groups:
            group["lr"] = rate
        out["lr"].append(rate)
        out["train_loss"].append(run(train_loader, True)[0])
        loss, accuracy = run(val_loader, False)
        out["val_loss"].append(loss)
        out["val_accuracy"].append(accuracy)
        if math.isfinite(loss) and (best is None or loss < out["val_loss"][out["best_epoch"]]):
            best, out["best_epoch"] = copy.deepcopy(model), epoch
        elif epoch - out["best_epoch"] >= patience:
            out["stopped"] = True
            break
    if best is None:
        raise RuntimeError("the validation loss was never finite")
    model.load_state_dict(best.state_dict())
    return out
