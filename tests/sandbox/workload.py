"""What an honest student's code does with torch, in a worker: `python workload.py MODE`.

Prints one JSON line of results; the test also demands that nothing else is printed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from typing import NoReturn

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

from dlgrade import sandbox


def multiply_on_two_threads() -> float:
    torch.set_num_threads(2)
    a = torch.ones(512, 512)
    return float((a @ a).sum()) / 512**3


def train_a_convolution() -> bool:
    torch.manual_seed(0)
    x = torch.randn(32, 3, 8, 8)
    y = (x.mean(dim=(1, 2, 3)) > 0).long()
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(5):
        for inputs, labels in DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True, num_workers=0):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses[-1] < losses[0]


def save_and_load() -> bool:
    with tempfile.NamedTemporaryFile() as file:
        torch.save({"weight": torch.ones(3)}, file.name)
        return bool(torch.load(file.name)["weight"].sum() == 3)


def other_libraries() -> list[int]:
    from transformers import BertConfig, BertModel

    image = v2.RandomCrop(8)(torch.randn(3, 16, 16))
    config = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, vocab_size=50
    )
    hidden = BertModel(config)(torch.randint(0, 50, (1, 4))).last_hidden_state
    recurrent, _ = nn.LSTM(4, 8)(torch.randn(5, 1, 4))
    return [*image.shape, *hidden.shape, *recurrent.shape]


def everything() -> dict[str, object]:
    return {
        "product": multiply_on_two_threads(),
        "learned": train_a_convolution(),
        "saved": save_and_load(),
        "shapes": other_libraries(),
    }


def work(mode: str, scratch: str, parent: int | None) -> NoReturn:
    """Be the worker."""
    try:
        sandbox.enter(sandbox.Policy(mode, scratch=scratch), parent)
        os.write(1, json.dumps(everything()).encode())
        os._exit(0)
    finally:
        traceback.print_exc()
        os._exit(1)


def main(mode: str) -> None:
    """Be the zygote: load, fork, confine, work; the worker keeps this process's stdout and stderr."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        child, parent = sandbox.fork(mode)
        if child == 0:
            work(mode, scratch, parent)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main(sys.argv[1])
