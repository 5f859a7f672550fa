"""Uses the common layers once in the zygote, so that its forks find done what a first use sets up.

That took 3 to 9 % off what the exercises' full answers take at the quick tier.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from dlgrade.host import GPU


def run() -> None:
    """A training step of a small network of images and of one of words; random numbers stay as they were.

    Where there may be a GPU nothing is differentiated: the first backward pass of a process asks for devices
    and starts a thread for each, and neither survives a fork. A fork that is thrown away tries it.
    """
    state = torch.get_rng_state()
    _steps(backward=not GPU.exists() and _leaves_one_thread(lambda: _steps(backward=True)))
    torch.set_rng_state(state)


def _leaves_one_thread(trial: Callable[[], None]) -> bool:
    """Whether a process that tried this still has one thread; not where nobody can tell."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            trial()
            code = int(len(list(Path("/proc/self/task").iterdir())) != 1)
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def _steps(*, backward: bool) -> None:
    _step(
        nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(64, 5),
        ),
        torch.zeros(2, 3, 8, 8),
        backward=backward,
    )
    _step(
        nn.Sequential(
            nn.Embedding(5, 8),
            nn.LSTM(8, 8, batch_first=True),
            _First(),
            nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True),
            nn.Flatten(),
            nn.Linear(24, 5),
        ),
        torch.zeros(2, 3, dtype=torch.int64),
        backward=backward,
    )


class _First(nn.Module):
    """The outputs of an LSTM, without its state."""

    def forward(self, both: tuple[torch.Tensor, object]) -> torch.Tensor:
        return both[0]


def _step(network: nn.Module, inputs: torch.Tensor, *, backward: bool) -> None:
    with torch.set_grad_enabled(backward):
        loss = functional.cross_entropy(network(inputs), torch.zeros(2, dtype=torch.int64))
    if backward:
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
