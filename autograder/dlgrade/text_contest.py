"""An accuracy check of a character model: bits per character on text that its worker never sees whole.

The model is trained on the granted text. A fresh worker, which has only the weights, is then given the
held-out text one character at a time, and the next one is sent only after its probability was asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import torch

from dlgrade import compare, formula
from dlgrade.contest import Attempt, Contest
from dlgrade.datasets.arrays import read_inputs
from dlgrade.decision import LOWER, Rule
from dlgrade.outcome import CheckFailed
from dlgrade.specs import CharTrainer
from dlgrade.submitted import Answer
from dlgrade.text_training import alphabet_of, encoded

ROWS: Final = 256  # places of the held-out text that are read side by side
SHOWN: Final = 120  # characters of generated text in the report
SHOWN_TEMPERATURE: Final = 0.7


@dataclass(frozen=True)
class TextContest(Contest):
    """One decision by bits per character: up to three independent runs, and lower is better.

    The part is built as `name(V, *args)`, where V counts the training text's characters and one more for
    those that it lacks.
    """

    better: ClassVar[str] = LOWER

    def attempt(self, submission: Answer, name: str, *args: Any, run: int = 0, **recipe: Any) -> Attempt:
        """Train once; bits per character of a worker that has only the weights, and a text that it wrote."""
        args = (len(self._alphabet) + 1, *args)
        model = submission.build(name, *args)
        trainer = CharTrainer(
            of=model,
            files=list(self.data.granted),
            seed=formula.mix(self.seed, run),
            device=self.device,
            **recipe,
        )
        training, state = self._train(submission, model, trainer, recipe["epochs"])
        held_out = submission.fresh(name, *args, state=state)
        held_out.eval()
        with torch.no_grad():
            bits, text = self._measure(held_out), self._write(held_out)
        if not math.isfinite(bits):
            raise CheckFailed(f"the logits of {name} for held-out text rule out what the text goes on with")
        unigram, bigram = self._simple
        remark = f"; a unigram model needs {unigram:.3f}, a bigram model {bigram:.3f}. It writes: {text!r}"
        return self._attempt(bits, training, state, remark)

    @property
    def baseline(self) -> float:
        """Bits per character of a model that knows how frequent each character is, and no more."""
        return self._simple[0]

    @cached_property
    def _simple(self) -> tuple[float, float]:
        """Bits of a unigram and a bigram model that counted the whole training text."""
        ids = encoded(self._text, self._alphabet)
        return simple_models(ids, self._held_out, len(self._alphabet) + 1)

    def _told(self, attempt: Attempt, rule: Rule | None) -> str:
        """The figure, what is needed, two simple models on the same text, and what was written."""
        told = f"needs {attempt.figure:.3f} bits per character on held-out text of {self.data.title}"
        if rule is not None:
            told += f", where at most {rule.threshold:.3f} is enough{self._usual(rule)}"
        return told + attempt.remark

    def _shown(self, figure: float) -> str:
        return f"{figure:.3f}"

    @cached_property
    def _text(self) -> str:
        """The granted training text."""
        return str(read_inputs([Path(file) for file in self.data.granted]))

    @cached_property
    def _alphabet(self) -> dict[str, int]:
        return alphabet_of(self._text)

    @cached_property
    def _held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Characters and the ones after them, (rows, length) each; the tail that fills no row is left out."""
        ids = encoded(self.data.inputs, self._alphabet)
        rows = min(ROWS, len(ids) - 1)
        used = (len(ids) - 1) // rows * rows
        return ids[:used].view(rows, -1), ids[1 : used + 1].view(rows, -1)

    def _measure(self, model: Any) -> float:
        """Mean of -log2 of the probability of each held-out character, asked for before it is sent."""
        inputs, targets = self._held_out
        total, state = 0.0, None
        for x, y in zip(inputs.T, targets.T, strict=True):
            logits, state = self._ask(model, x, state)
            total -= float(logits.gather(1, y[:, None]).sum())
        return total / targets.numel() / math.log(2)

    def _write(self, model: Any) -> str:
        """A text that the model writes on its own, from the beginning of a line where there are lines."""
        characters = {number: character for character, number in self._alphabet.items()}
        draws = formula.uniform(formula.mix(self.seed, "text"), (SHOWN,))
        last, state, text = self._alphabet.get("\n", 1), None, ""
        for draw in draws:
            logits, state = self._ask(model, torch.tensor([last]), state)
            shares = (logits[0, 1:] / SHOWN_TEMPERATURE).softmax(0).cumsum(0)
            last = 1 + min(int((shares < draw).sum()), len(characters) - 1)
            text += characters[last]
        return text

    def _ask(self, model: Any, x: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Log-probabilities (N, V) in float64 after one more character (N,) for each row, and the state."""
        found = model(x[:, None], state)
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise CheckFailed("the model does not return a pair (logits, state)")
        shape = (len(x), 1, len(self._alphabet) + 1)
        logits = compare.tensor(found[0], what="the logits for held-out text", shape=shape)
        return logits[:, 0].double().log_softmax(1), found[1]


def simple_models(
    ids: torch.Tensor, held_out: tuple[torch.Tensor, torch.Tensor], V: int
) -> tuple[float, float]:
    """Bits per held-out character of a unigram and a bigram model that counted `ids`.

    Args:
        ids: (T,) training text.
        held_out: characters and the ones after them, of one shape.
        V: size of the vocabulary; each count starts at one.
    """
    before, after = (part.flatten() for part in held_out)
    single = torch.bincount(ids, minlength=V).double() + 1
    pairs = torch.bincount(ids[:-1] * V + ids[1:], minlength=V * V).view(V, V).double() + 1
    likelihoods = (single / single.sum())[after], (pairs / pairs.sum(1, keepdim=True))[before, after]
    unigram, bigram = (float(-likelihood.log2().mean()) for likelihood in likelihoods)
    return unigram, bigram
