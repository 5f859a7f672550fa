"""The kit's own short training of a character model, for accuracy checks: one recipe for every answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from dlgrade.datasets.arrays import read_inputs

UNKNOWN: Final = 0  # id of every character that the training text does not have


def alphabet_of(text: str) -> dict[str, int]:
    """Ids of a text's characters, sorted, from 1 on; 0 stays free for characters that it lacks."""
    return {character: number for number, character in enumerate(sorted(set(text)), start=1)}


def encoded(text: str, alphabet: dict[str, int]) -> torch.Tensor:
    """Ids (T,) of a text, `UNKNOWN` where the alphabet lacks the character."""
    return torch.tensor([alphabet.get(character, UNKNOWN) for character in text], dtype=torch.long)


class TextTrainer:
    """Trains `(ids, state) -> (logits, state)` with AdamW, one cycle and truncated backpropagation.

    The rows of a batch read on from step to step, with the state carried and detached. Each epoch cuts the
    text at another place and starts without a state.

    Args:
        of: the model; its vocabulary is `alphabet_of` the text and the unknown character.
        files: where the text lies.
        limit: how many of its characters to use, from the start.
        epochs: length of the schedule, in calls of `epoch`.
        batch_size: rows, N.
        seq_len: time steps that a gradient reaches back, T.
        max_lr: peak of the learning rate.
        seed: where each epoch cuts the text.
        device: where to train.

    Source of the schedule: Smith and Topin 2017, arXiv:1708.07120.
    """

    def __init__(
        self,
        *,
        of: nn.Module,
        files: list[str],
        limit: int,
        epochs: int,
        batch_size: int,
        seq_len: int,
        max_lr: float,
        seed: int,
        device: str = "cpu",
    ) -> None:
        # A step's matrices are small: two threads mostly wait for each other, spinning, which on a busy
        # machine took twenty times the processor time (490 ms a step against 22, batch 64 x 32, D 128).
        torch.set_num_threads(1)
        text = str(read_inputs([Path(file) for file in files]))
        self._ids = encoded(text[:limit], alphabet_of(text)).to(device)  # all of it: a million numbers
        self._model = of.to(device)
        self._device = device
        self._rows, self._steps = batch_size, seq_len
        self._generator = torch.Generator().manual_seed(seed)
        self._optimizer = torch.optim.AdamW(of.parameters(), lr=max_lr, weight_decay=0.01)
        # One batch less than fits, so that the text can be cut at a random place.
        self._batches = max(1, (len(self._ids) - 1) // (batch_size * seq_len) - 1)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, max_lr, total_steps=epochs * self._batches
        )

    def epoch(self) -> float:
        """One pass over the text; the mean loss per character, in nats."""
        self._model.train()
        state, total = None, torch.zeros((), device=self._device)
        for x, y in self._cut():
            loss, state = self._step(x, y, state)
            total += loss  # read once an epoch: on a GPU each reading waits for it
        return float(total) / self._batches

    def _cut(self) -> zip[tuple[torch.Tensor, torch.Tensor]]:
        """Batches (x, y), each (N, T), whose rows read on from batch to batch."""
        length = self._batches * self._steps
        room = len(self._ids) - self._rows * length - 1
        start = int(torch.randint(max(room, 0) + 1, (), generator=self._generator))
        inputs, targets = (
            self._ids[start + shift : start + shift + self._rows * length].view(self._rows, length)
            for shift in (0, 1)
        )
        return zip(inputs.split(self._steps, 1), targets.split(self._steps, 1), strict=True)

    def _step(self, x: torch.Tensor, y: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        logits, (h, c) = self._model(x, state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        return loss.detach(), (h.detach(), c.detach())
