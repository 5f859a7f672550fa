"""How one check can end: the verdicts, and the exceptions that carry them to the checker.

    Outcome                       ends the running check with its `verdict`
    ├── CheckFailed               failed: a comparison did not hold
    │   └── Unmappable            failed: weights of the reference have no place in the answer
    ├── StudentRaised             raised: the student's code raised
    ├── PartMissing               missing: the stub is not filled in, or the name is absent
    ├── TimedOut                  timeout: a request or the submission outlasted its deadline
    ├── OutOfMemory               memory: the limit of the worker was reached
    └── Violation                 violation: the protocol or the isolation was broken
        └── WorkerDied            violation: the worker's process ended instead of answering

Any other exception inside a check is our own fault and becomes the verdict `internal`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PASSED: Final = "passed"
FAILED: Final = "failed"
RAISED: Final = "raised"
MISSING: Final = "missing"
BLOCKED: Final = "blocked"
TIMEOUT: Final = "timeout"
MEMORY: Final = "memory"
VIOLATION: Final = "violation"
DEFERRED: Final = "deferred"
INTERNAL: Final = "internal"

VERDICTS: Final = (
    PASSED,
    FAILED,
    RAISED,
    MISSING,
    BLOCKED,
    TIMEOUT,
    MEMORY,
    VIOLATION,
    DEFERRED,
    INTERNAL,
)


@dataclass(frozen=True)
class Frame:
    """One line of a student's traceback."""

    line: int
    function: str
    text: str


class Outcome(Exception):
    """Ends the running check; `message` is the rationale a student may read in a visible check."""

    verdict: str = FAILED

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class CheckFailed(Outcome):
    """A comparison made in the checker did not hold."""


class Unmappable(CheckFailed):
    """The reference's weights cannot be given to the answer's parameters without guessing."""


class StudentRaised(Outcome):
    """The student's code raised; `type_name` and `frames` are claims of the worker, shown only."""

    verdict = RAISED

    def __init__(self, type_name: str, message: str, frames: tuple[Frame, ...] = ()) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name
        self.frames = frames


class PartMissing(Outcome):
    """The part is still the stub, or the submission does not define it."""

    verdict = MISSING


class TimedOut(Outcome):
    """A deadline passed while the student's code was running."""

    verdict = TIMEOUT


class OutOfMemory(Outcome):
    """The worker reached its memory limit."""

    verdict = MEMORY


class Violation(Outcome):
    """Bytes from the worker did not follow the protocol, or the isolation was broken."""

    verdict = VIOLATION


class WorkerDied(Violation):
    """The worker's process ended where a reply was due."""
