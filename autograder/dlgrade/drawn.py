"""Numbers that checks draw from the formula, held for the next submission whose checks draw the same.

All submissions of a run are checked at one seed. The formula's numbers are the same on every machine, which
NumPy pays for with many passes over memory: the weights and inputs of a convolutional network's checks took
70 ms a submission.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Final

import torch

from dlgrade import formula

MOST_BYTES: Final = 32 << 20  # held for one run; what comes later is drawn each time
MOST_BYTES_OF_ONE: Final = 4 << 20  # a check may draw as many numbers as an answer has returned


@dataclass(frozen=True)
class Draw:
    """What is asked of the formula, all of it.

    Attributes:
        kind: "normal", "uniform", "integers" or "parameter", as the formula's functions are called.
        stream: the seed of these numbers.
        shape: of the tensor.
        dtype: of the tensor, as torch calls it.
        more: the function's further arguments, a parameter's name first.
    """

    kind: str
    stream: int
    shape: tuple[int, ...]
    dtype: str
    more: tuple[float | str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return math.prod(self.shape) * dtype.itemsize

    def make(self) -> torch.Tensor:
        """The numbers, by the formula."""
        if self.kind == "parameter":
            values = formula.parameter(self.stream, str(self.more[0]), self.shape)
        else:
            values = getattr(formula, self.kind)(self.stream, self.shape, *self.more)
        return torch.from_numpy(values).to(getattr(torch, self.dtype))


class Draws:
    """Holds tensors by what was asked for them; gives copies, since a check may write to what it gets."""

    def __init__(self) -> None:
        self._held: dict[Draw, torch.Tensor] = {}
        self._of_check: dict[str, list[Draw]] = {}

    def take(self, draw: Draw) -> torch.Tensor:
        """The numbers of a draw."""
        held = self._held.get(draw)
        return draw.make() if held is None else held.clone()

    def hold(self, check: str, draws: Iterable[Draw]) -> None:
        """Make these now and keep them instead of the check's earlier ones, as long as there is room."""
        before = {draw: self._held.pop(draw) for draw in self._of_check.pop(check, ())}
        room = MOST_BYTES - sum(draw.size for draw in self._held)
        now: dict[Draw, torch.Tensor] = {}
        for draw in draws:
            if draw not in now and draw.size <= min(room, MOST_BYTES_OF_ONE):
                now[draw] = before[draw] if draw in before else draw.make()
                room -= draw.size
        self._held |= now
        self._of_check[check] = [*now]


def to_bytes(draws: Iterable[Draw]) -> bytes:
    """Draws as JSON."""
    return json.dumps([astuple(draw) for draw in draws]).encode()


def from_bytes(data: bytes) -> list[Draw]:
    """The inverse of `to_bytes`."""
    return [
        Draw(kind, stream, tuple(shape), dtype, tuple(more))
        for kind, stream, shape, dtype, more in json.loads(data)
    ]
