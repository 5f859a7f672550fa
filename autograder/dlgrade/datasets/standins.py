"""Stand-ins: what `open_` gives for a data set that nobody imported, so that every command still works."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, partial

from . import sst2, standin_encoder, standin_images, standin_sentences, text
from .records import Dataset, Examples, Split

IMAGE_COUNTS = {"train": 10_000, "test": 2_000}
IMAGES = ("cifar10", "fashion_mnist")


def open_standin(name: str, title: str, *, seed: int) -> Dataset:
    """The stand-in for a catalogued data set; nothing is generated before a split is looked at."""
    recipe = standin_images.RECIPE if name in IMAGES else 1
    checksum = hashlib.sha256(f"{title}, recipe {recipe}, seed {seed}".encode()).hexdigest()
    match name:
        case "cifar10":
            splits = _images(side=32, channels=3, seed=seed)
            return Dataset(name, title, checksum, True, splits, standin_images.CLASSES)
        case "fashion_mnist":
            splits = _images(side=28, channels=1, seed=seed)
            return Dataset(name, title, checksum, True, splits, standin_images.CLASSES)
        case "sst2":
            return Dataset(name, title, checksum, True, _sentences(seed), sst2.CLASSES)
        case "tiny_shakespeare":
            return _prose(name, title)
        case _:
            write = partial(standin_encoder.write, seed=seed)
            return Dataset(name, title, checksum, True, {}, write_folder=write)


def _images(*, side: int, channels: int, seed: int) -> dict[str, Split]:
    def generate(split: str) -> Examples:
        count = IMAGE_COUNTS[split]
        return Examples(*standin_images.draw(count, side=side, channels=channels, seed=seed, split=split))

    return {split: _split(split, count, generate) for split, count in IMAGE_COUNTS.items()}


def _sentences(seed: int) -> dict[str, Split]:
    def generate(split: str) -> Examples:
        return standin_sentences.write(standin_sentences.COUNTS[split], seed=seed, split=split)

    return {split: _split(split, count, generate) for split, count in standin_sentences.COUNTS.items()}


def _prose(name: str, title: str) -> Dataset:
    """Python's own documentation: the same for every seed, and for one Python version."""
    examples = text.splits_of(text.python_prose())
    whole = "".join(str(part.inputs) for part in examples.values())
    checksum = hashlib.sha256(whole.encode()).hexdigest()
    splits = {key: _split(key, len(part.inputs), examples.__getitem__) for key, part in examples.items()}
    return Dataset(name, title, checksum, True, splits)


def _split(name: str, count: int, generate: Callable[[str], Examples]) -> Split:
    """A split whose inputs and labels come from one generation."""
    examples = cache(partial(generate, name))
    return Split(name, count, lambda: examples().inputs, lambda: examples().labels)
