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

_keys = itertools.count(1)


class Spec:
    """What to build; the same spec is the same object for as long as a worker lives."""

    kinds: ClassVar[dict[str, type[Spec]]] = {}

    def __init_subclass__(cls) -> None:
        Spec.kinds[cls.__name__] = cls

    def __init__(self, **fields: Any) -> None:
        self.key = next(_keys)
        self.fields = fields

    @staticmethod
    def build(**fields: Any) -> Any:
        """Make the object from decoded fields; each kind has its own."""
        raise NotImplementedError


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
        built = [LAYERS.get(name, getattr(nn, name, None))(*args) for name, *args in layers]  # type: ignore[misc]
        model = nn.Sequential(*built).to(getattr(torch, dtype))
        with torch.no_grad():
            for name, value in [*model.named_parameters(), *model.named_buffers()]:
                if value.is_floating_point():
                    drawn = formula.parameter(formula.mix(seed, "toy"), name, tuple(value.shape))
                    value.copy_(torch.from_numpy(drawn))
        return model


class Batches(Spec):
    """A `DataLoader` over tensors, in order and without workers.

    Args:
        tensors: of equal first side N, such as x and y.
        batch_size: examples a batch; the last may be smaller.
    """

    def __init__(self, *tensors: torch.Tensor, batch_size: int = 4) -> None:
        super().__init__(tensors=list(tensors), batch_size=batch_size)

    @staticmethod
    def build(tensors: list[torch.Tensor], batch_size: int) -> Any:
        dataset = torch.utils.data.TensorDataset(*tensors)
        return torch.utils.data.DataLoader(dataset, batch_size=batch_size)


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
        limit: how many examples of the split to use, from the start.
        epochs: length of the one-cycle schedule, in epochs.
        batch_size: examples a step.
        max_lr: peak of the one-cycle schedule of AdamW.
        seed: order of examples and flips.
        device: where to train.
    """

    def __init__(self, *, of: Any, inputs: str, labels: str, **settings: Any) -> None:
        super().__init__(of=of, inputs=inputs, labels=labels, **settings)

    @staticmethod
    def build(**fields: Any) -> Any:
        from dlgrade.training import ImageTrainer

        return ImageTrainer(**fields)


class _Flaky(nn.Module):
    """Adds 1 in train mode only: tells whether a function switched the mode."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1.0 if self.training else x


class _Ticking(nn.Module):
    """Counts its forward passes in train mode and adds nothing: a step counter that is a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ticks", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.ticks += 1
        return x


LAYERS: dict[str, Callable[..., nn.Module]] = {"TrainModeShift": _Flaky, "StepCounter": _Ticking}


def build(kind: str, fields: dict[str, Any]) -> Any:
    """Build a spec of the named kind from its decoded fields."""
    return Spec.kinds[kind].build(**fields)
