"""The data sets the exercises use, by name, and the four things one does with them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ..errors import DatasetError
from . import store
from .records import Dataset, DatasetInfo, Draft, Kind, Progress, Stored, silent


@dataclass(frozen=True)
class Entry:
    """A data set's name, what a person needs to know of it, and the module that reads it.

    standin: what its stand-in is called in a report.
    """

    name: str
    kind: Kind
    title: str
    description: str
    source: str
    accepts: str
    reader: str
    standin: str


ENTRIES = (
    Entry(
        "cifar10",
        "images",
        "CIFAR-10",
        "60,000 colour photographs of 32x32 pixels in ten classes",
        "the original archive, 170 MB, from the address torchvision knows",
        "cifar-10-python.tar.gz or cifar-10-binary.tar.gz, either unpacked, or train/<class>/*.jpg and "
        "test/<class>/*.jpg (or .png) as a folder, tar or zip",
        "cifar",
        "generated stand-in for CIFAR-10",
    ),
    Entry(
        "fashion_mnist",
        "images",
        "Fashion-MNIST",
        "70,000 grey pictures of clothes, 28x28 pixels in ten classes, in MNIST's format",
        "the four idx files, 31 MB, from the address torchvision knows",
        "a folder with train-images-idx3-ubyte.gz and the three other idx files, gzipped or not",
        "idx",
        "generated stand-in for Fashion-MNIST",
    ),
    Entry(
        "tiny_shakespeare",
        "text",
        "tiny Shakespeare",
        "1.1 million characters of Shakespeare for character models",
        "the text file, 1.1 MB, from the char-rnn repository",
        "any UTF-8 text file; its last tenth is held out",
        "text",
        "stand-in for tiny Shakespeare: prose on Python",
    ),
    Entry(
        "sst2",
        "sentences",
        "SST-2",
        "phrases from film reviews, positive or negative",
        "SST-2.zip, 7 MB, from the GLUE benchmark",
        "a folder with train.tsv, dev.tsv and test.tsv (header 'sentence<TAB>label'), or GLUE's SST-2.zip",
        "sst2",
        "generated stand-in for SST-2",
    ),
    Entry(
        "bert",
        "encoder",
        "pretrained encoder",
        "a BERT-like encoder with its tokenizer",
        "MiniLM-L6-v2, 91 MB, through huggingface_hub",
        "a folder with config.json, tokenizer.json or vocab.txt, and model.safetensors",
        "encoder",
        "untrained stand-in for a pretrained encoder",
    ),
)


def entry(name: str) -> Entry:
    """The catalogue's entry; DatasetError with the nearest name for one it does not have."""
    for candidate in ENTRIES:
        if candidate.name == name:
            return candidate
    near = difflib.get_close_matches(name.lower().replace("-", "_"), [e.name for e in ENTRIES], n=1)
    guess = f"; did you mean {near[0]!r}?" if near else "."
    raise DatasetError(f"data set {name[:100]!r} not found{guess} 'dlgrade data list' shows all.")


def catalog() -> tuple[DatasetInfo, ...]:
    """Every data set with its present state; a damaged one is listed as such, not raised."""
    return tuple(_info(candidate) for candidate in ENTRIES)


def get(name: str, progress: Progress = silent) -> Stored:
    """Download and store a data set; DatasetError in one sentence if the network or the source fails."""
    chosen = entry(name)
    from . import download

    with store.temporary_folder(name) as folder:
        return store.save(name, _read(chosen, download.FETCHERS[name](folder, progress), progress))


def import_(name: str, path: Path | str, progress: Progress = silent) -> Stored:
    """Read, check and store a local copy; on any refusal the data set in use stays what it was."""
    return store.save(name, _read(entry(name), Path(path).expanduser(), progress))


def open_(name: str, *, seed: int = 0) -> Dataset:
    """The stored data set, or else its stand-in generated from `seed`.

    Raises:
        DatasetError: no such name, or what is stored is damaged; never silently the stand-in then.
    """
    chosen = entry(name)
    stored = store.find(name)
    if stored is None:
        from . import standins

        return standins.open_standin(name, chosen.standin, seed=seed)
    from . import arrays

    splits = {
        split: arrays.open_split(stored.path, split, record)
        for split, record in stored.manifest["splits"].items()
    }
    class_names = tuple(stored.manifest["class_names"])
    folder = None if splits else stored.path
    return Dataset(name, stored.title, stored.checksum, False, splits, class_names, folder)


def describe(name: str) -> str:
    """One line for a report: which data a figure came from, and how to get the real data if it was not."""
    chosen = entry(name)
    stored = store.find(name)
    if stored is not None:
        return f"{stored.title}, sha256 {stored.checksum[:12]}"
    return (
        f"{chosen.standin}; 'dlgrade data import {name} PATH' or 'dlgrade data get {name}' "
        f"brings the real data"
    )


def _read(chosen: Entry, path: Path, progress: Progress) -> Draft:
    # Imported here: the readers need NumPy, and 'dlgrade --help' must not wait for it.
    draft: Draft = import_module(f".{chosen.reader}", __package__).read(path, progress)
    return draft


def _info(chosen: Entry) -> DatasetInfo:
    shared = (chosen.name, chosen.kind, chosen.title, chosen.description, chosen.source, chosen.accepts)
    try:
        stored = store.find(chosen.name)
    except DatasetError as error:
        return DatasetInfo(*shared, "damaged", str(error), store.root() / chosen.name, "", 0)
    if stored is None:
        return DatasetInfo(*shared, "stand-in", chosen.standin, None, "", 0)
    return DatasetInfo(*shared, "present", stored.title, stored.path, stored.checksum, stored.size)
