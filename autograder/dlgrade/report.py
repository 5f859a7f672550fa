"""The records that come out: one `CheckResult` for each check, one `Report` for each submission."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from dlgrade.outcome import DEFERRED, INTERNAL, MISSING, PASSED

SCHEMA: Final = 1


@dataclass(frozen=True)
class CheckResult:
    """How one check ended for one submission."""

    id: str
    part: str
    kind: str
    title: str
    hidden: bool
    verdict: str
    points: float
    max_points: float
    message: str = ""
    help: str = ""
    diagnosis: Mapping[str, str] | None = None
    path: str | None = None
    seconds: float = 0.0
    frames: tuple[tuple[int, str, str], ...] = ()
    chance: float = 0.0
    measured: float | None = None
    better: str = "higher"  # which way `measured` is good
    baseline: float | None = None  # what an answer that learned nothing reaches
    curve: tuple[float, ...] = ()  # mean loss of each epoch of the training, by the worker's word
    spent: Mapping[str, Any] | None = None  # what the training took, measured from outside
    advice: tuple[str, ...] = ()  # what costs nothing and is worth knowing

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CheckResult:
        frames = tuple((f[0], f[1], f[2]) for f in values.get("frames", ()))
        rows = {name: tuple(values.get(name, ())) for name in ("curve", "advice")}
        return cls(**{**values, "frames": frames, **rows})


@dataclass(frozen=True)
class Report:
    """One submission's result; `to_json` is one line of the report file."""

    exercise: str
    submission: str
    student: str
    tier: str
    seed: int
    checks: tuple[CheckResult, ...]
    device: str = "cpu"
    isolation: str = "none"
    limits: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, str] | None = None
    calibration: Mapping[str, Any] | None = None
    seconds: float = 0.0
    peak_memory: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    advice: tuple[str, ...] = ()
    output: str = ""
    fault: str | None = None
    hidden_left: int = 0  # hidden checks that run at grading only
    hints: Mapping[str, int] = field(default_factory=dict)  # steps shown of each part, by the student's file
    content: Mapping[str, Any] | None = None  # what the results depend on: see `content.py`

    @classmethod
    def from_json(cls, line: str) -> Report:
        """The inverse of `to_json`.

        Raises:
            ValueError: the text is no report of this schema.
        """
        values = json.loads(line)
        if not isinstance(values, dict) or values.get("schema") != SCHEMA:
            raise ValueError(f"no report of schema {SCHEMA}")
        try:
            named = {name: values[name] for name in ("exercise", "submission", "student", *_PLAIN)}
            checks = tuple(CheckResult.from_json(check) for check in values["checks"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"no report of schema {SCHEMA}: {error}") from None
        return cls(**{**named, "advice": tuple(named["advice"]), "checks": checks})

    @property
    def counted(self) -> tuple[CheckResult, ...]:
        """The checks inside max_score: all but the deferred."""
        return tuple(check for check in self.checks if check.verdict != DEFERRED)

    @property
    def score(self) -> float:
        return sum(check.points for check in self.counted)

    @property
    def max_score(self) -> float:
        return sum(check.max_points for check in self.counted)

    @property
    def deferred_points(self) -> float:
        return sum(check.max_points for check in self.checks if check.verdict == DEFERRED)

    @property
    def complete(self) -> bool:
        """Whether every check that counts was really judged."""
        return self.fault is None and all(check.verdict != INTERNAL for check in self.checks)

    @property
    def unread(self) -> str | None:
        """Why there was nothing to grade, or None: then all checks end for the same reason."""
        reasons = {check.message if check.verdict == MISSING else None for check in self.counted}
        return reasons.pop() if len(reasons) == 1 else None

    @property
    def exit_code(self) -> int:
        if not self.complete:
            return 3
        return 0 if all(check.verdict == PASSED for check in self.counted) else 1

    def to_json(self) -> str:
        """The report as one line of strict JSON."""
        values = {
            "schema": SCHEMA,
            "exercise": self.exercise,
            "submission": self.submission,
            "student": self.student,
            "score": self.score,
            "max_score": self.max_score,
            "deferred_points": self.deferred_points,
            "complete": self.complete,
            **{name: getattr(self, name) for name in _PLAIN},
            "checks": [asdict(check) for check in self.checks],
        }
        return json.dumps(values, ensure_ascii=True, allow_nan=False)


_PLAIN: Final = (
    "tier",
    "device",
    "isolation",
    "limits",
    "data",
    "calibration",
    "seed",
    "seconds",
    "peak_memory",
    "versions",
    "advice",
    "output",
    "fault",
    "hidden_left",
    "hints",
    "content",
)
