"""CIFAR-10 from the original archive, or from a tree of image files, in a folder, tar or zip.

The original comes as Python 2 pickles or as a binary dump of label byte and pixels; the tree as
`train/<class>/<name>.jpg` and `test/...`, whose ten class folders in alphabetical order are labels 0 to 9.
"""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError
from . import archives, cifar_pickle
from .records import Draft, Examples, Progress

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
COUNTS = {"train": 50_000, "test": 10_000}  # tests of the reader itself use smaller ones
SIDE = 32
MAX_IMAGE_BYTES = 1 << 20  # a raw 32x32 picture has 3,072
TRAIN_BATCHES = 5
ORDER_KEY = 10  # of the fixed shuffle that image trees are stored in

_BATCH = re.compile(r"(?:^|/)(data_batch_[1-5]|test_batch)(\.bin)?$")
_SUFFIXES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}

Pixels = npt.NDArray[np.uint8]
Key = tuple[str, str, str]  # split, class, file name


@dataclass
class _Found:
    """What one pass over the members collects."""

    batches: dict[str, tuple[Pixels, npt.NDArray[np.int64]]] = field(default_factory=dict)
    images: dict[Key, bytes] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # per split and class, read or not
    formats: set[str] = field(default_factory=set)


def read(path: Path, progress: Progress) -> Draft:
    """Read and check a copy of CIFAR-10; pixels come out as (N, 32, 32, 3), height, width, channel."""
    from PIL import Image

    found = _Found()
    expected = sum(COUNTS.values())
    with warnings.catch_warnings(), closing(archives.members(path)) as members:
        # Pillow only warns of a decompression bomb of medium size.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for member in members:
            _collect(path, member, found)
            done = len(found.images) + sum(len(labels) for _, labels in found.batches.values())
            if done % 500 == 0:
                progress("reading images", done, expected)
    draft = _from_batches(path, found) if found.batches else _from_tree(path, found)
    progress("reading images", expected, expected)
    return draft


def _collect(path: Path, member: archives.Member, found: _Found) -> None:
    """Decode a member that belongs to CIFAR-10; pass over a README or an index page."""
    if match := _BATCH.search(member.name):
        name = match[1]
        if name in found.batches:
            raise DatasetError(f"{path} holds {name} twice; give one copy of the original archive")
        content = member.read()
        found.batches[name] = _parse_batch(path, member.name, content, binary=match[2] is not None)
        return
    key = _image_key(member.name)
    if key is None:
        return
    found.counts[key[:2]] += 1
    if key in found.images:
        raise DatasetError(f"{path} holds {'/'.join(key)!r} twice")
    # What exceeds the expected number is only counted: the refusal names how many there were.
    if sum(count for (split, _), count in found.counts.items() if split == key[0]) <= COUNTS[key[0]]:
        found.images[key] = _decode(path, member)
        found.formats.add(_SUFFIXES[PurePosixPath(key[2]).suffix.lower()])


def _image_key(name: str) -> Key | None:
    """Split, class and file name if the path ends like `train/cat/0001.jpg`."""
    parts = PurePosixPath(name).parts
    if len(parts) < 3 or parts[-3] not in COUNTS or parts[-1].startswith("."):
        return None
    if PurePosixPath(name).suffix.lower() not in _SUFFIXES:
        return None
    return parts[-3], parts[-2], parts[-1]


def _decode(path: Path, member: archives.Member) -> bytes:
    """The 3,072 bytes of one picture, rows of red, green, blue."""
    from PIL import Image

    if member.size > MAX_IMAGE_BYTES:
        raise DatasetError(
            f"{path}: {member.name!r} has {member.size:,} bytes; expected a {SIDE}x{SIDE} image"
        )
    content = member.read()
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            if image.size != (SIDE, SIDE):
                width, height = image.size
                raise DatasetError(
                    f"{path}: {member.name!r} is {width}x{height} pixels, expected {SIDE}x{SIDE}; "
                    f"resize the images first"
                )
            if image.mode not in ("RGB", "L"):
                raise DatasetError(
                    f"{path}: {member.name!r} has mode {image.mode}, expected RGB or L; convert it first"
                )
            return image.convert("RGB").tobytes()
    except DatasetError:
        raise
    except (
        Exception
    ) as error:  # on damaged bytes Pillow raises OSError, SyntaxError, ValueError, struct.error
        raise DatasetError(f"{path}: {member.name!r} cannot be decoded as a JPEG or PNG image") from error


def _from_tree(path: Path, found: _Found) -> Draft:
    names = sorted({name for _, name in found.counts})
    if not names:
        raise DatasetError(
            f"{path} holds no CIFAR-10: expected the original batches (data_batch_1 ...), "
            f"or images as train/<class>/*.jpg and test/<class>/*.jpg"
        )
    if len(names) != len(CLASSES):
        shown = ", ".join(ascii(name) for name in names[:12])
        raise DatasetError(f"{path} has {len(names)} class folders ({shown}), expected {len(CLASSES)}")
    for split, expected in COUNTS.items():
        _check_counts(path, split, [found.counts[split, name] for name in names], names, expected)
    encoding = "JPEG" if "jpeg" in found.formats else "PNG"
    title = "CIFAR-10" if tuple(names) == CLASSES else f"images of {path.name}"
    splits = {split: _ordered(split, found, names) for split in COUNTS}
    return Draft(f"{title} ({encoding})", encoding.lower(), path.name, splits, tuple(names))


def _check_counts(path: Path, split: str, counts: list[int], names: list[str], expected: int) -> None:
    if sum(counts) != expected:
        raise DatasetError(f"{path} has {sum(counts):,} {split} images, expected {expected:,}")
    for name, count in zip(names, counts, strict=True):
        if count != expected // len(names):
            raise DatasetError(
                f"{path} has {count:,} {split} images of class {name!r}, expected {expected // len(names):,}"
            )


def _ordered(split: str, found: _Found, names: list[str]) -> Examples:
    """The split's images in a fixed shuffled order.

    A tree is sorted by class, so its first 10,000 images would show two classes; and the order of the members
    in an archive must not change the checksum.
    """
    keys = sorted(key for key in found.images if key[0] == split)
    raw = np.random.Philox(key=ORDER_KEY).random_raw(len(keys))
    order = np.argsort(raw, kind="stable")
    pixels = np.empty((len(keys), SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.empty(len(keys), dtype=np.int64)
    for position, index in enumerate(order):
        key = keys[index]
        pixels[position] = np.frombuffer(found.images.pop(key), dtype=np.uint8).reshape(SIDE, SIDE, 3)
        labels[position] = names.index(key[1])
    return Examples(pixels, labels)


def _parse_batch(
    path: Path, name: str, content: bytes, *, binary: bool
) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """Pixels (N, 32, 32, 3) and labels (N,) of one batch; on disk the pixels are channel, height, width."""
    row = 3 * SIDE * SIDE
    if binary:
        if not content or len(content) % (row + 1):
            raise DatasetError(
                f"{path}: {name!r} has {len(content):,} bytes, expected a multiple of {row + 1:,}"
            )
        rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, row + 1)
        flat, labels = rows[:, 1:], rows[:, 0].astype(np.int64)
    else:
        try:
            flat, labels = cifar_pickle.loads(content, row)
        except ValueError as error:
            raise DatasetError(f"{path}: {name!r} is not a CIFAR-10 batch: {error}") from error
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise DatasetError(f"{path}: {name!r} has a label outside 0 to {len(CLASSES) - 1}")
    pixels = flat.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels), labels


def _from_batches(path: Path, found: _Found) -> Draft:
    wanted = {
        "train": [f"data_batch_{i}" for i in range(1, TRAIN_BATCHES + 1)],
        "test": ["test_batch"],
    }
    splits = {}
    for split, names in wanted.items():
        if missing := [name for name in names if name not in found.batches]:
            raise DatasetError(f"{path} has no {missing[0]}; a copy of CIFAR-10 has six batches")
        pixels = np.concatenate([found.batches[name][0] for name in names])
        labels = np.concatenate([found.batches[name][1] for name in names])
        counts: list[Any] = np.bincount(labels, minlength=len(CLASSES)).tolist()
        _check_counts(path, split, counts, list(CLASSES), COUNTS[split])
        splits[split] = Examples(pixels, labels)
    return Draft("CIFAR-10", "original", path.name, splits, CLASSES)
