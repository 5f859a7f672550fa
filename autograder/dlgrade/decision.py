"""How a threshold is set and how it decides: up to three independent runs, stopping as soon as it is plain.

A run that reaches the threshold passes. One so far off that a correct answer gets there less than once in
a million times fails at once. In between the answer is trained again with a fresh seed, up to three times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Final

from dlgrade import tolerance

HIGHER: Final = "higher"
LOWER: Final = "lower"
RUNS: Final = 3
ENOUGH_SEEDS: Final = 12
COVERAGE: Final = 0.9  # of a correct answer's runs that reach the threshold, at 95 % confidence
PROVISIONAL_FACTOR: Final = 5.0
HOPELESS: Final = 1e-6  # chance that a correct answer's run lies beyond the mark that ends the decision
DIGITS: Final = 4
NOT_ON_A_GPU: Final = "no figure was measured on a GPU"


@dataclass(frozen=True)
class Rule:
    """A measured threshold, the mark beyond which no second run is needed, and what correct answers reach.

    Attributes:
        threshold: a run that reaches it passes.
        hopeless: a run beyond it fails the answer at once; None where that was not measured.
        usual: the worst and the best figure measured, as (low, high); None where they were not kept.
        better: which way figures are good.
    """

    threshold: float
    hopeless: float | None = None
    usual: tuple[float, float] | None = None
    better: str = HIGHER

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Rule:
        """The rule of an entry in calibration.json."""
        values, hopeless = entry.get("usual") or entry.get("values"), entry.get("hopeless")
        return cls(
            float(entry["threshold"]),
            None if hopeless is None else float(hopeless),
            (min(values), max(values)) if values else None,
            entry.get("better", HIGHER),
        )

    def passes(self, figure: float) -> bool:
        return not worse(figure, self.threshold, self.better)

    def is_hopeless(self, figure: float) -> bool:
        return self.hopeless is not None and worse(figure, self.hopeless, self.better)


def gpu_key(title: str) -> str:
    """What a threshold on this data is filed under when it was measured on a GPU."""
    return f"{title}, on a GPU"


def entry_for(thresholds: Mapping[str, Any], title: str, device: str) -> Mapping[str, Any] | None:
    """A check's entry for this data; on a GPU the one that was measured on a GPU, else the CPU's."""
    found = thresholds.get(gpu_key(title)) if device != "cpu" else None
    found = found or thresholds.get(title)
    return found if isinstance(found, Mapping) and "threshold" in found else None


def worse(figure: float, mark: float, better: str) -> bool:
    """Whether a figure is on the wrong side of a mark; a figure that is no number is."""
    return not (figure <= mark if better == LOWER else figure >= mark)


def best(figures: Sequence[float], better: str) -> float:
    return min(figures) if better == LOWER else max(figures)


def set_by(values: Sequence[float], better: str) -> dict[str, Any]:
    """Threshold, mark and bound that the figures of correct answers lead to, for calibration.json.

    From twelve figures on, nine in ten runs of a correct answer reach the threshold, so three runs all miss
    it at most once in a thousand times. Fewer make it provisional, five deviations from the mean.
    """
    count, mean, deviation = len(values), fmean(values), stdev(values)
    provisional = count < ENOUGH_SEEDS
    factor = PROVISIONAL_FACTOR if provisional else tolerance.tolerance_factor(count, COVERAGE)
    sign = 1 if better == LOWER else -1
    mark = max(factor, tolerance.prediction_factor(count, HOPELESS))
    miss = tolerance.miss_bound(count, factor)
    return {
        "threshold": round(mean + sign * factor * deviation, DIGITS),
        "better": better,
        "provisional": provisional,
        "rule": f"mean {'+' if sign > 0 else '-'} {factor:.3g} standard deviations of {count} seeds",
        "false_fail": float(f"{miss**RUNS + RUNS * HOPELESS:.2g}"),
        "hopeless": round(mean + sign * mark * deviation, DIGITS),
        "mean": round(mean, DIGITS),
        "deviation": round(deviation, DIGITS),
        "values": [round(value, DIGITS) for value in values],
    }


def lenient(rule: Mapping[str, Any], variants: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """The rule with the threshold that every correct design reaches, not only the one it was made from.

    Each variant's figures give a threshold with the same bound; the easiest of all of them holds. So does
    the mark beyond which no second run is needed.

    Args:
        rule: of `set_by`, for the full answer.
        variants: figures of each correct variant by name.
    """
    better = rule["better"]
    sign = 1 if better == LOWER else -1
    found = dict(rule)
    for name, values in variants.items():
        count, mean, deviation = len(values), fmean(values), stdev(values)
        factor = tolerance.tolerance_factor(count, COVERAGE)
        mark = max(factor, tolerance.prediction_factor(count, HOPELESS))
        threshold = round(mean + sign * factor * deviation, DIGITS)
        if worse(threshold, found["threshold"], better):
            by = f"mean {'+' if sign > 0 else '-'} {factor:.3g} standard deviations of {count} seeds"
            found |= {"threshold": threshold, "rule": f"{by} of the variant {name.replace('_', ' ')}"}
        hopeless = round(mean + sign * mark * deviation, DIGITS)
        if worse(hopeless, found["hopeless"], better):
            found["hopeless"] = hopeless
    every = [*rule["values"], *(round(value, DIGITS) for values in variants.values() for value in values)]
    return {**found, "usual": [min(every), max(every)]} if variants else found


def power(values: Sequence[float], threshold: float, better: str) -> float:
    """Lower bound of the chance that the decision fails an answer whose runs gave these figures.

    It passes if one of up to three runs reaches the threshold, so at most with three times the chance of one.
    """
    sign = -1 if better == LOWER else 1
    reached = tolerance.chance_above([sign * value for value in values], sign * threshold)
    return max(0.0, 1 - RUNS * reached)
