"""Scratch folders of workers where there is no private file system: measured, and removed.

What lies in such a folder was made by a student's code: folders nested deeper than Python recurses or a
path can name, folders that nobody may list, a million empty files. So nothing here recurses, follows a link
or uses a path below the root: a walk holds one open folder, and goes down and up from there.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_AS_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True)
class Usage:
    """Bytes on disk and number of entries; both stop growing once they are above what was allowed."""

    size: int
    entries: int


def make(parent: str) -> Path:
    """A new folder that others may pass through to what they were granted."""
    path = Path(tempfile.mkdtemp(dir=parent, prefix="scratch-"))
    path.chmod(0o711)
    return path


@contextlib.contextmanager
def folder(parent: str) -> Iterator[Path]:
    """The same, removed at the end."""
    path = make(parent)
    try:
        yield path
    finally:
        remove(path)


class _Place:
    """The one folder that a walk is in."""

    def __init__(self, root: Path) -> None:
        self._fd = os.open(root, _AS_FOLDER)

    def entries(self) -> Iterator[os.DirEntry[str]]:
        """What is here; nothing where it cannot be listed."""
        with contextlib.suppress(OSError), os.scandir(self._fd) as found:
            yield from found

    def enter(self, name: str) -> bool:
        """Go down into a folder, made accessible if need be; False where that does not work."""
        for attempt in range(2):
            try:
                self._move(name)
                return True
            except PermissionError:
                if attempt:
                    return False
                with contextlib.suppress(OSError):
                    os.chmod(name, 0o700, dir_fd=self._fd)
            except OSError:
                return False
        return False

    def leave(self) -> None:
        self._move("..")

    def unlink(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._fd)

    def rmdir(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=self._fd)

    def _move(self, name: str) -> None:
        inner = os.open(name, _AS_FOLDER, dir_fd=self._fd)
        os.close(self._fd)
        self._fd = inner

    def close(self) -> None:
        os.close(self._fd)


def usage(root: Path, most_bytes: int, most_entries: int) -> Usage:
    """What the files below `root` take; the walk ends as soon as either limit is passed."""
    size = entries = 0
    below: list[list[str]] = []  # folders still to see, at each level above the present place
    with contextlib.closing(_Place(root)) as place:
        while True:
            folders = []
            for entry in place.entries():
                entries += 1
                with contextlib.suppress(OSError):  # it was removed in between
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    folders += [entry.name] if entry.is_dir(follow_symlinks=False) else []
                if size > most_bytes or entries > most_entries:
                    return Usage(size, entries)
            below.append(folders)
            if not _next_below(place, below):
                return Usage(size, entries)


def _next_below(place: _Place, below: list[list[str]]) -> bool:
    """Move on to the next folder of the walk; False at its end."""
    while below:
        while below[-1]:
            if place.enter(below[-1].pop()):
                return True
        below.pop()
        if below:
            place.leave()
    return False


def remove(root: Path) -> None:
    """Delete a tree of any depth; what cannot be deleted stays, with what is above it."""
    names: list[str] = []
    stuck: set[int] = set()
    with contextlib.suppress(FileNotFoundError), contextlib.closing(_Place(root)) as place:
        while True:
            if inner := _emptied(place, stuck):
                names.append(inner)
            elif names:
                place.leave()
                place.rmdir(names.pop())
            else:
                break
    with contextlib.suppress(OSError):
        root.rmdir()


def _emptied(place: _Place, stuck: set[int]) -> str | None:
    """Delete the files here, and go down into the first folder that was not tried yet: its name."""
    for entry in place.entries():
        if not entry.is_dir(follow_symlinks=False):
            place.unlink(entry.name)
        elif entry.inode() not in stuck:
            stuck.add(entry.inode())  # if it is met again, it could not be deleted
            if place.enter(entry.name):
                return entry.name
            place.rmdir(entry.name)
    return None
