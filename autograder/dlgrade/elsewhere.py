"""Tensors that play "on another device" where there is no other device.

A check hands them to a function that must move its batches. They can be indexed, counted and
converted, but refuse to meet an ordinary tensor, as a CUDA tensor would, until `.to(device)` has
brought them over, or another call that names a device, as `torch.as_tensor(batch, device=device)` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import torch
from torch.overrides import TorchFunctionMode

CONVERSIONS: Final = (torch.as_tensor, torch.asarray)  # `torch.tensor` makes a plain copy by itself


class Elsewhere(torch.Tensor):
    """A CPU tensor that counts as lying on another device."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.Tensor.to and _names_device(args[1:], kwargs):
            plain = args[0].as_subclass(torch.Tensor)
            return plain.to(*args[1:], **kwargs)
        if any(_is_here(value) for value in _tensors([*args, *kwargs.values()])):
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found a batch that was not moved: "
                "call .to(device) on its inputs and labels"
            )
        return super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]  # torch leaves it untyped


class _Conversions(TorchFunctionMode):
    """Lets the functions that torch hides from subclasses bring a tensor over."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in CONVERSIONS and kwargs.get("device") is not None and args:
            args = (_brought_over(args[0]), *args[1:])
        return func(*args, **kwargs)


def watching(wanted: bool) -> AbstractContextManager[object]:
    """Inside, where that is wanted, `torch.as_tensor` and its like bring tensors over as `.to` does.

    Wanted only where such tensors may be met: torch asks the mode before every function that it runs.
    """
    return _Conversions() if wanted else nullcontext()


def _brought_over(value: Any) -> Any:
    return value.as_subclass(torch.Tensor) if isinstance(value, Elsewhere) else value


def _names_device(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the arguments of `Tensor.to` say where, not only which dtype."""
    device, *_ = torch._C._nn._parse_to(*args, **kwargs)
    return device is not None


def _is_here(value: torch.Tensor) -> bool:
    return not isinstance(value, Elsewhere) and value.dim() > 0  # scalars may meet any device


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
