"""train_char_lm without torch.optim: gradients by autograd.grad, clipping and Adam's formulas written out."""

import torch


def train_char_lm(model, batches, *, epochs, lr, clip=1.0, device="cpu"):
    if len(batches) == 0:
        raise ValueError("there is nothing to train on")
    model = model.to(device)
    model.train(True)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    mean = [torch.zeros_like(parameter) for parameter in parameters]
    square = [torch.zeros_like(parameter) for parameter in parameters]
    history, step = [], 0
    for _ in range(epochs):
        state, losses = None, []
        for x, y in batches:
            x, y, step = x.to(device), y.to(device), step + 1
            logits, state = model(x) if state is None else model(x, tuple(part.detach() for part in state))
            loss = -logits.log_softmax(-1).gather(-1, y.unsqueeze(-1)).mean()
            gradients = torch.autograd.grad(loss, parameters)
            norm = torch.sqrt(sum((gradient**2).sum() for gradient in gradients))
            scale = min(1.0, clip / (float(norm) + 1e-6))
            with torch.no_grad():
                for parameter, gradient, m, v in zip(parameters, gradients, mean, square, strict=True):
                    m.mul_(0.9).add_(gradient * scale, alpha=0.1)
                    v.mul_(0.999).add_((gradient * scale) ** 2, alpha=0.001)
                    root = (v / (1 - 0.999**step)).sqrt() + 1e-8
                    parameter.sub_(lr * (m / (1 - 0.9**step)) / root)
            losses.append(float(loss.detach()))
        history.append(sum(losses) / len(losses))
    return history
