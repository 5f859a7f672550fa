"""Values that may cross the boundary, as JSON nodes beside raw buffers.

A node is a JSON scalar (null, bool, int, str) or an object with one tag:

    {"f": hex}  float            {"l": [...]}  list        {"d": [[k, v], ...]}  dict with str keys
    {"b": i, "dtype", "shape"}   tensor in buffer i        {"t": [...]}          tuple
    {"a": i, "dtype", "shape"}   NumPy array               {"r": [[k, v], ...]}  record: dict with attributes
    {"s": i}    long str         {"h": id, ...} handle     {"spec": ...}         an object the worker builds

Encoding in the worker sees the student's objects and may be lied to; decoding in the checker sees
bytes only, and rebuilds plain tensors of an allowed dtype, exact size and at most eight dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch

from dlgrade.outcome import Violation

DTYPES: Final[dict[str, torch.dtype]] = {
    name: getattr(torch, name)
    for name in (
        "float16",
        "bfloat16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "bool",
    )
}
NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}
ARRAY_DTYPES: Final = frozenset(DTYPES) - {"bfloat16"}
ITEM_BYTES: Final = {name: torch.empty(0, dtype=dtype).element_size() for name, dtype in DTYPES.items()}

MAX_DEPTH: Final = 6
MAX_DIMS: Final = 8
MAX_SIDE: Final = 2**40
MAX_HANDLES: Final = 1024
MAX_BYTES: Final = 256 << 20
LONG_TEXT: Final = 1024
MAX_TEXT: Final = 4 << 20

Buffers = list[Any]


class Record(dict[str, Any]):
    """A dict whose entries are attributes too, as a transformers output offers them."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Unsendable(Exception):
    """A value that may not cross, with the sentence that says why."""


# --- encoding -------------------------------------------------------------------------------------


class Encoder:
    """Turns values into nodes; `special` is asked first and may return a node of its own or None."""

    def __init__(self, special: Callable[[Any, Encoder], dict[str, Any] | None] | None = None) -> None:
        self.buffers: Buffers = []
        self.tensors: list[torch.Tensor] = []
        self._special = special

    def encode(self, value: Any, depth: int = 0) -> Any:
        """The node of `value`; tensors' bytes are appended to `buffers`, in order of appearance."""
        if depth > MAX_DEPTH:
            raise Unsendable(f"values nested deeper than {MAX_DEPTH} levels cannot be sent")
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | int | float | str):
            return self._scalar(value)
        if self._special is not None and (node := self._special(value, self)) is not None:
            return node
        return self._container(value, depth)

    def encode_copy(self, value: Any) -> Any:
        """The same of the value as it is now: buffers are views otherwise, which later code may write to."""
        kept = len(self.buffers)
        node = self.encode(value)
        self.buffers[kept:] = map(bytearray, self.buffers[kept:])
        return node

    def _scalar(self, value: bool | int | float | str | None) -> Any:
        if value is None or value is True or value is False:
            return value
        if isinstance(value, float):
            return {"f": float.hex(float(value))}
        if isinstance(value, int):
            if not -(2**63) <= value < 2**63:
                raise Unsendable("an integer beyond 64 bits cannot be sent")
            return int(value)
        return self._text(str(value))

    def _text(self, value: str) -> Any:
        data = value.encode("utf-8", "replace")
        if len(data) > MAX_TEXT:
            raise Unsendable(f"a text of {len(data)} bytes cannot be sent, at most {MAX_TEXT}")
        if len(data) <= LONG_TEXT:
            return data.decode("utf-8")
        self.buffers.append(data)
        return {"s": len(self.buffers) - 1}

    def _container(self, value: Any, depth: int) -> Any:
        if isinstance(value, tuple):
            return {"t": [self.encode(item, depth + 1) for item in value]}
        if isinstance(value, list):
            return {"l": [self.encode(item, depth + 1) for item in value]}
        if isinstance(value, Mapping):
            if any(not isinstance(key, str) for key in value):
                raise Unsendable("a dict with keys that are not strings cannot be sent")
            tag = "d" if type(value) is dict else "r"
            return {tag: [[str(key), self.encode(item, depth + 1)] for key, item in value.items()]}
        raise Unsendable(f"a value of type {type(value).__name__} cannot be sent")

    def _tensor(self, value: torch.Tensor) -> dict[str, Any]:
        self.tensors.append(value)
        flat = plain_tensor(value)
        self.buffers.append(flat.reshape(-1).view(torch.uint8).numpy() if flat.numel() else b"")
        return {"b": len(self.buffers) - 1, "dtype": NAMES[flat.dtype], "shape": list(flat.shape)}

    def _array(self, value: np.ndarray[Any, Any]) -> dict[str, Any]:
        native = np.asarray(value).astype(value.dtype.newbyteorder("="), copy=False)
        if native.dtype.name not in ARRAY_DTYPES:
            raise Unsendable(f"a NumPy array of dtype {native.dtype} cannot be sent")
        _check_size(native.shape, native.nbytes)
        flat = np.ascontiguousarray(native).reshape(-1)
        self.buffers.append(flat.view(np.uint8) if flat.size else b"")
        return {"a": len(self.buffers) - 1, "dtype": native.dtype.name, "shape": list(native.shape)}


def plain_tensor(value: torch.Tensor) -> torch.Tensor:
    """A detached, contiguous CPU tensor of class `torch.Tensor`, or `Unsendable` with the reason."""
    with torch._C.DisableTorchFunctionSubclass():
        value = value.detach()
        if value.dtype not in NAMES:
            raise Unsendable(f"a tensor of dtype {str(value.dtype).removeprefix('torch.')} cannot be sent")
        if value.layout is not torch.strided:
            raise Unsendable(f"a tensor with layout {value.layout} cannot be sent; call .to_dense() first")
        if value.is_meta:
            raise Unsendable("a tensor on the meta device holds no values")
        _check_size(value.shape, value.numel() * value.element_size())
        return value.resolve_conj().resolve_neg().cpu().contiguous()


def _check_size(shape: Any, nbytes: int) -> None:
    if len(shape) > MAX_DIMS:
        raise Unsendable(f"a tensor with {len(shape)} dimensions cannot be sent, at most {MAX_DIMS}")
    if nbytes > MAX_BYTES:
        raise Unsendable(f"a tensor of {nbytes} bytes cannot be sent, at most {MAX_BYTES}")


# --- decoding -------------------------------------------------------------------------------------


class Decoder:
    """Rebuilds values from nodes; `special` turns handles and specs, and refuses them by default."""

    def __init__(
        self, buffers: Buffers, special: Callable[[dict[str, Any], Decoder], Any] | None = None
    ) -> None:
        self.tensors: list[torch.Tensor] = []
        self._buffers = buffers
        self._used: set[int] = set()
        self._handles = 0
        self._special = special

    def decode(self, node: Any, depth: int = 0) -> Any:
        """The value of `node`.

        Raises:
            Violation: the node is none of this module's, or a buffer does not fit what it claims.
        """
        if depth > MAX_DEPTH + 1:
            raise Violation(f"a reply is nested deeper than {MAX_DEPTH} levels")
        if node is None or isinstance(node, bool | str):
            return node
        if isinstance(node, int):
            if not -(2**63) <= node < 2**63:
                raise Violation("a reply holds an integer beyond 64 bits")
            return node
        if not isinstance(node, dict) or not node:
            raise Violation("a reply holds a node that is no value")
        return self._tagged(node, depth)

    def _tagged(self, node: dict[str, Any], depth: int) -> Any:
        tag = next(iter(node))
        body = node[tag]
        if tag == "f":
            return _float(body)
        if tag in ("l", "t"):
            items = [self.decode(item, depth + 1) for item in _list(body)]
            return items if tag == "l" else tuple(items)
        if tag in ("d", "r"):
            return self._mapping(tag, _list(body), depth)
        if tag == "s":
            return _text(self._buffer(body))
        if tag in ("a", "b"):
            return self._numbers(tag, node)
        if tag in ("h", "spec") and self._special is not None:
            self._handles += 1
            if self._handles > MAX_HANDLES:
                raise Violation(f"a reply holds more than {MAX_HANDLES} handles")
            return self._special(node, self)
        raise Violation(f"a reply holds an unexpected node {str(tag)[:20]!r}")

    def _mapping(self, tag: str, pairs: list[Any], depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {} if tag == "d" else Record()
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
                raise Violation("a reply holds a dict whose keys are not strings")
            if pair[0] in result:
                raise Violation("a reply holds a dict with one key twice")
            result[pair[0]] = self.decode(pair[1], depth + 1)
        return result

    def _buffer(self, index: Any) -> bytearray:
        if type(index) is not int or not 0 <= index < len(self._buffers) or index in self._used:
            raise Violation("a reply names a buffer that it does not hold, or names one twice")
        self._used.add(index)
        buffer = self._buffers[index]
        return buffer if isinstance(buffer, bytearray) else bytearray(buffer)

    def _numbers(self, tag: str, node: dict[str, Any]) -> Any:
        dtype, shape = node.get("dtype"), checked_shape(node.get("shape"))
        allowed = DTYPES if tag == "b" else ARRAY_DTYPES
        if not isinstance(dtype, str) or dtype not in allowed:
            raise Violation("a reply holds a tensor of a dtype that may not cross")
        count = 1
        for side in shape:
            count *= side
        data = self._buffer(node[tag])
        if count * ITEM_BYTES[dtype] != len(data):
            raise Violation(f"a tensor of shape {shape} and dtype {dtype} came with {len(data)} bytes")
        tensor = _tensor(data, dtype, shape)
        if tag == "a":
            return tensor.numpy()
        self.tensors.append(tensor)
        return tensor


def checked_shape(shape: Any) -> tuple[int, ...]:
    """A shape of at most eight sides that are plain, non-negative integers."""
    if not isinstance(shape, list) or len(shape) > MAX_DIMS:
        raise Violation("a reply holds a tensor without a proper shape")
    if any(type(side) is not int or not 0 <= side < MAX_SIDE for side in shape):
        raise Violation("a reply holds a tensor whose sides are not sizes")
    if math.prod(max(side, 1) for side in shape) >= MAX_SIDE:  # an empty tensor has strides too
        raise Violation("a reply holds a tensor whose sides overflow")
    return tuple(shape)


def _tensor(data: bytearray, dtype: str, shape: tuple[int, ...]) -> torch.Tensor:
    if not data:
        return torch.empty(shape, dtype=DTYPES[dtype])
    if dtype == "bool":  # a bool byte of 7 would compare unequal to True: normalise
        return (torch.frombuffer(data, dtype=torch.uint8) != 0).reshape(shape)
    return torch.frombuffer(data, dtype=DTYPES[dtype]).reshape(shape)


def _list(body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise Violation("a reply holds a container that is no list")
    return body


def _float(text: Any) -> float:
    if not isinstance(text, str) or len(text) > 40:
        raise Violation("a reply holds a float that is not hexadecimal text")
    try:
        return float.fromhex(text)
    except (ValueError, OverflowError):
        raise Violation("a reply holds a float that is not hexadecimal text") from None


def _text(data: bytearray) -> str:
    if len(data) > MAX_TEXT:
        raise Violation(f"a reply holds a text of {len(data)} bytes, at most {MAX_TEXT} are allowed")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Violation("a reply holds text that is not UTF-8") from None


def replace_tensors(value: Any, replacements: Mapping[int, torch.Tensor]) -> Any:
    """The same tree, with each tensor whose `id` is a key replaced."""
    if isinstance(value, torch.Tensor):
        return replacements.get(id(value), value)
    if isinstance(value, list | tuple):
        return type(value)(replace_tensors(item, replacements) for item in value)
    if isinstance(value, dict):
        return type(value)({key: replace_tensors(item, replacements) for key, item in value.items()})
    return value
