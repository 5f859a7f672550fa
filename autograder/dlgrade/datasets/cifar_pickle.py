"""The original CIFAR-10 batches, which are pickles, read without letting the pickle run anything.

The unpickler knows three names, and gives the file our own recorders instead of NumPy's functions, so that no
compiled code sees a state that the file made up.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt


def loads(content: bytes, row: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The pixels (N, row) and labels (N,) of one batch; ValueError says what is not as it must be."""
    try:
        batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except ValueError:
        raise
    except Exception as error:  # bytes that are no pickle can raise almost anything, MemoryError included
        raise ValueError(f"it cannot be unpickled ({type(error).__name__})") from error
    if not isinstance(batch, dict):
        raise ValueError("it holds no dictionary")
    fields = {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in batch.items()}
    pixels, labels = fields.get("data"), fields.get("labels")
    if not isinstance(pixels, _Array) or not isinstance(labels, list):
        raise ValueError("it lacks an array 'data' or a list 'labels'")
    flat = pixels.array(row)
    if len(labels) != len(flat) or not all(type(label) is int and 0 <= label < 256 for label in labels):
        raise ValueError(f"it has {len(flat):,} images, but not as many labels that are small integers")
    return flat, np.array(labels, dtype=np.int64)


class _Type:
    """Stands for `numpy.dtype`: remembers its first argument."""

    def __init__(self, name: Any = None, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Byte order and fields, of no consequence for single bytes."""


class _Array:
    """Stands for `numpy.ndarray`: remembers the state, checks it when asked for the array."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self, row: int) -> npt.NDArray[np.uint8]:
        """The recorded array (N, row) of bytes."""
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise ValueError("its array has no state")
        _, shape, dtype, column_major, content = self.state
        if not isinstance(dtype, _Type) or dtype.name not in ("u1", b"u1") or column_major:
            raise ValueError("its array is not of unsigned bytes, row after row")
        if not isinstance(content, bytes) or not content or len(content) % row:
            raise ValueError(f"its array does not hold rows of {row:,} bytes")
        if shape != (len(content) // row, row):
            raise ValueError(f"its array claims another shape than its {len(content):,} bytes have")
        return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _reconstruct(*_: Any) -> _Array:
    """Stands for `numpy.core.multiarray._reconstruct`, which makes an array for a state to fill."""
    return _Array()


def _bytes_from_text(text: str, encoding: str) -> bytes:
    """Stands for `_codecs.encode`, which Python 3 writes for bytes into old pickles, always with latin-1."""
    if encoding != "latin1":
        raise ValueError("its bytes are not encoded as latin1")
    return text.encode("latin-1")


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _bytes_from_text,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module, name))
        if found is None:
            raise ValueError(f"it asks for {f'{module}.{name}'[:100]!r}, which no CIFAR-10 batch needs")
        return found

    def persistent_load(self, pid: Any) -> NoReturn:
        raise ValueError("it refers to something outside the file")
