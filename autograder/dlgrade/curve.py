"""A learning curve in one line of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

BARS: Final = "▁▂▃▄▅▆▇█"
PLAIN: Final = "_.-=*#"
MOST: Final = 60  # marks in a line; longer curves keep every so-manyth value


def sparkline(values: Sequence[float], *, ascii_only: bool = False) -> str:
    """A mark for each value, taller for a larger one, and the first and the last value."""
    marks = PLAIN if ascii_only else BARS
    kept = values[:: -(-len(values) // MOST)]
    low, span = min(kept), (max(kept) - min(kept)) or 1.0
    line = "".join(marks[min(len(marks) - 1, int((value - low) / span * len(marks)))] for value in kept)
    return f"loss by epoch: {line} {values[0]:.3g} to {values[-1]:.3g}"
