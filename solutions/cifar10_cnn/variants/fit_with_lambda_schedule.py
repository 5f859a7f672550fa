"""fit with a LambdaLR, best tensors cloned one by one and copied back in place, tensors in the history."""

import math

import torch


def train_one_epoch(model, loader, optimizer, device):
    model.train()
    total, seen = torch.tensor(0.0, dtype=torch.float64), 0
    for x, y in loader:
        x, y = x.to(device), y.to(device)

        def closure(x=x, y=y):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        total += float(optimizer.step(closure).detach()) * len(y)
        seen += len(y)
    return float(total) / seen


def fit(model, train_loader, val_loader, *, epochs, lr, patience, device="cpu"):
    for number in (epochs, patience):
        if number <= 0:
            raise ValueError(number)
    model.to(device)
    optimizer = torch.optim.Adam([{"params": list(model.parameters())}], lr=lr, foreach=False)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.1 ** (epoch // 10))
    history = {"train_loss": [], "val_loss": [], "val_accuracy": [], "lr": []}
    kept, waiting = {}, 0
    for epoch in range(epochs):
        history["lr"].append(schedule.get_last_lr()[0])
        history["train_loss"].append(train_one_epoch(model, train_loader, optimizer, device))
        model.eval()
        with torch.no_grad():
            pairs = [(model(x.to(device)), y.to(device)) for x, y in val_loader]
        logits, labels = torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])
        history["val_loss"].append(torch.nn.functional.cross_entropy(logits, labels))
        history["val_accuracy"].append((logits.argmax(1) == labels).double().mean())
        if history["val_loss"][-1] < min([math.inf, *history["val_loss"][:-1]]):
            best_epoch, waiting = epoch, 0
            kept = {
                name: value.clone() for name, value in (*model.named_parameters(), *model.named_buffers())
            }
        else:
            waiting += 1
        schedule.step()
        if waiting == patience:
            break
    if not kept:
        raise RuntimeError("no weights worth keeping")
    with torch.no_grad():
        for name, value in (*model.named_parameters(), *model.named_buffers()):
            value.copy_(kept[name])
    return {**history, "best_epoch": best_epoch}
