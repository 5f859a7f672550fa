"""Scratch folders of workers where there is no private file system: measured, and removed.

What lies in such a folder was made by a student's code: folders nested deeper than Python recurses,
folders that nobody may enter, a million empty files. Nothing here follows a link or recurses.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """Bytes on disk and number of entries; both stop growing once they are above what was allowed."""

    size: int
    entries: int


@contextlib.contextmanager
def folder(parent: str) -> Iterator[Path]:
    """A new folder that others may pass through to what they were granted; removed at the end."""
    path = Path(tempfile.mkdtemp(dir=parent, prefix="scratch-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        remove(path)


def usage(root: Path, most_bytes: int, most_entries: int) -> Usage:
    """What the files below `root` take; the walk ends as soon as either limit is passed."""
    size = entries = 0
    todo = [root]
    while todo:
        for entry in _entries(todo.pop()):
            entries += 1
            with contextlib.suppress(OSError):  # it was removed in between
                size += entry.stat(follow_symlinks=False).st_blocks * 512
            if size > most_bytes or entries > most_entries:
                return Usage(size, entries)
            if entry.is_dir(follow_symlinks=False):
                todo.append(Path(entry.path))
    return Usage(size, entries)


def remove(root: Path) -> None:
    """Delete a tree of any depth: each folder is first moved up beside the others, so paths stay short."""
    todo, count, mark = [root], 0, secrets.token_hex(8)  # a name that nothing in there has
    while todo:
        place = todo.pop()
        with contextlib.suppress(OSError):
            place.chmod(0o700)
        for entry in _entries(place):
            with contextlib.suppress(OSError):
                if not entry.is_dir(follow_symlinks=False):
                    Path(entry.path).unlink()
                    continue
                count += 1
                moved = root / f"{mark}-{count}"
                with contextlib.suppress(OSError):
                    Path(entry.path).chmod(0o700)  # a folder is moved by those who may write to it
                Path(entry.path).rename(moved)
                todo.append(moved)
        if place != root:
            with contextlib.suppress(OSError):
                place.rmdir()
    with contextlib.suppress(OSError):
        root.rmdir()


def _entries(place: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as found:
            return list(found)
    except OSError:
        return []
