"""The kit's own fine-tuning of a text classifier, for accuracy checks: one recipe for every answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from dlgrade.datasets.arrays import read_inputs

MAX_LENGTH: Final = 64  # tokens of a sentence; SST-2's longest is a little longer
WARMUP: Final = 0.1  # share of the steps
WEIGHT_DECAY: Final = 0.01
SMALL: Final = 2_000_000  # parameters; the stand-in encoder is, a pretrained one is not


def load_encoder(folder: str) -> nn.Module:
    """The pretrained encoder in a folder, in float32; nothing is downloaded."""
    # Its progress would count as what the student's code printed.
    disable_progress_bar()
    encoder: nn.Module = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    return encoder


def blank_encoder(config: str) -> nn.Module:
    """An encoder of this config (JSON) with weights that mean nothing yet."""
    values = json.loads(config)
    known = AutoConfig.for_model(values.pop("model_type"), **values)
    encoder: nn.Module = AutoModel.from_config(known)
    return encoder


def tokenized(folder: str, sentences: Sequence[str]) -> list[list[int]]:
    """Ids of each sentence by the tokenizer in an encoder's folder, special tokens included."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ids: list[list[int]] = tokenizer(list(sentences), truncation=True, max_length=MAX_LENGTH)["input_ids"]
    return ids


def padded(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (N, T) and mask (N, T) of rows of ids, T being the longest."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


class ReviewTrainer:
    """Fine-tunes `(input_ids, attention_mask) -> logits` with AdamW, warm-up and linear decay.

    Args:
        of: the model.
        encoder: folder of the encoder, for its tokenizer.
        files: where sentences and labels lie: those of a split's inputs, then its labels.
        limit: how many examples of the split to use, from the start.
        epochs: length of the schedule, in calls of `epoch`.
        batch_size: sentences a step.
        max_lr: peak of the learning rate.
        seed: order of the examples.
        device: where to train.

    Source of the recipe: Devlin et al. 2019, arXiv:1810.04805.
    """

    def __init__(
        self,
        *,
        of: nn.Module,
        encoder: str,
        files: list[str],
        limit: int,
        epochs: int,
        batch_size: int,
        max_lr: float,
        seed: int,
        device: str = "cpu",
    ) -> None:
        if sum(parameter.numel() for parameter in of.parameters()) < SMALL:
            torch.set_num_threads(1)  # small matrices: two threads mostly wait for each other
        *inputs, labels = map(Path, files)
        self._ids = tokenized(encoder, [str(sentence) for sentence in read_inputs(inputs)[:limit]])
        self._labels = torch.from_numpy(np.array(np.load(labels, mmap_mode="r")[:limit])).long()
        self._model = of.to(device)
        self._device = device
        self._batch_size = batch_size
        self._generator = torch.Generator().manual_seed(seed)
        steps = epochs * -(-len(self._ids) // batch_size)
        groups: list[dict[str, Any]] = [
            {"params": [p for p in of.parameters() if p.dim() > 1]},
            {"params": [p for p in of.parameters() if p.dim() <= 1], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=max_lr, weight_decay=WEIGHT_DECAY)
        warm = max(1, int(WARMUP * steps))
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda s: min((s + 1) / warm, max(0.0, (steps - s) / max(1, steps - warm)))
        )

    def epoch(self) -> float:
        """One pass in a random order; the mean loss per example, in nats."""
        self._model.train()
        total = torch.zeros((), device=self._device)
        for batch in self._order():
            total += self._step(batch) * len(batch)  # read once an epoch: on a GPU each reading waits for it
        return float(total) / len(self._ids)

    def _order(self) -> Iterator[list[int]]:
        """Batches of sentences of like length, in a random order: little padding, and still mixed."""
        order = torch.randperm(len(self._ids), generator=self._generator).tolist()
        pool = 8 * self._batch_size
        batches = []
        for start in range(0, len(order), pool):
            near = sorted(order[start : start + pool], key=lambda i: len(self._ids[i]))
            batches += [near[i : i + self._batch_size] for i in range(0, len(near), self._batch_size)]
        for index in torch.randperm(len(batches), generator=self._generator).tolist():
            yield batches[index]

    def _step(self, batch: list[int]) -> torch.Tensor:
        ids, mask = padded([self._ids[i] for i in batch])
        # On a GPU in bfloat16; the weights, their gradients and the loss stay float32.
        with torch.autocast(torch.device(self._device).type, torch.bfloat16, enabled=self._device == "cuda"):
            logits: Any = self._model(ids.to(self._device), mask.to(self._device))
        loss = nn.functional.cross_entropy(logits.float(), self._labels[batch].to(self._device))
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        return loss.detach()
