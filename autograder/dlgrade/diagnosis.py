"""Names the mistake behind a failed check, by comparing what was seen with known wrong answers.

A mistake matches when everything that both runs of the check observed agrees within tolerance, and
something that they agree on is at least a hundred tolerances away from what the reference shows. Where
both raised before there was any such thing, the exceptions must say the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch

from dlgrade.observation import Observation, Seen, recording
from dlgrade.outcome import RAISED, Outcome, StudentRaised

FAR: Final = 100.0
MAX_SAID: Final = 200


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
            note_ending(seen, outcome)
    return seen


def note_ending(seen: Seen, outcome: Outcome) -> None:
    """Keep the verdict; where the answer raised also the exception's type, and its words without numbers."""
    seen.ending = outcome.verdict
    if isinstance(outcome, StudentRaised):
        seen.ending += f" {outcome.type_name}"
        seen.said = re.sub(r"[\d.]+", "#", outcome.message)[:MAX_SAID]


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
    return bool(apart) or (mistake.ending.startswith(RAISED) and seen.said == mistake.said)


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
