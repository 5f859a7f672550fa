"""What a worker's report of an error means to a check: one of the outcomes, in a sentence for the student."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dlgrade.outcome import CheckFailed, Frame, OutOfMemory, StudentRaised, Violation

_LIMITS: Final = {  # kinds of errors by which a worker reports a limit, and how to say it
    "memory": ("memory_bytes", "memory"),
    "scratch": ("scratch_bytes", "temporary files"),
    "threads": ("threads", "threads"),
    "files": ("open_files", "open files"),
}


def outcome_of(error: Any, doing: str, limits: Mapping[str, Any]) -> Exception:
    """The outcome that a worker's error report describes; every field of it is a claim."""
    if not isinstance(error, dict):
        return Violation("an error came without a description")
    message, kind = str(error.get("message", ""))[:4000], error.get("kind")
    if kind == "unsendable":
        return CheckFailed(f"the result cannot be graded: {message}")
    if isinstance(kind, str) and kind in _LIMITS:
        setting, what = _LIMITS[kind]
        sentence = f"used more than {_amount(limits.get(setting), what)} while {doing}: {message}"
        return OutOfMemory(f"out of memory: {sentence}") if kind == "memory" else Violation(sentence)
    given = error.get("frames")
    frames = tuple(
        Frame(frame[0], str(frame[1])[:100], str(frame[2])[:200])
        for frame in (given if isinstance(given, list) else [])[:8]
        if isinstance(frame, list) and len(frame) == 3 and type(frame[0]) is int
    )
    return StudentRaised(str(error.get("type", "Exception"))[:100], message, frames)


def _amount(limit: Any, what: str) -> str:
    if not isinstance(limit, int):
        return f"the {what} there is"
    if what not in ("memory", "temporary files"):
        return f"{limit} {what}"
    return f"{limit / (1 << 30):.3g} GB of {what}" if limit >= 1 << 30 else f"{limit >> 20} MB of {what}"
