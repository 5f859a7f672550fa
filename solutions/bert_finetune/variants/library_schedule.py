"""transformers' own schedule, one group for each parameter, gradients clipped, losses from a log-softmax."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import get_linear_schedule_with_warmup


def make_optimizer(model, *, lr, weight_decay, warmup_steps, total_steps):
    if not (0 <= warmup_steps <= total_steps and total_steps > 0):
        raise ValueError("warm-up must fit into the steps")
    groups = []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                spared = isinstance(module, nn.LayerNorm) or name == "bias"
                groups.append({"params": [parameter], "weight_decay": 0.0 if spared else weight_decay})
    if not groups:
        raise ValueError("everything is frozen")
    optimizer = torch.optim.AdamW(groups, lr=lr)
    return optimizer, get_linear_schedule_with_warmup(optimizer, warmup_steps, total_steps)


def finetune(model, batches, optimizer, scheduler, device="cpu"):
    model.train()
    model.to(device)
    history = []
    for input_ids, attention_mask, labels in batches:
        logits = model(input_ids.to(device), attention_mask.to(device))
        loss = F.nll_loss(F.log_softmax(logits, dim=-1), labels.to(device))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=False)
        history.append(float(loss.detach()))
    return history
