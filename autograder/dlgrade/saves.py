"""Notices that a file was saved, however editors do it: in place, in pieces, or moved over the old one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

QUIET_SECONDS: Final = 0.04  # between the last piece of a save and the look at it
GONE_SECONDS: Final = 1.0  # that a file may be away while an editor replaces it

Signature = tuple[tuple[int, int, int] | None, ...]


class Saves:
    """Watches files by asking for their size, time and number: no system's notices are needed."""

    def __init__(self, files: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self._files = tuple(files)
        self._clock = clock
        self._known = self._last = self._signature()
        self._since = clock()

    def settled(self) -> bool:
        """Whether the files differ from what they were when this was last true, and have come to rest."""
        now, signature = self._clock(), self._signature()
        if signature != self._last:
            self._last, self._since = signature, now
        quiet = QUIET_SECONDS if any(signature) else GONE_SECONDS
        if self._last == self._known or now - self._since < quiet:
            return False
        self._known = self._last
        return True

    def _signature(self) -> Signature:
        return tuple(_signature_of(file) for file in self._files)


def _signature_of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
