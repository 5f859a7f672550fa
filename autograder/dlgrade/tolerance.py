"""The statistics of thresholds: how far from the mean one must lie, and what that promises.

A run's figure is taken as normally distributed. Its mean and deviation are known from a few seeds only,
which is why the factors here are larger than those of a normal law: they come from Student's t, central
and noncentral, integrated numerically over how far off the measured deviation may be.

Sources: Howe 1969, JASA 64:610 (one-sided tolerance bounds); Hahn and Meeker, Statistical Intervals, 1991.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from statistics import NormalDist, fmean, stdev
from typing import Final

CONFIDENCE: Final = 0.95
STEPS: Final = 2000  # of an integration; the results are good to nine digits

_NORMAL: Final = NormalDist()


def student_below(x: float, degrees: int, shift: float = 0.0) -> float:
    """Chance that Student's t, noncentral by `shift`, is below x: (Z + shift) / S with S² = chi²/degrees."""
    if degrees < 1:
        raise ValueError(f"Student's t has {degrees} degrees of freedom, expected at least 1")
    width = (1 + 10 / math.sqrt(degrees)) / STEPS
    logarithm = math.log(2) + degrees / 2 * math.log(degrees / 2) - math.lgamma(degrees / 2)
    total = 0.0
    for i in range(1, STEPS):  # Simpson's rule; the integrand is next to nothing at both ends
        s = i * width
        density = math.exp(logarithm + (degrees - 1) * math.log(s) - degrees * s * s / 2)
        total += (4 if i % 2 else 2) * density * _below(x * s - shift)
    if degrees == 1:  # the density does not vanish at 0
        total += math.exp(logarithm) * _below(-shift)
    return total * width / 3


def _below(z: float) -> float:
    """The normal law's distribution, exact in its lower tail too."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


@cache
def tolerance_factor(count: int, coverage: float = 0.9, confidence: float = CONFIDENCE) -> float:
    """Deviations below the mean of `count` values that leave `coverage` of the law above, so confidently."""
    root = math.sqrt(count)
    shift = root * _NORMAL.inv_cdf(coverage)
    return _rising(lambda k: student_below(root * k, count - 1, shift), confidence, 0.0, 1000.0)


@cache
def miss_bound(count: int, factor: float, confidence: float = CONFIDENCE) -> float:
    """Largest share of the law beyond `factor` deviations from the mean of `count` values, so confidently."""
    root = math.sqrt(count)
    within = _rising(lambda z: -student_below(root * factor, count - 1, root * z), -confidence, -9.0, 30.0)
    return _below(-within)


@cache
def prediction_factor(count: int, chance: float) -> float:
    """Deviations from the mean of `count` values beyond which one more value lies with this chance only."""
    t = _rising(lambda x: -student_below(-x, count - 1), -chance, 0.0, 1e6)
    return t * math.sqrt(1 + 1 / count)


def chance_above(values: Sequence[float], limit: float) -> float:
    """Chance that one more value of the law behind `values` lies above `limit`."""
    mean, deviation = fmean(values), stdev(values)
    if deviation == 0:
        return float(mean >= limit)
    return student_below((mean - limit) / (deviation * math.sqrt(1 + 1 / len(values))), len(values) - 1)


def _rising(function: Callable[[float], float], value: float, low: float, high: float) -> float:
    """Where a rising function takes a value, by bisection."""
    while high - low > 1e-10 * max(1.0, abs(high)):
        middle = (low + high) / 2
        if function(middle) < value:
            low = middle
        else:
            high = middle
    return (low + high) / 2
