"""Where a part is written: `file:line` for the eye, and a link for terminals that can open one."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dlgrade.display import printable
from dlgrade.source import outline
from dlgrade.submission import Submission


@dataclass(frozen=True)
class Place:
    """A line of a file.

    Attributes:
        shown: `tiny.py:12`, safe to print.
        url: what a terminal opens when the text is clicked (OSC 8).
    """

    shown: str
    url: str


def definitions(submission: Submission, names: Iterable[str]) -> dict[str, Place]:
    """Where each name is defined, as far as it is; nothing for a notebook, whose lines are its cells'."""
    if submission.format != "py" or submission.problem is not None:
        return {}
    found = outline(submission.text, submission.name)
    lines = {name: definition.node.lineno for name in names if (definition := found.find(name))}
    return {name: place(submission.origin, line) for name, line in lines.items()}


def place(file: Path, line: int, environment: Mapping[str, str] = os.environ) -> Place:
    """A line of a file as a link.

    Terminals know no common way to name a line. Most open a file URL and ignore its fragment, kitty
    takes the fragment for the line, and the terminal in Visual Studio Code has a scheme of its own.
    """
    path = quote(file.absolute().as_posix())
    if environment.get("TERM_PROGRAM") == "vscode":
        url = f"vscode://file{path}:{line}"
    else:
        url = f"file://{socket.gethostname()}{path}#{line}"
    return Place(f"{printable(file.name, 120)}:{line}", url)
