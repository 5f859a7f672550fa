"""Giving an answer the reference's weights: by name, or by the arrangement that reproduces its output.

A correct answer may call its layers as it likes, fuse them or split them. Equal names and shapes are
taken at their word. Otherwise an arrangement is used when it is the only one, or when, with a probe,
the answer then computes what the reference does; never on a guess. Failing that, `Unmappable` says so
and the checks that need no weights decide.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from dlgrade.arrangements import Layer, Shapes, Values, arrangements, by_unique_shape, in_order
from dlgrade.observation import took_path
from dlgrade.outcome import CheckFailed, Unmappable
from dlgrade.proxy import RemoteModule

MOST_TRIALS: Final = 400  # a probe takes about 3 ms; more arrangements than this are nobody's answer
CLOSE: Final = 1e-3  # of the largest output; a wrong arrangement is off by its size

Layouts = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Probe:
    """Inputs, and what the reference in eval mode gives for them."""

    inputs: tuple[Any, ...]
    expected: Any

    @classmethod
    def of(cls, reference: RemoteModule, inputs: tuple[Any, ...]) -> Probe:
        return cls(inputs, _in_eval_mode(reference, inputs))

    def reproduced_by(self, answer: RemoteModule) -> bool:
        return _agree(_in_eval_mode(answer, self.inputs), self.expected)


def transplant(
    values: Values, target: RemoteModule, *, what: str, layouts: Layouts = (), probe: Probe | None = None
) -> None:
    """Copy `values` (parameters and buffers by the reference's names) into `target`.

    Args:
        values: of the reference.
        target: the answer's module.
        what: its name, for messages.
        layouts: the author's, as `arrangements` reads them.
        probe: decides between several arrangements.

    Raises:
        Unmappable: no arrangement fits, or several do and none is proved.
        CheckFailed: the answer has nothing to learn with, so no other check can decide for it.
    """
    values = {name: value for name, value in values.items() if value.is_floating_point()}
    shapes = _places(target, values)
    if values and not shapes:
        raise CheckFailed(f"{what} has no parameters at all, so there is nothing that it could learn")
    named = _by_name(values, shapes)
    if named is not None and (probe is None or not layouts):
        return _settle(target, named, "by name")
    if probe is None:
        chosen = _only(_unproved(values, shapes, layouts))
    else:
        chosen = _proved(target, probe, _all(values, shapes, layouts, named))
    if chosen is not None:
        return _settle(target, chosen, "by name" if chosen is named else "by layout")
    if named is not None:  # its own names say what is what, so what it computes is wrong
        return _settle(target, named, "by name")
    ours = {name: tuple(value.shape) for name, value in values.items()}
    raise Unmappable(
        f"the parameters of {what} cannot be matched with the reference's by name, order or shape: "
        f"yours are {_listed(shapes)}, the lesson's {_listed(ours)}"
    )


def _places(target: RemoteModule, values: Values) -> dict[str, tuple[int, ...]]:
    """Floating parameters of the answer, and its buffers where the reference has some to give."""
    layout = target.layout
    entries = layout.parameters
    parameters = sum(entry.dtype.is_floating_point for entry in entries)
    if len(values) > parameters or any(entry.name in values for entry in layout.buffers):
        entries += layout.buffers
    return {entry.name: entry.shape for entry in entries if entry.dtype.is_floating_point}


def _by_name(values: Values, shapes: Shapes) -> Layer | None:
    same = {name: tuple(value.shape) for name, value in values.items()} == dict(shapes)
    return dict(values) if same else None


def _unproved(values: Values, shapes: Shapes, layouts: Layouts) -> Iterator[Layer]:
    """Arrangements that need no proof if there is but one."""
    unique = by_unique_shape(values, shapes)
    if unique is not None:
        yield unique
    else:
        yield from arrangements(values, shapes, layouts)


def _all(values: Values, shapes: Shapes, layouts: Layouts, named: Layer | None) -> Iterator[Layer]:
    ordered = in_order(values, shapes)
    yield from (first for first in (named, ordered) if first is not None)
    yield from arrangements(values, shapes, layouts)


def _only(found: Iterator[Layer]) -> Layer | None:
    """The one arrangement there is, or None where there is none or a choice."""
    first, second = next(found, None), next(found, None)
    return first if second is None else None


def _proved(target: RemoteModule, probe: Probe, found: Iterator[Layer]) -> Layer | None:
    """The first arrangement with which the answer gives the reference's output."""
    for arrangement in itertools.islice(found, MOST_TRIALS):
        target.load_state_dict(arrangement)
        if probe.reproduced_by(target):
            return arrangement
    return None


def _settle(target: RemoteModule, arrangement: Layer, path: str) -> None:
    took_path(path)
    target.load_state_dict(arrangement)


def _in_eval_mode(module: RemoteModule, inputs: tuple[Any, ...]) -> Any:
    training = module.training
    module.eval()
    with torch.no_grad():
        output = module(*inputs)
    module.train(training)
    return output


def _agree(actual: Any, expected: Any) -> bool:
    if isinstance(expected, list | tuple):
        same = isinstance(actual, list | tuple) and len(actual) == len(expected)
        return same and all(map(_agree, actual, expected))
    if not isinstance(expected, torch.Tensor):
        return bool(actual == expected) if isinstance(actual, type(expected)) else False
    if not isinstance(actual, torch.Tensor) or actual.shape != expected.shape:
        return False
    off = (actual.double() - expected.double()).abs().max() if expected.numel() else torch.zeros(())
    return float(off) <= CLOSE * float(expected.abs().max()) if expected.numel() else True


def _listed(shapes: Shapes) -> str:
    text = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:8])
    return text + (", ..." if len(shapes) > 8 else "")
