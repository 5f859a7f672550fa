"""The backward half of a call that crossed the boundary: gradients are asked for where its graph is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from dlgrade import wire
from dlgrade.errors import GraderFault
from dlgrade.outcome import Violation

if TYPE_CHECKING:
    from dlgrade.proxy import Channel


class Graph:
    """The backward half of one call; the other side keeps its graph until this is collected."""

    def __init__(self, channel: Channel, number: int, indices: list[int], outputs: int) -> None:
        self._channel = channel
        self._number = number
        self._indices = indices
        self._outputs = outputs

    def backward(self, gradients: tuple[torch.Tensor | None, ...], wanted: list[int]) -> dict[int, Any]:
        """Gradients of the wanted leaves, by position; None where a leaf was not used."""
        spread: list[torch.Tensor | None] = [None] * self._outputs
        for index, gradient in zip(self._indices, gradients, strict=True):
            spread[index] = gradient
        encoder = self._channel.encoder()
        node = encoder.encode(spread)
        reply = self._channel.ask(
            "backward",
            encoder,
            caps=wire.STATE,
            deadline=replace(self._channel.deadline, doing="the backward pass"),
            graph=self._number,
            gradients=node,
            wanted=wanted,
        )
        if not isinstance(reply.value, list) or len(reply.value) != len(wanted):
            raise Violation("a backward pass did not return one gradient for each leaf")
        return dict(zip(wanted, reply.value, strict=True))

    def __del__(self) -> None:
        self._channel.dropped.append(self._number)


class Attach(torch.autograd.Function):
    """Makes results of a remote call differentiable: forward hands them on, backward asks for gradients."""

    @staticmethod
    def forward(ctx: Any, graph: Graph, results: list[torch.Tensor], *leaves: torch.Tensor) -> Any:
        ctx.graph = graph
        ctx.shapes = [(leaf.shape, leaf.dtype) for leaf in leaves]
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> Any:
        if torch.is_grad_enabled():
            raise GraderFault("a check asked for a second derivative, which does not cross the boundary")
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad[2:]) if needed]
        found = ctx.graph.backward(gradients, wanted)
        for index, gradient in found.items():
            if gradient is None:
                continue
            if (
                not isinstance(gradient, torch.Tensor)
                or (gradient.shape, gradient.dtype) != ctx.shapes[index]
            ):
                raise Violation("a gradient came whose shape or dtype is not that of its input")
        return (None, None, *(found.get(i) for i in range(len(ctx.shapes))))
