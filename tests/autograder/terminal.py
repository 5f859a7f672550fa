"""The `dlgrade` command in a terminal of a chosen size, and what its screen shows."""

import os
import pty  # noqa: F401  fails here, with its reason, where there are no pseudo-terminals
import time
from pathlib import Path

import pexpect
import pyte

from tests.autograder.command_line import DLGRADE, environment


class Terminal:
    """One command in front of a screen of `columns` by `lines` characters."""

    def __init__(
        self, *arguments: object, cwd: Path, columns: int = 80, lines: int = 40, **changed: str
    ) -> None:
        variables = environment(TERM="xterm-256color", COLUMNS=str(columns), LINES=str(lines), **changed)
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self.screen)
        self.raw = ""
        self.echoed = False  # at the end: whether the terminal shows what is typed, as a shell leaves it
        self.child = pexpect.spawn(
            DLGRADE, [str(a) for a in arguments], cwd=str(cwd), env=variables, encoding="utf-8",
            dimensions=(lines, columns), timeout=60,
        )  # fmt: skip

    def read(self) -> bool:
        """Take what has come within a moment; False when the command has ended."""
        try:
            text = self.child.read_nonblocking(1 << 16, timeout=0.02)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += text
        self._stream.feed(text)
        return True

    def until(self, *wanted: str, seconds: float = 240.0) -> str:
        """Read until the screen shows all of `wanted`, and return the screen."""
        end = time.monotonic() + seconds
        while not all(text in self.text for text in wanted):
            if not self.read() or time.monotonic() > end:
                raise AssertionError(f"{wanted} did not come; the screen shows:\n{self.text}")
        return self.text

    @property
    def text(self) -> str:
        """The screen without what is blank at the right and below."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def press(self, key: str) -> None:
        self.child.send(key)

    def ended(self, seconds: float = 240.0) -> int:
        """Read to the end; the exit code, or the signal as a negative number."""
        end = time.monotonic() + seconds
        while self.read():
            if time.monotonic() > end:
                raise AssertionError(f"the command did not end; the screen shows:\n{self.text}")
        self.echoed = bool(self.child.getecho())
        self.child.close()
        return self.child.exitstatus if self.child.exitstatus is not None else -self.child.signalstatus


def save_by_moving(file: Path, text: str) -> None:
    """As most editors save: the new file is written beside the old and moved over it."""
    fresh = file.with_name(f".{file.name}.swp")
    fresh.write_text(text)
    os.replace(fresh, file)  # noqa: PTH105  what editors do
