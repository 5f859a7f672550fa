"""Replies of the oracle as readable JSON, and back: buffers become lists of numbers, or text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch


def to_json(reply: Any, buffers: list[Any]) -> list[Any]:
    """Buffers of a reply as JSON: numbers by the dtype that the reply's nodes give them, or text."""
    dtypes = dict(_dtypes(reply))
    return [_numbers(bytes(buffer), dtypes.get(index)) for index, buffer in enumerate(buffers)]


def _dtypes(node: Any) -> Iterator[tuple[int, str]]:
    if isinstance(node, dict):
        index = node.get("b", node.get("a"))
        if isinstance(index, int) and isinstance(node.get("dtype"), str):
            yield index, node["dtype"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _dtypes(item)


def _numbers(data: bytes, dtype: str | None) -> Any:
    if dtype is None:
        return {"text": data.decode("utf-8")}
    values: list[Any] = []
    if data:
        values = torch.frombuffer(bytearray(data), dtype=getattr(torch, dtype)).tolist()
    digits = 17 if dtype == "float64" else 9  # enough to tell every value of the dtype apart
    if values and isinstance(values[0], float):
        values = [float(f"{value:.{digits}g}") if math.isfinite(value) else str(value) for value in values]
    return {"dtype": dtype, "values": values}


def from_json(entry: dict[str, Any]) -> bytearray:
    """The inverse of `_numbers`."""
    if "text" in entry:
        return bytearray(entry["text"].encode())
    values = [float(value) if isinstance(value, str) else value for value in entry["values"]]
    tensor = torch.tensor(values, dtype=getattr(torch, entry["dtype"]))
    return bytearray(tensor.view(torch.uint8).numpy().tobytes()) if values else bytearray()
