"""Hints in steps: one at once, one more after each failed attempt; what was shown is remembered.

The memory is a small file beside the answer. It is the student's own, so it may be missing, damaged or
edited: then it starts anew, and nothing but the count of hints that an instructor reads depends on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from dlgrade.changes import dependencies
from dlgrade.errors import UsageError
from dlgrade.exercise import Exercise, Part
from dlgrade.outcome import DEFERRED, INTERNAL, MISSING, PASSED
from dlgrade.report import CheckResult, Report
from dlgrade.source import missing_parts, outline
from dlgrade.submission import Submission

FILE: Final = ".dlgrade.json"
SCHEMA: Final = 1
MOST_BYTES: Final = 1 << 16
MOST_ATTEMPTS: Final = 1_000_000


@dataclass(frozen=True)
class Trail:
    """What happened with one part so far.

    Attributes:
        attempts: checks of it that failed, those of unchanged code apart.
        shown: steps of its hints that were shown.
        code: digest of the code that was checked last.
        passed: whether that code passed every check.
    """

    attempts: int = 0
    shown: int = 0
    code: str = ""
    passed: bool = False


Trails = Mapping[str, Trail]


@dataclass(frozen=True)
class Hint:
    """The hints of a part as far as they are shown now.

    Attributes:
        steps: what to show, from the first nudge to the latest step.
        total: how many steps there are.
        fresh: whether the last of `steps` was not shown before.
        waiting: whether a next step comes after one more failed attempt.
    """

    part: str
    steps: Sequence[str]
    total: int
    fresh: bool
    waiting: bool


# ---- the memory


def read(folder: Path, exercise: Exercise) -> dict[str, Trail]:
    """The trails of an exercise's parts; of a file that is not as it must be, what can be read."""
    parts = _read_exercises(folder).get(exercise.id)
    if not isinstance(parts, dict):
        return {}
    known = {part.name: len(part.hints) for part in exercise.parts}
    found = {name: parts.get(name) for name in known}
    return {name: _trail(trail, known[name]) for name, trail in found.items() if isinstance(trail, dict)}


def write(folder: Path, exercise: Exercise, trails: Trails) -> bool:
    """Remember the trails, beside those of other exercises; False where nothing can be written there."""
    exercises = _read_exercises(folder)
    exercises[exercise.id] = {name: asdict(trail) for name, trail in trails.items()}
    text = json.dumps({"schema": SCHEMA, "exercises": exercises}, indent=1)
    fresh = folder / f"{FILE}.{os.getpid()}"
    try:
        fresh.write_text(text + "\n", encoding="utf-8")
        fresh.replace(folder / FILE)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        return False
    return True


def _read_exercises(folder: Path) -> dict[str, Any]:
    file = folder / FILE
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > MOST_BYTES:
            return {}
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    exercises = values.get("exercises") if isinstance(values, dict) else None
    return exercises if isinstance(exercises, dict) and values.get("schema") == SCHEMA else {}


def _trail(values: Mapping[str, Any], hints: int) -> Trail:
    code = values.get("code")
    return Trail(
        attempts=_between(values.get("attempts"), MOST_ATTEMPTS),
        shown=_between(values.get("shown"), hints),
        code=code if isinstance(code, str) else "",
        passed=values.get("passed") is True,
    )


def _between(value: Any, most: int) -> int:
    return min(max(value, 0), most) if type(value) is int else 0


# ---- attempts


def kept_for(submission: Submission, exercise: Exercise) -> bool:
    """Whether attempts at this answer are remembered: not in the course's own folders, which are released."""
    staff_file = exercise.staff and submission.origin.is_relative_to(exercise.root.resolve())
    return submission.problem is None and not staff_file


def note_attempts(submission: Submission, exercise: Exercise, report: Report) -> None:
    """Count the parts that this check found failing, and remember those that it found right."""
    if not kept_for(submission, exercise):
        return
    folder = submission.origin.parent
    before = read(folder, exercise)
    after = {**before, **_attempted(submission, exercise, report, before)}
    if after != before:
        write(folder, exercise, after)


def _attempted(
    submission: Submission, exercise: Exercise, report: Report, trails: Trails
) -> dict[str, Trail]:
    codes = _codes(submission, exercise)
    changed = {}
    for part in exercise.parts:
        results = [check for check in report.checks if check.part == part.name and not check.hidden]
        passed = _judged(results)
        trail = trails.get(part.name, Trail())
        if passed is None or trail.code == codes[part.name]:
            continue
        attempts = trail.attempts + (not passed)
        changed[part.name] = replace(trail, attempts=attempts, code=codes[part.name], passed=passed)
    return changed


def _judged(results: Sequence[CheckResult]) -> bool | None:
    """Whether a part passed; None where nothing was tried or it could not be judged."""
    ran = [check for check in results if check.verdict != DEFERRED]
    if not ran or any(check.verdict in (MISSING, INTERNAL) for check in ran):
        return None
    return all(check.verdict == PASSED for check in ran)


def _codes(submission: Submission, exercise: Exercise) -> dict[str, str]:
    """A digest of each part and of what it depends on."""
    found = dependencies(submission.text, [part.name for part in exercise.parts])
    return {name: hashlib.sha256(code.encode()).hexdigest()[:16] for name, code in found.items()}


# ---- hints


def next_hint(part: Part, trail: Trail) -> tuple[Hint, Trail]:
    """One step more than was shown, if an attempt has earned it; else the same steps again."""
    allowed = min(len(part.hints), 1 + trail.attempts)
    shown = max(trail.shown, min(trail.shown + 1, allowed))
    hint = Hint(
        part=part.name,
        steps=part.hints[:shown],
        total=len(part.hints),
        fresh=shown > trail.shown,
        waiting=allowed <= shown < len(part.hints),
    )
    return hint, replace(trail, shown=shown)


def show_next(submission: Submission, exercise: Exercise, name: str | None) -> tuple[Hint | None, bool]:
    """The next hint for a part, by default the first open one, and whether it could be remembered.

    The hint is None where no part is open.

    Raises:
        CourseError: the exercise has no such part.
        UsageError: the part has no hints.
    """
    folder = submission.origin.parent
    trails = read(folder, exercise)
    name = name or first_open(submission, exercise, trails)
    if name is None:
        return None, True
    part = exercise.part(name)
    if not part.hints:
        raise UsageError(f"part '{name}' of exercise '{exercise.id}' has no hints")
    hint, trail = next_hint(part, trails.get(name, Trail()))
    if not hint.fresh or not kept_for(submission, exercise):
        return hint, True
    return hint, write(folder, exercise, {**trails, name: trail})


def first_open(submission: Submission, exercise: Exercise, trails: Trails) -> str | None:
    """The first part that is a stub, was changed since it passed, or did not pass."""
    found = outline(submission.text, submission.name)
    missing = missing_parts(found, exercise)
    codes = _codes(submission, exercise)
    for part in exercise.parts:
        trail = trails.get(part.name, Trail())
        if part.name in missing or not trail.passed or trail.code != codes[part.name]:
            return part.name
    return None


def used(submission: Submission, exercise: Exercise) -> dict[str, int]:
    """How many steps were shown of each part's hints, as the student's own file tells."""
    trails = read(submission.origin.parent, exercise)
    return {name: trail.shown for name, trail in trails.items() if trail.shown}
