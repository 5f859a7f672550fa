"""The training of an image classifier as one would write it first; `training.py` has its fast form.

Each image is prepared on its own when its turn comes, as transforms in a data set do it. Nothing grades
with this: it is what the fast form is read beside, compared with in a test, and timed against.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dlgrade.training import MEAN, STD


class PlainImageTrainer:
    """What `training.ImageTrainer` computes, step by step; the arguments are the same."""

    def __init__(
        self,
        *,
        of: nn.Module,
        inputs: str,
        labels: str,
        limit: int,
        epochs: int,
        batch_size: int,
        max_lr: float,
        seed: int,
        classes: tuple[int, int] | None = None,
        device: str = "cpu",
    ) -> None:
        self.model = of.to(device)
        self.device = device
        images, numbers = np.load(inputs), np.load(labels)
        first, end = classes or (0, numbers.max() + 1)
        kept = [i for i, number in enumerate(numbers) if first <= number < end][:limit]
        self.images = images[kept]  # (N, H, W, C), bytes
        self.labels = torch.from_numpy(numbers[kept] - first).long()
        self.batch_size = batch_size
        self.generator = torch.Generator().manual_seed(seed)
        self.optimizer = torch.optim.AdamW(of.parameters(), lr=max_lr, weight_decay=0.01)
        steps = -(-len(self.labels) // batch_size)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr, total_steps=epochs * steps
        )

    def epoch(self) -> float:
        """One pass over the examples in a random order, half of them mirrored; the mean loss."""
        self.model.train()
        losses = []
        for batch in torch.randperm(len(self.labels), generator=self.generator).split(self.batch_size):
            mirrored = torch.rand(len(batch), generator=self.generator) < 0.5
            images = torch.stack(
                [self.example(int(i), bool(m)) for i, m in zip(batch, mirrored, strict=True)]
            )
            logits = self.model(images.to(self.device))
            loss = nn.functional.cross_entropy(logits, self.labels[batch].to(self.device))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            losses += [loss.item()] * len(batch)
        return sum(losses) / len(losses)

    def example(self, index: int, mirrored: bool) -> torch.Tensor:
        """An image (C, H, W) of about zero mean and unit variance."""
        image = torch.from_numpy(self.images[index]).permute(2, 0, 1).float() / 255
        image = (image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        return image.flip(-1) if mirrored else image
