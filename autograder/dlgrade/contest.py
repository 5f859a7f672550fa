"""An accuracy check: train the answer on granted data, ask a fresh worker, count in the checker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch

from dlgrade import compare, datasets, decision, formula
from dlgrade.decision import HIGHER, RUNS, Rule, gpu_key
from dlgrade.errors import GraderFault
from dlgrade.observation import measured, trained
from dlgrade.outcome import CheckFailed
from dlgrade.specs import Spec, Trainer
from dlgrade.spending import Allowance, Spending
from dlgrade.submitted import Answer, Training
from dlgrade.training import normalise, rows_of

ASKED_AGAIN: Final = 200
UNSTEADY: Final = 0.02  # near ties may turn with the size of a batch, in the last bits of float32

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class OpenData:
    """A data set as the checker holds it: granted training files, and held-out arrays that never leave.

    encoder: folder of a pretrained encoder, where the check names one beside the data set; granted, too.
    stand_in: whether any of it was generated because nothing is stored.
    classes: (first, end) of those that are used, where that is not all of them.
    """

    name: str
    title: str
    checksum: str
    key: str
    granted: tuple[str, ...]
    inputs: Any
    labels: Any
    encoder: str | None = None
    stand_in: bool = False
    classes: tuple[int, int] | None = None

    def of_classes(self, first: int, end: int) -> OpenData:
        """The same with held-out examples of these classes only, numbered from 0."""
        rows = rows_of(np.asarray(self.labels), (first, end))
        return replace(
            self, inputs=self.inputs[rows], labels=np.asarray(self.labels)[rows] - first, classes=(first, end)
        )

    @property
    def readable(self) -> tuple[str, ...]:
        """Everything that a worker in training may read."""
        return self.granted if self.encoder is None else (*self.granted, self.encoder)


@dataclass(frozen=True)
class Attempt:
    """One training and what came of it: the figure, losses to show, what it took, and what more to say."""

    figure: float
    curve: tuple[float, ...]
    spent: Spending
    remark: str = ""


@dataclass(frozen=True)
class Contest:
    """One accuracy decision: up to three independent runs against a measured threshold."""

    examples: ClassVar[str] = "images"
    batch: ClassVar[int] = 500  # held-out examples a request
    better: ClassVar[str] = HIGHER

    check: str
    data: OpenData
    settings: Mapping[str, Any]
    seed: int
    cpu_seconds: float
    device: str
    progress: Callable[[float], None]
    measure: bool = False

    @cached_property
    def rule(self) -> Rule:
        """How to decide on this data set, as calibration measured it.

        A training on a GPU is held to what was measured on one, else to the CPU's threshold.

        Raises:
            GraderFault: nothing was measured, or on other data of this name.
        """
        entry = decision.entry_for(self.settings, self.data.key, self.device)
        if entry is None:
            raise GraderFault(
                f"check {self.check} has no threshold for {self.data.title}; "
                "measure one with 'dlgrade calibrate'"
            )
        if not self.data.stand_in and entry.get("checksum", self.data.checksum) != self.data.checksum:
            raise GraderFault(
                f"the threshold of check {self.check} was measured on other data called {self.data.title}; "
                "measure it on yours with 'dlgrade calibrate'"
            )
        return Rule.of(entry)

    def of_classes(self, first: int, end: int) -> Contest:
        """The same decision on images of some classes only: from `first` on, without `end`."""
        return replace(self, data=self.data.of_classes(first, end))

    def decide(
        self, submission: Answer, name: str, *args: Any, allowance: Allowance | None = None, **recipe: Any
    ) -> None:
        """Pass if one of up to three independent runs reaches the threshold.

        Ends with the first run that does, or with one that no correct answer would come to.

        Args:
            submission: whose part is trained.
            name: of the part, which is built with `args`.
            allowance: what one training may take.
            recipe: arguments of the kit's training. `gpu` and `stand_in` hold those that are other on a
                GPU, and where the data was generated.
        """
        recipe = self._recipe(**recipe)
        rule = None if self.measure else self.rule
        attempts: list[Attempt] = []
        for run in range(RUNS):
            attempts.append(self.attempt(submission, name, *args, run=run, **recipe))
            best = self._record(attempts, rule)
            for excess in (allowance or Allowance()).exceeded(attempts[-1].spent):
                raise CheckFailed(f"{name} {excess}")
            if rule is None or rule.passes(best.figure):
                return
            if rule.is_hopeless(attempts[-1].figure):
                break
        runs = f"best of {len(attempts)} runs" if len(attempts) > 1 else "far off, so one run was enough"
        raise CheckFailed(f"{runs}: {name} {self._told(best, rule)}")

    def _recipe(
        self, gpu: Mapping[str, Any] | None = None, stand_in: Mapping[str, Any] | None = None, **recipe: Any
    ) -> dict[str, Any]:
        """The arguments of the training here."""
        on_gpu = gpu or {} if self.device != "cpu" else {}
        return {**recipe, **on_gpu, **(stand_in or {} if self.data.stand_in else {})}

    def _record(self, attempts: list[Attempt], rule: Rule | None) -> Attempt:
        """Note the best attempt so far with what to say of it, and what all of them took together."""
        figure = decision.best([attempt.figure for attempt in attempts], self.better)
        best = next(attempt for attempt in attempts if attempt.figure == figure)
        measured(best.figure, self._told(best, rule), better=self.better)
        spent = {"runs": len(attempts), "figures": [round(a.figure, decision.DIGITS) for a in attempts]}
        trained(best.curve, spent | best.spent.record(), self.baseline)
        return best

    def _told(self, attempt: Attempt, rule: Rule | None) -> str:
        """The figure, what is needed, and what correct answers get."""
        told = f"reached {self._shown(attempt.figure)} on held-out {self.examples} of {self.data.title}"
        if rule is not None:
            told += f", where {self._shown(rule.threshold)} is needed"
            told += self._usual(rule)
        return told + attempt.remark

    def _usual(self, rule: Rule) -> str:
        if rule.usual is None:
            return ""
        low, high = (self._shown(figure) for figure in rule.usual)
        where = ""
        if self.device != "cpu" and gpu_key(self.data.key) not in self.settings:
            where = f" on the CPU; {decision.NOT_ON_A_GPU}"
        return f"; correct answers get {low.removesuffix(' %')} to {high}{where}"

    def _shown(self, figure: float) -> str:
        return f"{100 * figure:.1f} %"

    @property
    def baseline(self) -> float:
        """What an answer reaches that always says the most frequent class."""
        counts = np.bincount(np.asarray(self.data.labels))
        return float(counts.max() / counts.sum())

    def attempt(self, submission: Answer, name: str, *args: Any, run: int = 0, **recipe: Any) -> Attempt:
        """Train once, and ask a worker that has only the weights about held-out examples."""
        model = submission.build(name, *args)
        inputs, labels = self.data.granted[:2]
        trainer = Trainer(
            of=model,
            inputs=inputs,
            labels=labels,
            classes=self.data.classes,
            seed=formula.mix(self.seed, run),
            device=self.device,
            **recipe,
        )
        training, state = self._train(submission, model, trainer, recipe["epochs"])
        held_out = submission.fresh(name, *args, state=state)
        held_out.eval()
        return self._attempt(self._count(held_out), training, state)

    def _train(
        self, submission: Answer, model: Any, trainer: Spec, epochs: int
    ) -> tuple[Training, dict[str, torch.Tensor]]:
        """How the training went, and the state that it left."""
        training = submission.train(
            trainer, epochs=epochs, cpu_seconds=self.cpu_seconds, progress=self.progress
        )
        return training, submission.state(model)

    def _attempt(
        self, figure: float, training: Training, state: Mapping[str, torch.Tensor], remark: str = ""
    ) -> Attempt:
        parameters = sum(value.numel() for value in state.values())
        on_gpu = 0.0 if self.device == "cpu" else training.seconds
        spent = Spending(parameters, training.cpu_seconds, on_gpu, training.peak_memory)
        return Attempt(figure, training.losses, spent, remark)

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
        stand_in=dataset.is_standin,
    )
    return _with_encoder(data, encoder_name, folder, seed) if encoder_name else data


def _with_encoder(data: OpenData, name: str, folder: Path, seed: int) -> OpenData:
    """The same with a pretrained encoder beside it, on which the threshold depends as much."""
    encoder = datasets.open_(name, seed=seed).materialize(folder / name)
    title = f"{data.title} with {encoder.title}"
    checksum = f"{data.checksum}+{encoder.checksum}"
    return replace(
        data,
        title=title,
        key=title,
        checksum=checksum,
        encoder=str(encoder.folder),
        stand_in=data.stand_in or encoder.is_standin,
    )
