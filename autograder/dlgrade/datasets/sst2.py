"""The Stanford Sentiment Treebank with two classes, from TSV files `sentence<TAB>label`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from ..errors import DatasetError
from . import archives
from .records import Draft, Examples, Progress

CLASSES = ("negative", "positive")
SPLITS = ("train", "dev", "test")
HEADER = "sentence\tlabel"
GLUE_FILES = ("SST-2/train.tsv", "SST-2/dev.tsv")
MAX_BYTES = 64 << 20


def read(path: Path, progress: Progress) -> Draft:
    """Read and check a folder of train.tsv, dev.tsv and test.tsv, or the GLUE benchmark's SST-2.zip."""
    progress("reading sentences", 0, 1)
    splits = _read_glue(path) if path.is_file() else _read_folder(path)
    for split, examples in splits.items():
        if len(set(examples.labels.tolist() if examples.labels is not None else ())) < len(CLASSES):
            raise DatasetError(
                f"{path}: the {len(examples.inputs):,} rows of {split} do not have both labels 0, 1"
            )
    progress("reading sentences", 1, 1)
    return Draft("SST-2", "tsv", path.name, splits, CLASSES)


def _read_folder(folder: Path) -> dict[str, Examples]:
    if not folder.is_dir():
        raise DatasetError(f"{folder} does not exist; expected a folder with train.tsv, dev.tsv and test.tsv")
    splits = {}
    for split in SPLITS:
        path = folder / f"{split}.tsv"
        splits[split] = _examples(list(_rows(str(path), _read_bytes(path))))
    return splits


def _read_glue(path: Path) -> dict[str, Examples]:
    """GLUE keeps its test labels to itself: its dev sentences become test, a tenth of its train becomes dev.

    The tenth is chosen by each phrase's checksum, so a phrase that occurs twice stays on one side.
    """
    with closing(archives.members(path)) as members:
        files = {member.name: member.read() for member in members if member.name.endswith(GLUE_FILES)}
    found = {
        name.rpartition("/")[2]: list(_rows(f"{path}/{name}", content)) for name, content in files.items()
    }
    if missing := {"train.tsv", "dev.tsv"} - found.keys():
        raise DatasetError(f"{path} holds no {min(missing)}; expected the GLUE benchmark's SST-2.zip")
    held_out = [zlib.crc32(sentence.encode()) % 10 == 0 for sentence, _ in found["train.tsv"]]
    return {
        "train": _examples([row for row, out in zip(found["train.tsv"], held_out, strict=True) if not out]),
        "dev": _examples([row for row, out in zip(found["train.tsv"], held_out, strict=True) if out]),
        "test": _examples(found["dev.tsv"]),
    }


def _examples(rows: list[tuple[str, int]]) -> Examples:
    return Examples(
        [sentence for sentence, _ in rows], np.array([label for _, label in rows], dtype=np.int64)
    )


def _rows(where: str, content: bytes) -> Iterator[tuple[str, int]]:
    """The rows of one file, without the blanks around a sentence; `where` names the file in a refusal."""
    lines = _decode(where, content).split("\n")  # not splitlines(): a sentence may hold other line separators
    if lines[0].rstrip("\r") != HEADER:
        raise DatasetError(f"{where}:1: the header is {lines[0][:80]!r}, expected {HEADER!r}")
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines[1:], start=2):
        sentence, tab, label = line.rstrip("\r").rpartition("\t")
        if not tab or "\t" in sentence or label not in ("0", "1") or not sentence.strip():
            raise DatasetError(f"{where}:{number}: {line[:80]!r} is not a sentence, one tab, and 0 or 1")
        yield sentence.strip(), int(label)


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DatasetError(f"{path} is larger than {MAX_BYTES >> 20} MiB; is it the right file?")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist; expected train.tsv, dev.tsv and test.tsv") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error


def _decode(where: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{where}:{line}: byte 0x{content[error.start]:02x} is not UTF-8") from error
