"""What the data set commands and the graders pass around: drafts, splits, data sets, catalogue rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy.typing as npt

Kind = Literal["images", "text", "sentences", "encoder"]
State = Literal["present", "stand-in", "damaged"]


class Progress(Protocol):
    """Called now and then with what is being done, how much of it is done, and of how much if known."""

    def __call__(self, what: str, done: int, total: int | None, /) -> None: ...


def silent(what: str, done: int, total: int | None, /) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Examples:
    """One split in memory.

    inputs: uint8 images (N, H, W, C) or (N, H, W); one str of running text; or a sequence of N sentences.
    labels: int64 (N,); None for running text, whose labels are its own next characters.
    """

    inputs: npt.NDArray[Any] | str | Sequence[str]
    labels: npt.NDArray[Any] | None


@dataclass(frozen=True)
class Draft:
    """A data set that was read and checked, but not stored yet.

    files: for an encoder, the files to copy, by the name they are stored under.
    """

    title: str
    variant: str
    source: str
    splits: Mapping[str, Examples] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """A data set in the cache, as its manifest describes it."""

    name: str
    title: str
    variant: str
    checksum: str
    size: int
    path: Path
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class Split:
    """One split, read or generated when first looked at.

    input_files, label_files: what a worker must be granted to read the inputs, and the labels, of this split
    and of no other; None for a stand-in that was not materialized. Running text has no label files.
    """

    name: str
    count: int
    load_inputs: Callable[[], npt.NDArray[Any] | str | Sequence[str]]
    load_labels: Callable[[], npt.NDArray[Any] | None]
    input_files: tuple[Path, ...] | None = None
    label_files: tuple[Path, ...] | None = None

    @cached_property
    def inputs(self) -> Any:
        """See `Examples.inputs`; stored images are a read-only memory map."""
        return self.load_inputs()

    @cached_property
    def labels(self) -> Any:
        """See `Examples.labels`."""
        return self.load_labels()

    def __len__(self) -> int:
        """Examples in the split; of running text, characters."""
        return self.count

    def materialize(self, folder: Path) -> Split:
        """The same split backed by files: its own if it has some, else files written into `folder`."""
        if self.input_files is not None:
            return self
        from . import arrays

        folder.mkdir(parents=True, exist_ok=True)
        written = arrays.write_split(folder, self.name, Examples(self.inputs, self.labels))
        return arrays.open_split(folder, self.name, written)


@dataclass(frozen=True)
class Dataset:
    """An open data set, real or generated.

    checksum: of the stored files; of a stand-in, of the recipe and seed it is generated from.
    folder: where an encoder's config, tokenizer and weights lie, for `from_pretrained`; None for examples.
    """

    name: str
    title: str
    checksum: str
    is_standin: bool
    splits: Mapping[str, Split]
    class_names: tuple[str, ...] = ()
    folder: Path | None = None
    write_folder: Callable[[Path], None] | None = None

    def materialize(self, folder: Path) -> Dataset:
        """The same data set with every split, or its encoder, backed by files; new ones go into `folder`."""
        splits = {name: split.materialize(folder) for name, split in self.splits.items()}
        if self.folder is None and self.write_folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self.write_folder(folder)
            return replace(self, splits=splits, folder=folder)
        return replace(self, splits=splits)


@dataclass(frozen=True)
class DatasetInfo:
    """One row of `dlgrade data list`.

    variant: the stored data's title ("CIFAR-10 (JPEG)"), or the stand-in's.
    accepts: what `dlgrade data import` takes; source: where `dlgrade data get` fetches it.
    """

    name: str
    kind: Kind
    title: str
    description: str
    source: str
    accepts: str
    state: State
    variant: str
    path: Path | None
    checksum: str
    size: int
