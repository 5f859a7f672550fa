"""Giving an answer the reference's weights: by name, by a layout the author lists, or by shape.

A correct answer may call its layers as it likes. The reference's parameters are matched to it when
that is unambiguous; otherwise `Unmappable` says so, and the checks that need no weights decide.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from dlgrade.observation import took_path
from dlgrade.outcome import Unmappable
from dlgrade.proxy import RemoteModule

Values = Mapping[str, torch.Tensor]


def transplant(values: Values, target: RemoteModule, *, what: str) -> None:
    """Copy `values` (parameters and buffers by the reference's names) into `target`.

    Raises:
        Unmappable: names, order and shapes leave more than one way, or none.
    """
    layout = target.layout
    entries = [entry[:3] for entry in (*layout.parameters, *layout.buffers)]
    shapes = {name: shape for name, dtype, shape in entries if dtype.is_floating_point}
    names = correspondence({name: tuple(value.shape) for name, value in values.items()}, shapes)
    if names is None:
        raise Unmappable(
            f"the parameters of {what} cannot be matched with the reference's by name, order or shape: "
            f"yours are {_listed(shapes)}, the lesson's {_listed({n: tuple(v.shape) for n, v in values.items()})}"
        )
    took_path("by name" if all(ours == theirs for ours, theirs in names.items()) else "by layout")
    target.load_state_dict({theirs: values[ours] for ours, theirs in names.items()})


def correspondence(
    ours: Mapping[str, tuple[int, ...]], theirs: Mapping[str, tuple[int, ...]]
) -> dict[str, str] | None:
    """For each of our names the one of theirs that plays its part, or None when that is a guess.

    Equal names and shapes come first, then equal shapes in the order of definition, then shapes that
    occur only once.
    """
    if dict(ours) == dict(theirs):
        return {name: name for name in ours}
    if sorted(ours.values()) != sorted(theirs.values()):
        return None
    if list(ours.values()) == list(theirs.values()):
        return dict(zip(ours, theirs, strict=True))
    by_shape = {shape: name for name, shape in theirs.items()}
    if len(by_shape) == len(theirs):
        return {name: by_shape[shape] for name, shape in ours.items()}
    return None


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    text = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:8])
    return text + (", ..." if len(shapes) > 8 else "")
