"""calibration.svg: what correct answers and near misses reached, and the threshold between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dlgrade.decision import LOWER
from dlgrade.page import Axis, Html, strips, svg_file

PLOT: Final = "calibration.svg"


def drawing(exercise: str, content: Mapping[str, Any]) -> str:
    """A panel for each check and data set in the content of a calibration.json."""
    pieces: list[Html] = []
    height = 0.0
    for check, by_data in content["thresholds"].items():
        for title, entry in by_data.items():
            variants, near = (
                content[section].get(check, {}).get(title, {}) for section in ("variants", "near_misses")
            )
            panel, height = _panel(check, title, entry, variants, near, height)
            pieces += panel
    return svg_file(f"{exercise}: figures behind its thresholds", pieces, height)


def _panel(
    check: str,
    title: str,
    entry: Mapping[str, Any],
    variants: Mapping[str, Sequence[float]],
    near: Mapping[str, Any],
    top: float,
) -> tuple[list[Html], float]:
    rows: list[tuple[str, str, Sequence[float]]] = [("correct answers", "one", entry.get("values", ()))]
    rows += [(f"variant: {name.replace('_', ' ')}", "one", values) for name, values in variants.items()]
    rows += [(f"mistake: {name.replace('_', ' ')}", "two", found["values"]) for name, found in near.items()]
    figures = [entry["threshold"], *(value for _, _, values in rows for value in values)]
    unit = "bits per character" if entry.get("better") == LOWER else "accuracy"
    name = f"{check.replace('_', ' ')}; {title}"
    kind = "provisional threshold" if entry.get("provisional") else "threshold"
    return strips(name, _axis(unit, figures), rows, (kind, entry["threshold"]), top)


def _axis(title: str, figures: Sequence[float]) -> Axis:
    """An axis over all figures with room at both ends, and about five round ticks."""
    span = max(figures) - min(figures) or abs(figures[0]) or 1.0
    step = _round_step(span / 4)
    low, high = min(figures) - span / 20, max(figures) + span / 20
    ticks = [round(step * i, 10) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return Axis(title, low, high, ticks)


def _round_step(about: float) -> float:
    """1, 2 or 5 times a power of ten, at least as large."""
    power = 10.0 ** math.floor(math.log10(about))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= about)
