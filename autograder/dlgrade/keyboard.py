"""Single keys from a terminal, without waiting for Enter; none where there is no terminal to ask."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

if sys.platform != "win32":
    import termios
    import tty


class Keys:
    """Keys that were pressed; with no descriptor there are none, and waiting is sleeping."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._waiting = ""

    @property
    def usable(self) -> bool:
        return self._descriptor is not None

    def pressed(self, seconds: float) -> str:
        """The next key, in lower case, or "" when none is pressed within that time."""
        if not self._waiting:
            self._waiting = self._read(seconds)
        key, self._waiting = self._waiting[:1], self._waiting[1:]
        return key.lower()

    def _read(self, seconds: float) -> str:
        if self._descriptor is None:
            time.sleep(seconds)
            return ""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return ""
        data = os.read(self._descriptor, 64)
        if not data:
            self._descriptor = None  # the terminal is gone
        text = data.decode("utf-8", "ignore")
        return "" if "\x1b" in text else text  # an arrow or function key: its letters are no keys


@contextmanager
def opened(stream: TextIO) -> Iterator[Keys]:
    """The keys of a terminal, which echoes nothing meanwhile; Ctrl-C keeps its meaning."""
    if sys.platform == "win32" or not _in_foreground(stream):
        yield Keys(None)
        return
    descriptor = stream.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield Keys(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _in_foreground(stream: TextIO) -> bool:
    """Whether this process may change the terminal: one in the background would be stopped for trying."""
    try:
        return stream.isatty() and os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # closed, or a terminal of another session
        return False
