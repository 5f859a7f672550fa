"""BERT's own pooler in front of a head of zeros, and an optimizer whose groups are told by name."""

import torch
from torch import nn


class Pooled(nn.Module):
    def __init__(self, encoder, num_classes):
        super().__init__()
        self.backbone = encoder
        self.out = nn.Linear(encoder.config.hidden_size, num_classes)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, input_ids, attention_mask):
        return self.out(self.backbone(input_ids=input_ids, attention_mask=attention_mask).pooler_output)


def build_classifier(encoder, num_classes):
    return Pooled(encoder, num_classes)


def freeze_encoder(model):
    for name, parameter in model.named_parameters():
        if name.startswith("backbone."):
            parameter.requires_grad_(False)
    return model


def make_optimizer(model, *, lr, weight_decay, warmup_steps, total_steps):
    if total_steps <= 0 or warmup_steps < 0 or warmup_steps > total_steps:
        raise ValueError("impossible numbers of steps")
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if len(named) == 0:
        raise ValueError("nothing to train")
    spared = ("bias", "LayerNorm.weight")
    decayed = [p for name, p in named if not name.endswith(spared)]
    rest = [p for name, p in named if name.endswith(spared)]
    optimizer = torch.optim.AdamW(
        [{"params": rest, "weight_decay": 0.0}, {"params": decayed}], lr=lr, weight_decay=weight_decay
    )
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            step / max(warmup_steps, 1) if step < warmup_steps else 1.0,
            max(0.0, (total_steps - step) / max(1, total_steps - warmup_steps)),
        ),
    )
    return optimizer, rate
