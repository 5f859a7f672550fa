"""Running text for a character model: any UTF-8 file, or the prose in Python's own documentation."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import DatasetError
from .records import Draft, Examples, Progress

SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
MAX_BYTES = 256 << 20
MIN_CHARACTERS = 1_000  # below this the held-out tenth is too short for a batch


def read(path: Path, progress: Progress) -> Draft:
    """Read and check a text file; its first nine tenths are for training, the tail is held out."""
    progress("reading text", 0, 1)
    content = _read_bytes(path)
    text = _decode(path, content)
    is_shakespeare = hashlib.sha256(content).hexdigest() == SHAKESPEARE_SHA256
    title = "tiny Shakespeare" if is_shakespeare else f"text file {path.name}"
    progress("reading text", 1, 1)
    return Draft(title, "text", path.name, splits_of(text))


def splits_of(text: str) -> dict[str, Examples]:
    """The first nine tenths of the characters, and the rest."""
    cut = len(text) * 9 // 10
    return {"train": Examples(text[:cut], None), "test": Examples(text[cut:], None)}


def python_prose() -> str:
    """About 465,000 characters of English on the Python language, from the standard library."""
    from pydoc_data import topics

    return "\n".join(topics.topics[title] for title in sorted(topics.topics))


def _read_bytes(path: Path) -> bytes:
    if not path.exists():
        raise DatasetError(f"{path} does not exist; give the path of a UTF-8 text file")
    if not path.is_file():
        raise DatasetError(f"{path} is not a regular file; give the path of a UTF-8 text file")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DatasetError(f"{path} has {size:,} bytes, expected at most {MAX_BYTES >> 20} MiB of text")
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error


def _decode(path: Path, content: bytes) -> str:
    zero = content.find(b"\0")
    if zero >= 0:
        raise DatasetError(f"{path} is binary: byte {zero:,} is zero; expected UTF-8 text")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path} is not UTF-8: byte {error.start:,} is 0x{content[error.start]:02x}; convert it first"
        ) from error
    if len(text) < MIN_CHARACTERS:
        raise DatasetError(f"{path} has {len(text):,} characters, expected {MIN_CHARACTERS:,} or more")
    return text
