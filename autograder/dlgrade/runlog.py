"""The trainings that a calibration has finished, a line of JSON each, so that a broken one goes on.

A line is appended in one write as soon as a training has ended; one that was cut short is skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

NAME: Final = "calibration.log.jsonl"


@dataclass(frozen=True)
class Trial:
    """One finished training and what it led to.

    Attributes:
        key: of everything that figure depends on but the seed.
        subject: "answer", or the name of a mistake.
        seed: of the run.
        figure: what the threshold is about.
        better: which way that figure is good.
        baseline: what an answer that learned nothing reaches.
        seconds: wall clock, with the predictions on held-out examples.
        spent: what the training took, as the report has it.
        curve: mean loss of each epoch.
    """

    key: str
    subject: str
    seed: int
    figure: float
    better: str
    baseline: float
    seconds: float
    spent: dict[str, Any]
    curve: tuple[float, ...] = ()


class RunLog:
    """The log of one exercise."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def trials(self, key: str, subject: str) -> list[Trial]:
        """What is known of a subject, in the order in which it was measured."""
        return [trial for trial in self._all() if (trial.key, trial.subject) == (key, subject)]

    def add(self, trial: Trial) -> None:
        """Append one line, and have it on the disk before returning."""
        handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            os.write(handle, (b"\n" if torn else b"") + json.dumps(asdict(trial)).encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)

    def forget(self, key: str) -> None:
        """Drop what is known under a key."""
        kept = [json.dumps(asdict(trial)) + "\n" for trial in self._all() if trial.key != key]
        draft = self._file.with_suffix(".draft")
        draft.write_text("".join(kept), encoding="utf-8")
        draft.replace(self._file)

    def _all(self) -> Iterator[Trial]:
        if not self._file.is_file():
            return
        for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                values = json.loads(line)
                yield Trial(**{**values, "curve": tuple(values["curve"])})
            except (ValueError, TypeError, KeyError):  # cut short by a kill, or of another version
                continue
