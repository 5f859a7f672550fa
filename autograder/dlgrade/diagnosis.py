"""Names the mistake behind a failed check, by comparing what was seen with known wrong answers.

A mistake matches when everything that both runs of the check observed agrees within tolerance, and
something that they agree on is at least a hundred tolerances away from what the reference shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch

from dlgrade.observation import Observation, Seen, recording
from dlgrade.outcome import Outcome, StudentRaised

FAR: Final = 100.0


@dataclass(frozen=True)
class Suspect:
    """A known mistake and what one check sees of it."""

    name: str
    sentence: str
    seen: Seen


def run_check(function: Callable[..., Any], fixtures: Mapping[str, Any]) -> Seen:
    """Run a check on an answer in this process and keep what it observed and how it ended."""
    with recording() as seen:
        try:
            function(**fixtures)
        except Outcome as outcome:
            seen.ending = ending(outcome)
    return seen


def ending(outcome: Outcome) -> str:
    """The verdict, with the exception's type where the answer raised."""
    return f"{outcome.verdict} {outcome.type_name}" if isinstance(outcome, StudentRaised) else outcome.verdict


def diagnose(seen: Seen, reference: Seen, suspects: Iterable[Suspect]) -> Suspect | None:
    """The one mistake that explains what was seen, or None when there is none or more than one."""
    found = [suspect for suspect in suspects if matches(seen, suspect.seen, reference)]
    return found[0] if len({suspect.sentence for suspect in found}) == 1 else None


def matches(seen: Seen, mistake: Seen, reference: Seen) -> bool:
    """Whether a run looks like the mistake's and unlike the reference's."""
    if seen.ending != mistake.ending:
        return False
    ours, theirs = _by_name(seen), _by_name(mistake)
    if ours.keys() != theirs.keys():
        return False
    if not all(_near(ours[name], theirs[name], 1.0) for name in ours):
        return False
    right = _by_name(reference)
    apart = [name for name in theirs if name not in right or not _near(theirs[name], right[name], FAR)]
    return bool(apart) or mistake.ending.startswith("raised")


def _by_name(seen: Seen) -> dict[str, Observation]:
    counted: dict[str, int] = {}
    named = {}
    for observation in seen.observations:
        counted[observation.name] = counted.get(observation.name, 0) + 1
        named[f"{observation.name} #{counted[observation.name]}"] = observation
    return named


def _near(first: Observation, second: Observation, factor: float) -> bool:
    if first.value.shape != second.value.shape:
        return False
    tolerance = factor * max(first.tolerance, second.tolerance, 1e-12)
    both_finite = torch.isfinite(first.value) & torch.isfinite(second.value)
    if not bool(both_finite.all()):
        return bool(torch.equal(torch.isfinite(first.value), torch.isfinite(second.value)))
    return float((first.value - second.value).abs().max()) <= tolerance if first.value.numel() else True
