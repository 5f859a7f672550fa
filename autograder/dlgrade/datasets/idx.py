"""Fashion-MNIST, or MNIST, from its four idx files, gzipped or not.

An idx file is big-endian: two zero bytes, a type (8 is an unsigned byte), the number of dimensions, each
dimension as four bytes, then the values.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError
from .records import Draft, Examples, Progress

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
COUNTS = {"train": 60_000, "test": 10_000}  # tests of the reader itself use smaller ones
PREFIXES = {"train": "train", "test": "t10k"}
SIDE = 28
FASHION_TEST_SHA256 = (
    "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a"  # of the raw test pixels
)


def read(folder: Path, progress: Progress) -> Draft:
    """Read and check the four files; images come out as (N, 28, 28)."""
    if not folder.is_dir():
        raise DatasetError(
            f"{folder} is not a folder; expected one with train-images-idx3-ubyte.gz and three more"
        )
    splits = {}
    for done, (split, prefix) in enumerate(PREFIXES.items()):
        progress("reading images", done, len(PREFIXES))
        images = _read_idx(folder, f"{prefix}-images-idx3-ubyte", (COUNTS[split], SIDE, SIDE))
        labels = _read_idx(folder, f"{prefix}-labels-idx1-ubyte", (COUNTS[split],))
        if labels.max() >= len(CLASSES):
            raise DatasetError(f"{folder}: the {split} labels go up to {labels.max()}, expected 0 to 9")
        digest = hashlib.sha256(images.tobytes()).hexdigest()  # of the test images, once the loop is done
        splits[split] = Examples(images, labels.astype(np.int64))
    progress("reading images", len(PREFIXES), len(PREFIXES))
    title = "Fashion-MNIST" if digest == FASHION_TEST_SHA256 else f"idx images {folder.name}"
    return Draft(title, "idx", folder.name, splits, CLASSES)


def _read_idx(folder: Path, stem: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    path = next((file for file in (folder / f"{stem}.gz", folder / stem) if file.is_file()), None)
    if path is None:
        raise DatasetError(f"{folder} has no {stem}.gz; expected the four idx files of Fashion-MNIST")
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    expected = len(header) + int(np.prod(shape))
    content = _unpack(path, expected)
    if content[:4] != header[:4]:
        raise DatasetError(f"{path} is not an idx file of {len(shape)} dimensions of bytes")
    if content[: len(header)] != header:
        found = struct.unpack_from(f">{len(shape)}I", content.ljust(len(header), b"\0"), 4)
        raise DatasetError(f"{path} has the shape {found}, expected {shape}")
    if len(content) != expected:
        raise DatasetError(f"{path} is damaged or truncated: its {len(content):,} bytes are not {expected:,}")
    return np.frombuffer(content, dtype=np.uint8, offset=len(header)).reshape(shape)


def _unpack(path: Path, expected: int) -> bytes:
    """The file's bytes, at most one more than expected."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return stream.read(expected + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path} is damaged or truncated ({error}); fetch or copy it again") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
