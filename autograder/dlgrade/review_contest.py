"""An accuracy check of a text classifier: a pretrained encoder is fine-tuned on granted, labelled sentences.

The worker that trains is granted the encoder's folder and the training files. The one that predicts has
neither: it gets the encoder's config, the trained weights, and token ids of held-out sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch

from dlgrade import compare, formula
from dlgrade.contest import Array, Attempt, Contest
from dlgrade.errors import GraderFault
from dlgrade.outcome import CheckFailed
from dlgrade.specs_text import BlankEncoder, PretrainedEncoder, ReviewTrainer
from dlgrade.submitted import Answer

CLASSES: Final = 2


@dataclass(frozen=True)
class ReviewContest(Contest):
    """One decision by accuracy on held-out sentences: up to three independent runs."""

    examples: ClassVar[str] = "sentences"
    batch: ClassVar[int] = 16  # a fraction of a second of one core; a request has twenty on a busy one

    def attempt(self, submission: Answer, name: str, *args: Any, run: int = 0, **recipe: Any) -> Attempt:
        """Fine-tune `name(encoder, 2, *args)` once; count what a worker with only the weights gets right."""
        model = submission.build(name, PretrainedEncoder(self._encoder), CLASSES, *args)
        trainer = ReviewTrainer(
            of=model,
            encoder=self._encoder,
            files=list(self.data.granted),
            seed=formula.mix(self.seed, run),
            device=self.device,
            **recipe,
        )
        training, state = self._train(submission, model, trainer, recipe["epochs"])
        config = Path(self._encoder, "config.json").read_text(encoding="utf-8")
        blank = BlankEncoder(config)
        held_out = submission.fresh(name, blank, CLASSES, *args, state=state)
        held_out.eval()
        return self._attempt(self._count(held_out), training, state)

    @property
    def _encoder(self) -> str:
        if self.data.encoder is None:
            raise GraderFault(f"check {self.check} names no encoder; write data='sst2+bert'")
        return self.data.encoder

    @cached_property
    def _ids(self) -> list[list[int]]:
        """Token ids of the held-out sentences."""
        from dlgrade.review_training import tokenized  # transformers takes seconds, and only this needs it

        return tokenized(self._encoder, [str(sentence) for sentence in self.data.inputs])

    def _predict(self, model: Any, chunk: Array) -> Array:
        from dlgrade.review_training import padded

        ids, mask = padded([self._ids[i] for i in chunk])
        with torch.no_grad():
            logits = compare.tensor(model(ids, mask), what="the prediction for held-out sentences")
        if tuple(logits.shape) != (len(chunk), CLASSES):
            raise CheckFailed(
                f"the predictions for {len(chunk)} held-out sentences are {tuple(logits.shape)}"
            )
        found: Array = np.asarray(logits.argmax(1))
        return found
