"""How one split lies on disk: inputs and labels in separate files, so that each can be granted alone.

    train_inputs.npy                        images, uint8
    train_inputs.txt                        running text, UTF-8
    train_inputs.utf8, train_offsets.npy    sentences: one blob, and where each begins and the last ends
    train_labels.npy                        int64

A worker that was granted some of these files needs only `read_inputs` and `read_labels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from .records import Examples, Split


class Sentences(Sequence[str]):
    """N sentences in one mapped blob, decoded one at a time."""

    def __init__(self, blob: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> None:
        self._blob = blob
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]  # negative indices, and IndexError as a list raises it
        return bytes(self._blob[self._offsets[i] : self._offsets[i + 1]]).decode()


def write_split(folder: Path, split: str, examples: Examples) -> dict[str, Any]:
    """Write one split into an existing folder; return what `open_split` needs, ready for JSON."""
    inputs = _write_inputs(folder, split, examples.inputs)
    labels: list[str] = []
    if examples.labels is not None:
        labels = [f"{split}_labels.npy"]
        np.save(folder / labels[0], np.asarray(examples.labels, dtype=np.int64))
    return {"count": len(examples.inputs), "inputs": inputs, "labels": labels, **_layout(examples.inputs)}


def open_split(folder: Path, split: str, record: Mapping[str, Any]) -> Split:
    """The split that `write_split` left in `folder`, to be read when first looked at."""
    inputs = tuple(folder / name for name in record["inputs"])
    labels = tuple(folder / name for name in record["labels"])
    return Split(
        split, record["count"], partial(read_inputs, inputs), partial(read_labels, labels), inputs, labels
    )


def read_inputs(files: Sequence[Path]) -> npt.NDArray[Any] | str | Sequence[str]:
    """Inputs from a split's `input_files`, images and sentences memory-mapped read-only."""
    first = files[0]
    if first.suffix == ".npy":
        return _map(first)
    if first.suffix == ".txt":
        return first.read_bytes().decode()
    return Sentences(np.memmap(first, dtype=np.uint8, mode="r"), _map(files[1]))


def read_labels(files: Sequence[Path]) -> npt.NDArray[Any] | None:
    """Labels from a split's `label_files`; None where there are none, as for running text."""
    return _map(files[0]) if files else None


def _map(path: Path) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _write_inputs(folder: Path, split: str, inputs: npt.NDArray[Any] | str | Sequence[str]) -> list[str]:
    if isinstance(inputs, np.ndarray):
        names = [f"{split}_inputs.npy"]
        np.save(folder / names[0], inputs)
    elif isinstance(inputs, str):
        names = [f"{split}_inputs.txt"]
        (folder / names[0]).write_bytes(inputs.encode())
    else:
        names = [f"{split}_inputs.utf8", f"{split}_offsets.npy"]
        encoded = [sentence.encode() for sentence in inputs]
        (folder / names[0]).write_bytes(b"".join(encoded))
        np.save(folder / names[1], np.cumsum([0, *map(len, encoded)], dtype=np.int64))
    return names


def _layout(inputs: npt.NDArray[Any] | str | Sequence[str]) -> dict[str, Any]:
    """Shape and dtype of images, for whoever reads the manifest."""
    if isinstance(inputs, np.ndarray):
        return {"shape": list(inputs.shape), "dtype": str(inputs.dtype)}
    return {}
