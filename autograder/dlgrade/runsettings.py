"""What one run of the grader is about; the same for all its submissions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PUBLISHED_SEED: Final = 2017  # of the recorded answers, so that a student's run can be repeated


@dataclass(frozen=True)
class RunSettings:
    """Settings that both the supervisor and the checker read.

    Attributes:
        tier: quick, cpu or gpu; checks of a later tier are deferred.
        seed: secret when grading, the published one for a student.
        part: grade this part only; the others are deferred.
        threads: for torch in a worker.
        mode: of isolation: full, core or none.
        device: where accuracy checks train: cpu or cuda.
        measure: for calibration: one run of each accuracy check, and no threshold.
    """

    tier: str
    seed: int
    part: str | None = None
    threads: int = 1
    mode: str = "core"
    device: str = "cpu"
    measure: bool = False
