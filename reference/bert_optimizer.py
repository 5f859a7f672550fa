"""The optimizer of BERT fine-tuning: AdamW, decay on matrices only, warm-up and linear decay."""

import torch


def make_optimizer(model, *, lr, weight_decay, warmup_steps, total_steps):
    """Build AdamW over the trainable parameters, and its learning-rate schedule.

    Biases and LayerNorm parameters, that is every parameter with fewer than two dimensions, are not
    decayed. Step number s, counted from 0, runs at lr times

        s / warmup_steps                                      while s < warmup_steps,
        (total_steps - s) / (total_steps - warmup_steps)      from then on, and 0 from total_steps on.

    Args:
        model: its frozen parameters are left out.
        lr: highest learning rate, reached after the warm-up.
        weight_decay: AdamW's decay of the other parameters.
        warmup_steps: 0..total_steps.
        total_steps: number of optimizer steps that will be taken, at least 1.

    Returns:
        (optimizer, scheduler); the scheduler is stepped once after each optimizer step.

    Raises:
        ValueError: model has nothing trainable, or warmup_steps or total_steps is out of range.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101; the schedule: Devlin et al. 2019, arXiv:1810.04805.
    """
    if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError(
            f"warmup_steps is {warmup_steps} and total_steps {total_steps}, "
            "expected total_steps of at least 1 and warmup_steps in 0..total_steps"
        )
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        raise ValueError("model has no trainable parameter; is the head frozen with the encoder?")
    groups = [
        {"params": [p for p in trainable if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=lr)

    def factor(step):
        if step < warmup_steps:
            return step / warmup_steps
        return max(0, total_steps - step) / max(1, total_steps - warmup_steps)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
