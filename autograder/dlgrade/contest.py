"""An accuracy check: train the answer on granted data, ask a fresh worker, count in the checker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch

from dlgrade import compare, datasets, formula
from dlgrade.errors import GraderFault
from dlgrade.observation import measured
from dlgrade.outcome import CheckFailed
from dlgrade.specs import Trainer
from dlgrade.submitted import Answer
from dlgrade.training import normalise

RUNS: Final = 3
ASKED_AGAIN: Final = 200
UNSTEADY: Final = 0.02  # near ties may turn with the size of a batch, in the last bits of float32

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class OpenData:
    """A data set as the checker holds it: granted training files, and held-out arrays that never leave.

    encoder: folder of a pretrained encoder, where the check names one beside the data set; granted, too.
    """

    name: str
    title: str
    checksum: str
    key: str
    granted: tuple[str, ...]
    inputs: Any
    labels: Any
    encoder: str | None = None

    @property
    def readable(self) -> tuple[str, ...]:
        """Everything that a worker in training may read."""
        return self.granted if self.encoder is None else (*self.granted, self.encoder)


@dataclass(frozen=True)
class Contest:
    """One accuracy decision: up to three independent runs against a measured threshold."""

    examples: ClassVar[str] = "images"
    batch: ClassVar[int] = 500  # held-out examples a request

    check: str
    data: OpenData
    settings: Mapping[str, Any]
    seed: int
    cpu_seconds: float
    device: str
    progress: Callable[[float], None]
    measure: bool = False

    @property
    def threshold(self) -> float:
        """The accuracy needed on this data set, as calibration measured it."""
        entry = self.settings.get(self.data.key)
        if not isinstance(entry, Mapping) or "threshold" not in entry:
            raise GraderFault(
                f"check {self.check} has no threshold for {self.data.title}; "
                "measure one with 'dlgrade calibrate'"
            )
        return float(entry["threshold"])

    def decide(self, submission: Answer, name: str, *args: Any, **recipe: Any) -> None:
        """Pass if one of three independent runs reaches the threshold; stops at the first that does."""
        best = 0.0
        threshold = 0.0 if self.measure else self.threshold
        for run in range(RUNS):
            best = max(best, self.accuracy(submission, name, *args, run=run, **recipe))
            measured(best, f"{best:.1%} on {self.data.title}, {threshold:.1%} is needed")
            if best >= threshold:
                return
        raise CheckFailed(
            f"{name} reached {best:.1%} on held-out {self.examples} of {self.data.title} "
            f"in the best of {RUNS} runs, {threshold:.1%} is needed"
        )

    def accuracy(self, submission: Answer, name: str, *args: Any, run: int = 0, **recipe: Any) -> float:
        """Train once and count correct held-out predictions of a worker that has only the weights."""
        model = submission.build(name, *args)
        inputs, labels = self.data.granted[:2]
        trainer = Trainer(
            of=model,
            inputs=inputs,
            labels=labels,
            seed=formula.mix(self.seed, run),
            device=self.device,
            **recipe,
        )
        epochs = recipe["epochs"]
        submission.train(trainer, epochs=epochs, cpu_seconds=self.cpu_seconds, progress=self.progress)
        held_out = submission.fresh(name, *args, state=submission.state(model))
        held_out.eval()
        return self._count(held_out)

    def _count(self, model: Any) -> float:
        """Share of held-out examples whose largest logit is the label's.

        The order is secret, also within a batch: a set sorted by class would answer itself.
        """
        labels = np.asarray(self.data.labels)
        predicted = np.empty(len(labels), dtype=np.int64)
        order = self._shuffled("order")
        for chunk in np.array_split(order, -(-len(order) // self.batch)):
            predicted[chunk] = self._predict(model, chunk)
        self._ask_again(model, predicted)
        return float((predicted == labels).mean())

    def _ask_again(self, model: Any, predicted: Array) -> None:
        """Require some of the examples, each alone and in another order, to be taken for what they were."""
        again = self._shuffled("again")[:ASKED_AGAIN]
        other = sum(
            int(self._predict(model, again[i : i + 1])[0] != predicted[again[i]]) for i in range(len(again))
        )
        if other > UNSTEADY * len(again):
            raise CheckFailed(
                f"{other} of {len(again)} held-out {self.examples} are classified differently when each is "
                f"asked alone: a prediction must not depend on the other {self.examples} of the batch, "
                "nor on those asked before"
            )

    def _predict(self, model: Any, chunk: Array) -> Array:
        with torch.no_grad():
            logits = model(normalise(self.data.inputs[chunk]))
        logits = compare.tensor(logits, what="the prediction for held-out images")
        if logits.dim() != 2 or len(logits) != len(chunk):
            raise CheckFailed("the predictions for held-out images are not one row for each image")
        found: Array = logits.argmax(1).numpy()
        return found

    def _shuffled(self, name: str) -> Array:
        """Indices of the held-out examples in an order that only the run's seed tells."""
        return np.argsort(formula.uniform(formula.mix(self.seed, name), (len(self.data.labels),)))


def open_data(name: str, folder: Path, *, seed: int) -> OpenData:
    """What a contest needs of the data set `name`; a stand-in's training files are written into `folder`.

    Args:
        name: a data set's, or that of a data set and an encoder, such as "sst2+bert".
        folder: a new one is made for each of them.
        seed: of stand-ins.
    """
    name, _, encoder_name = name.partition("+")
    dataset = datasets.open_(name, seed=seed)
    train, test = dataset.splits["train"].materialize(folder / name), dataset.splits["test"]
    data = OpenData(
        name=name,
        title=dataset.title,
        checksum=dataset.checksum,
        key=dataset.title,
        granted=tuple(str(file) for file in (*(train.input_files or ()), *(train.label_files or ()))),
        inputs=test.inputs,
        labels=test.labels,
    )
    return _with_encoder(data, encoder_name, folder, seed) if encoder_name else data


def _with_encoder(data: OpenData, name: str, folder: Path, seed: int) -> OpenData:
    """The same with a pretrained encoder beside it, on which the threshold depends as much."""
    encoder = datasets.open_(name, seed=seed).materialize(folder / name)
    title = f"{data.title} with {encoder.title}"
    checksum = f"{data.checksum}+{encoder.checksum}"
    return replace(data, title=title, key=title, checksum=checksum, encoder=str(encoder.folder))
