"""The folder of one run below the system's temporary one, also removed where its owner could not do it.

Whoever makes such a folder holds a lock on it, which the kernel drops with the process. The next run
removes what nobody holds: what a killed grader left.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
import time
import weakref
from pathlib import Path
from typing import Final

from dlgrade import scratch

PREFIX: Final = "dlgrade-run-"
YOUNG_SECONDS: Final = 60.0  # a folder may not be locked yet


class RunFolder:
    """A new folder that others may pass through to what they were granted; `close` removes it."""

    def __init__(self) -> None:
        sweep(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.path.chmod(0o711)
        self.close = weakref.finalize(self, _discard, self.path, _lock(self.path))


def sweep(parent: Path) -> None:
    """Remove the folders of runs of this user whose process is gone."""
    if sys.platform == "win32":
        return
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            if ours and time.time() - found.st_mtime > YOUNG_SECONDS and (lock := _lock(folder)) is not None:
                _discard(folder, lock)


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock for as long as it is open; None where somebody else does."""
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _discard(folder: Path, lock: int | None) -> None:
    scratch.remove(folder)  # what a worker left in it may be deeper than Python recurses
    if lock is not None:
        os.close(lock)
