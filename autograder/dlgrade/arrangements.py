"""The ways in which one module's weights may lie in the parameters of another that computes the same.

Parameters are taken layer by layer: all that hang on one submodule, such as the weight and bias of a
Linear. Layers correspond when their tensors have the same form, which is the shape as a matrix (first
side, rest) or a vector: so a Conv1d of width 1 is a Linear, and a patch-sized Conv2d is one too. Where
several layers have one form, each order is an arrangement. An author adds what only they can know:

    {stacked = ["queries", "keys", "values"]}   their rows may be dealt, in blocks of any size and any
                                                order, to one fused layer or to several, one per head
    {columns = ["projection"]}                  its inputs may come in another order: (a, b) read as (b, a)

Nothing here decides which arrangement is right; `layouts` does, by what the module then computes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch

Values = Mapping[str, torch.Tensor]
Shapes = Mapping[str, tuple[int, ...]]
Form = tuple[tuple[int, ...], ...]
MOST_ORDERS: Final = 1000  # of the layers of one form: twelve renamed ones have 479 million
Layer = dict[str, torch.Tensor]  # the tensors of one submodule by full name, in order


def arrangements(ours: Values, theirs: Shapes, layouts: Sequence[Mapping[str, Any]] = ()) -> Iterator[Layer]:
    """Every way to fill all of `theirs` with all of `ours`: the plain one first, then the author's."""
    for layout in ({}, *layouts):
        for values in _columns_dealt(ours, layout.get("columns", ())):
            yield from _filled(values, theirs, tuple(layout.get("stacked", ())))


def in_order(ours: Values, theirs: Shapes) -> Layer | None:
    """Tensor by tensor in order of definition, for modules whose layers are grouped differently."""
    if [tuple(value.shape) for value in ours.values()] != list(theirs.values()):
        return None
    return dict(zip(theirs, ours.values(), strict=True))


def by_unique_shape(ours: Values, theirs: Shapes) -> Layer | None:
    """Each tensor to the only place of its shape, or None where a shape occurs twice."""
    places = {shape: name for name, shape in theirs.items()}
    shapes = [tuple(value.shape) for value in ours.values()]
    if len(places) < len(theirs) or sorted(shapes) != sorted(places):
        return None
    return {places[tuple(value.shape)]: value for value in ours.values()}


def form(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without sides of 1, as a vector or a matrix."""
    sides = [side for side in shape if side != 1]
    return (sides[0], math.prod(sides[1:])) if len(sides) > 2 else tuple(sides)


def _filled(ours: Values, theirs: Shapes, stacked: tuple[str, ...]) -> Iterator[Layer]:
    sources, places = _layers(ours), _layers(theirs)
    if not stacked:
        yield from _matched(sources, places)
        return
    plain = {name: layer for name, layer in sources.items() if name not in stacked}
    forms = {_form_of(layer) for layer in plain.values()}
    spare = {name: layer for name, layer in places.items() if _form_of(layer) not in forms}
    fixed = {name: layer for name, layer in places.items() if name not in spare}
    for first in _matched(plain, fixed):
        for second in _dealt([sources[name] for name in stacked], spare):
            yield {**first, **second}


def _matched(sources: Mapping[str, Layer], places: Mapping[str, Shapes]) -> Iterator[Layer]:
    """Layers to places of the same form and, where there is one, the same name; else in every order."""
    groups: dict[Form, tuple[list[str], list[str]]] = {}
    for side, layers in enumerate((sources, places)):
        for name, layer in layers.items():
            groups.setdefault(_form_of(layer), ([], []))[side].append(name)
    if any(len(givers) != len(takers) for givers, takers in groups.values()):
        return
    options = [
        list(itertools.islice(_pairings(givers, takers), MOST_ORDERS)) for givers, takers in groups.values()
    ]
    for choice in itertools.product(*options):
        filled: Layer = {}
        for giver, taker in itertools.chain.from_iterable(choice):
            filled |= _poured(list(sources[giver].values()), places[taker])
        yield filled


def _pairings(givers: list[str], takers: list[str]) -> Iterator[list[tuple[str, str]]]:
    named = [name for name in givers if name in takers]
    open_givers = [name for name in givers if name not in named]
    open_takers = [name for name in takers if name not in named]
    for order in itertools.permutations(open_givers):
        yield [*zip(named, named, strict=True), *zip(order, open_takers, strict=True)]


def _dealt(layers: list[Layer], places: Mapping[str, Shapes]) -> Iterator[Layer]:
    """Rows of several layers of one form, dealt in turn in blocks of equal size, poured into the places."""
    kinds = [list(layer.values()) for layer in layers]
    if len({_form_of(layer) for layer in layers}) != 1 or not places:
        return
    for order in itertools.permutations(kinds):
        for size in _divisors(kinds[0][0].shape[0]):
            decks = [_deal([tensors[i] for tensors in order], size) for i in range(len(kinds[0]))]
            if (filled := _cut(decks, places)) is not None:
                yield filled


def _deal(tensors: list[torch.Tensor], size: int) -> torch.Tensor:
    blocks = [torch.split(tensor, size) for tensor in tensors]
    return torch.cat([block for turn in zip(*blocks, strict=True) for block in turn])


def _cut(decks: list[torch.Tensor], places: Mapping[str, Shapes]) -> Layer | None:
    """Consecutive rows of each deck for each place, or None where they do not fit exactly."""
    filled: Layer = {}
    start = 0
    for shapes in places.values():
        rows = next(iter(shapes.values()))[0] if all(shapes.values()) else 0
        pieces = [deck[start : start + rows] for deck in decks]
        if _form_of({str(i): piece for i, piece in enumerate(pieces)}) != _form_of(shapes):
            return None
        filled |= _poured(pieces, shapes)
        start += rows
    return filled if start == len(decks[0]) else None


def _columns_dealt(ours: Values, names: Sequence[str]) -> Iterator[Values]:
    """`ours` with the columns of the named layers read in another order; `ours` itself without names."""
    if not names:
        yield ours
        return
    chosen = [
        key for key, value in ours.items() if key.rpartition(".")[0] in names and len(form(value.shape)) == 2
    ]
    if not chosen:
        return
    first = ours[chosen[0]]
    for size in _divisors(first.numel() // first.shape[0])[1:-1]:
        yield {
            key: value.reshape(len(value), size, -1).transpose(1, 2).reshape(value.shape)
            if key in chosen
            else value
            for key, value in ours.items()
        }


def _poured(tensors: list[torch.Tensor], shapes: Shapes) -> Layer:
    return {
        name: tensor.reshape(shape) for tensor, (name, shape) in zip(tensors, shapes.items(), strict=True)
    }


def _layers(tensors: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Names in order, grouped by the submodule that owns them."""
    layers: dict[str, dict[str, Any]] = {}
    for name, value in tensors.items():
        layers.setdefault(name.rpartition(".")[0], {})[name] = value
    return layers


def _form_of(layer: Mapping[str, Any]) -> Form:
    return tuple(form(getattr(value, "shape", value)) for value in layer.values())


def _divisors(number: int) -> list[int]:
    """From large to small: whole layers one after another are the commonest way to stack them."""
    return [size for size in range(number, 0, -1) if number % size == 0]
