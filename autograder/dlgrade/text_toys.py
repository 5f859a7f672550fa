"""The kit's own character model and vocabulary, for functions that are given one.

Both are plain to look through and like no answer: the model has no gates and no layers of torch, the
vocabulary takes its order from the check.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import torch
from torch import nn

State = Sequence[torch.Tensor]

SWING: Final = 3.0  # makes a character of formula weights turn by about a radian


class Dial(nn.Module):
    """A recurrent character model whose state never forgets: every character turns it for good.

    h and c are sums over the text so far, h_t = h_(t-1) + 3 turn[id_t] and
    c_t = c_(t-1) + 3 sin(h_(t-1)) * twist[id_t], so a whole text costs no loop over time; c depends on the
    order. The logits are `sharpness` times a linear layer of sin(h) and sin(c). In train mode they are
    moved on by one character, which tells whether a function switched the mode.

    Its extra state counts [passes, passes that began without a state, passes with gradients switched on],
    and loading does not roll it back.

    Args:
        vocab_size: number of characters, V.
        width: numbers in h and in c, D.
        sharpness: how far from even the next character's probabilities are.
    """

    def __init__(self, vocab_size: int, width: int = 6, sharpness: float = 1.0) -> None:
        super().__init__()
        self.turn = nn.Parameter(torch.zeros(vocab_size, width))
        self.twist = nn.Parameter(torch.zeros(vocab_size, width))
        self.out = nn.Linear(2 * width, vocab_size)
        self._width, self._sharpness = width, sharpness
        self._counts = torch.zeros(3, dtype=torch.int64)

    def forward(self, ids: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """ids (N, T) and a pair (h, c), each (1, N, D), to logits (N, T, V) and the pair after the text."""
        self._counts += torch.tensor([True, state is None, torch.is_grad_enabled()])
        start = self.turn.new_zeros(2, len(ids), 1, self._width)
        h, c = start if state is None else (part.squeeze(0).unsqueeze(1) for part in state)  # (N, 1, D)
        turned = torch.cat([h, h + SWING * self.turn[ids].cumsum(1)], dim=1)  # (N, 1 + T, D)
        twisted = c + SWING * (turned[:, :-1].sin() * self.twist[ids]).cumsum(1)
        logits = self._sharpness * self.out(torch.cat([turned[:, 1:].sin(), twisted.sin()], dim=2))
        logits = logits.roll(1, dims=2) if self.training else logits
        return logits, (_last(turned), _last(twisted))

    def get_extra_state(self) -> torch.Tensor:
        return self._counts.clone()

    def set_extra_state(self, _state: torch.Tensor) -> None:
        """What was counted stays counted."""


def _last(states: torch.Tensor) -> torch.Tensor:
    """The last step's state, (N, 1 + T, D) -> (1, N, D); no view, so `detach_()` works, as on an LSTM's."""
    return states[:, -1].unsqueeze(0).clone()


class Alphabet:
    """Characters numbered in the order in which they are given."""

    def __init__(self, characters: str) -> None:
        self._characters = characters

    def __len__(self) -> int:
        return len(self._characters)

    def encode(self, text: str) -> torch.Tensor:
        """Ids (T,) of a text; ValueError names a character that is not there."""
        if strange := set(text).difference(self._characters):
            raise ValueError(f"not in the vocabulary: {sorted(strange)}")
        return torch.tensor([self._characters.index(character) for character in text], dtype=torch.long)

    def decode(self, ids: Any) -> str:
        """The text of ids: a tensor or array of any shape, numbers, or one number."""
        flat: Iterable[int] = torch.as_tensor(ids).flatten().tolist()
        return "".join(self._characters[number] for number in flat)
