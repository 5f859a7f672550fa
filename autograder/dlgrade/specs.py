"""Objects the worker builds from the kit's own classes: toy models, batches, optimizers, images.

A check writes `Toy(...)`, `Batches(x, y)`, `Optim("SGD", of=toy, lr=0.1)` and passes them to a
function of the student and to the reference alike; each side builds its own copy, once per spec.
What comes of them is read back as end states, never reported by the student's code.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import nn

from dlgrade import formula
from dlgrade.elsewhere import Elsewhere

_keys = itertools.count(1)


class Spec:
    """What to build; the same spec is the same object for as long as a worker lives."""

    kinds: ClassVar[dict[str, type[Spec]]] = {}
    build: ClassVar[Callable[..., Any]]  # makes the object from decoded fields; each kind has its own

    def __init_subclass__(cls) -> None:
        Spec.kinds[cls.__name__] = cls

    def __init__(self, **fields: Any) -> None:
        """A field `elsewhere` that is true says that tensors of the object play another device."""
        self.key = next(_keys)
        self.fields = fields


class Toy(Spec):
    """A small `nn.Sequential` with weights from a formula, in float64 by default.

    Args:
        layers: tuples of a layer's name in `torch.nn` (or in `LAYERS` below) and its arguments,
            such as ("Linear", 6, 3).
        dtype: name of a floating dtype.
        seed: which weights.
    """

    def __init__(self, *layers: tuple[Any, ...], dtype: str = "float64", seed: int = 0) -> None:
        super().__init__(layers=list(layers), dtype=dtype, seed=seed)

    @staticmethod
    def build(layers: list[tuple[Any, ...]], dtype: str, seed: int) -> nn.Module:
        model = nn.Sequential(*(_layer(name)(*args) for name, *args in layers)).to(getattr(torch, dtype))
        return _with_formula_weights(model, formula.mix(seed, "toy"))


class PretrainedResNet(Spec):
    """A small residual network whose last layer is `fc`, with weights and statistics from a formula.

    Args:
        classes: of its own head.
        width: features in front of `fc`.
        dtype: name of a floating dtype.
        seed: which weights.
    """

    def __init__(self, classes: int, *, width: int = 6, dtype: str = "float64", seed: int = 0) -> None:
        super().__init__(classes=classes, width=width, dtype=dtype, seed=seed)

    @staticmethod
    def build(classes: int, width: int, dtype: str, seed: int) -> nn.Module:
        model = _ResNet(classes, width).to(getattr(torch, dtype))
        return _with_formula_weights(model, formula.mix(seed, "resnet"))


class SmallPretrained(Spec):
    """`small_resnet.pretrained()`: a residual network with weights that were learned from photographs."""

    @staticmethod
    def build() -> nn.Module:
        from dlgrade import small_resnet

        return small_resnet.pretrained()


class Batches(Spec):
    """A `DataLoader` over tensors, in order and without workers.

    Args:
        tensors: of equal first side N, such as x and y.
        batch_size: examples a batch; the last may be smaller.
        elsewhere: batches count as lying on another device, until `.to(device)` brought them over.
        drop_last: a smaller last batch is left out, so that there are fewer examples than in the data set.
    """

    def __init__(
        self,
        *tensors: torch.Tensor,
        batch_size: int = 4,
        elsewhere: bool = False,
        drop_last: bool = False,
    ) -> None:
        super().__init__(
            tensors=list(tensors), batch_size=batch_size, elsewhere=elsewhere, drop_last=drop_last
        )

    @staticmethod
    def build(tensors: list[torch.Tensor], batch_size: int, elsewhere: bool, drop_last: bool) -> Any:
        dataset = torch.utils.data.TensorDataset(*tensors)
        collate = _collate_elsewhere if elsewhere else None
        return torch.utils.data.DataLoader(
            dataset, batch_size=batch_size, collate_fn=collate, drop_last=drop_last
        )


def _collate_elsewhere(examples: list[Any]) -> list[torch.Tensor]:
    batch = torch.utils.data.default_collate(examples)
    return [tensor.as_subclass(Elsewhere) for tensor in batch]


class Optim(Spec):
    """A `torch.optim` optimizer over all parameters of `of`.

    Args:
        name: class name in `torch.optim`.
        of: a Toy, or a module handle of the submission.
        settings: the optimizer's keyword arguments, such as lr.
    """

    def __init__(self, name: str, *, of: Any, **settings: Any) -> None:
        super().__init__(name=name, of=of, settings=settings)

    @staticmethod
    def build(name: str, of: nn.Module, settings: dict[str, Any]) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = getattr(torch.optim, name)(of.parameters(), **settings)
        return optimizer


class Steps(Spec):
    """Training steps on one batch, taken where the model is; `run(count)` takes that many.

    As good as a loop in the check, which would ask for each forward and backward pass, and as many
    times faster as there are messages fewer. What was learned is judged by the logits before and after.

    Args:
        of: the model to train, a module handle of the submission; it stays in its mode.
        x: float32 inputs (N, ...).
        y: int64 classes (N,), compared with the logits (N, K) by cross-entropy.
        optimizer: class name in `torch.optim`.
        settings: the optimizer's keyword arguments, such as lr.
    """

    def __init__(
        self, *, of: Any, x: torch.Tensor, y: torch.Tensor, optimizer: str = "Adam", **settings: Any
    ) -> None:
        super().__init__(of=of, x=x, y=y, optimizer=optimizer, settings=settings)

    @staticmethod
    def build(
        of: nn.Module, x: torch.Tensor, y: torch.Tensor, optimizer: str, settings: dict[str, Any]
    ) -> _Steps:
        return _Steps(of, x, y, Optim.build(optimizer, of, settings))


class _Steps:
    def __init__(
        self, model: nn.Module, x: torch.Tensor, y: torch.Tensor, optimizer: torch.optim.Optimizer
    ) -> None:
        self._model, self._x, self._y, self._optimizer = model, x, y, optimizer

    def run(self, count: int) -> None:
        for _ in range(count):
            self._optimizer.zero_grad()
            nn.functional.cross_entropy(self._model(self._x), self._y).backward()
            self._optimizer.step()


class Image(Spec):
    """A PIL image from uint8 pixels (H, W, 3)."""

    def __init__(self, pixels: torch.Tensor) -> None:
        super().__init__(pixels=pixels)

    @staticmethod
    def build(pixels: torch.Tensor) -> Any:
        from PIL import Image as PILImage

        return PILImage.fromarray(pixels.numpy())


class Trainer(Spec):
    """The kit's own training of a classifier on a granted split; `epoch()` runs one pass.

    Args:
        of: the model to train, a module handle of the submission.
        inputs, labels: paths of the arrays granted to the worker: uint8 (N, H, W, C) and integers (N,).
        settings: see `training.ImageTrainer`.
    """

    def __init__(self, *, of: Any, inputs: str, labels: str, **settings: Any) -> None:
        super().__init__(of=of, inputs=inputs, labels=labels, **settings)

    @staticmethod
    def build(**fields: Any) -> Any:
        from dlgrade.training import ImageTrainer

        return ImageTrainer(**fields)


class CharToy(Spec):
    """A recurrent character model `(ids, state) -> (logits, state)`, `text_toys.Dial`, with formula weights.

    Args:
        vocab_size: number of characters, V.
        sharpness: how far from even the next character's probabilities are.
        dtype: name of a floating dtype.
        seed: which weights.
    """

    def __init__(
        self, vocab_size: int, *, sharpness: float = 1.0, dtype: str = "float64", seed: int = 0
    ) -> None:
        super().__init__(vocab_size=vocab_size, sharpness=sharpness, dtype=dtype, seed=seed)

    @staticmethod
    def build(vocab_size: int, sharpness: float, dtype: str, seed: int) -> nn.Module:
        from dlgrade.text_toys import Dial

        model = Dial(vocab_size, sharpness=sharpness).to(getattr(torch, dtype))
        return _with_formula_weights(model, formula.mix(seed, "dial"))


class Letters(Spec):
    """A vocabulary with `encode`, `decode` and `len`, numbered in the order of `characters`."""

    def __init__(self, characters: str) -> None:
        super().__init__(characters=characters)

    @staticmethod
    def build(characters: str) -> Any:
        from dlgrade.text_toys import Alphabet

        return Alphabet(characters)


class BatchList(Spec):
    """A list of (x, y) batches.

    Args:
        pairs: the batches.
        elsewhere: they count as lying on another device, until `.to(device)` brought them over.
    """

    def __init__(self, pairs: list[tuple[torch.Tensor, torch.Tensor]], *, elsewhere: bool = False) -> None:
        super().__init__(pairs=pairs, elsewhere=elsewhere)

    @staticmethod
    def build(pairs: list[tuple[torch.Tensor, torch.Tensor]], elsewhere: bool) -> Any:
        if not elsewhere:
            return list(pairs)
        return [(x.as_subclass(Elsewhere), y.as_subclass(Elsewhere)) for x, y in pairs]


class CharTrainer(Spec):
    """The kit's own training of a character model on a granted text; `epoch()` runs one pass.

    Args:
        of: the model to train, a module handle of the submission.
        files: paths of the text granted to the worker.
        settings: see `text_training.TextTrainer`.
    """

    def __init__(self, *, of: Any, files: list[str], **settings: Any) -> None:
        super().__init__(of=of, files=files, **settings)

    @staticmethod
    def build(**fields: Any) -> Any:
        from dlgrade.text_training import TextTrainer

        return TextTrainer(**fields)


class _Flaky(nn.Module):
    """Adds 1 in train mode only: tells whether a function switched the mode."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1.0 if self.training else x


class _Ticking(nn.Module):
    """Counts its forward passes in train mode and adds nothing: a step counter that is a buffer."""

    ticks: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ticks", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.ticks += 1
        return x


class _Scripted(nn.Module):
    """Adds a scripted number to the first column in eval mode: a validation loss that the check dictates.

    Args:
        script: the number for each epoch; the last one stays on.
        steps: train-mode passes in an epoch. They are counted in the buffer `ticks`, which is loaded
            and restored with the weights.
    """

    ticks: torch.Tensor

    def __init__(self, script: list[float], steps: int) -> None:
        super().__init__()
        self._script, self._steps = script, steps
        self.register_buffer("ticks", torch.zeros((), dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.ticks += 1
            return x
        epoch = max(int(self.ticks) // self._steps - 1, 0)
        shift = torch.zeros_like(x)
        shift[:, 0] = self._script[min(epoch, len(self._script) - 1)]
        return x + shift


class _Diary(nn.Module):
    """Adds nothing, and keeps count of how it was used, as extra state that loading does not roll back.

    The counts are [train-mode passes, passes whose input has a graph, states loaded]. Behind a layer with
    parameters, an input has a graph unless gradients are switched off.
    """

    def __init__(self) -> None:
        super().__init__()
        self._counts = torch.zeros(3, dtype=torch.int64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self._counts += torch.tensor([self.training, x.requires_grad, False])
        return x

    def get_extra_state(self) -> torch.Tensor:
        return self._counts.clone()

    def set_extra_state(self, _state: torch.Tensor) -> None:
        self._counts += torch.tensor([0, 0, 1])


class _Tied(nn.Module):
    """Two square Linear layers that share one weight, under the names `encode` and `decode`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(width, width), nn.Linear(width, width)
        self.decode.weight = self.encode.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        decoded: torch.Tensor = self.decode(torch.tanh(self.encode(x)))
        return decoded


def _frozen_linear(inputs: int, outputs: int) -> nn.Module:
    """A Linear whose parameters take no gradient."""
    return nn.Linear(inputs, outputs).requires_grad_(False)


class _Residual(nn.Module):
    """A 3 x 3 convolution with batch norm and ReLU, beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.bn1(self.conv1(x))) + x


class _ResNet(nn.Module):
    """The outline of torchvision's ResNet, with one block; its layers in order are its forward pass."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.layer1 = _Residual(width)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer1(self.relu(self.bn1(self.conv1(x))))
        logits: torch.Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def _with_formula_weights(model: nn.Module, seed: int) -> nn.Module:
    """Give every floating parameter and buffer its value from the formula."""
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if value.is_floating_point():
                value.copy_(torch.from_numpy(formula.parameter(seed, name, tuple(value.shape))))
    return model


LAYERS: dict[str, Callable[..., nn.Module]] = {
    "TiedLinears": _Tied,
    "FrozenLinear": _frozen_linear,
    "TrainModeShift": _Flaky,
    "StepCounter": _Ticking,
    "Scripted": _Scripted,
    "Diary": _Diary,
}


def _layer(name: str) -> Callable[..., nn.Module]:
    """The class of a layer, of the kit's own or of torch's."""
    found: Callable[..., nn.Module] = LAYERS[name] if name in LAYERS else getattr(nn, name)
    return found


def build(kind: str, fields: dict[str, Any]) -> Any:
    """Build a spec of the named kind from its decoded fields."""
    return Spec.kinds[kind].build(**fields)


def local(spec: Spec) -> Any:
    """What a spec stands for, built in this process, for a check that works out what is expected."""
    return type(spec).build(**spec.fields)
