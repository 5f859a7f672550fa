"""The table of all thresholds in docs/thresholds.md, generated from the exercises' calibration.json files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

from dlgrade import calibration
from dlgrade.calibration_plot import PLOT
from dlgrade.course import Course
from dlgrade.decision import LOWER, NOT_ON_A_GPU
from dlgrade.errors import UsageError

BEGIN: Final = "<!-- thresholds: written by 'dlgrade calibrate --table' -->"
END: Final = "<!-- end of thresholds -->"
HEAD: Final = (
    "| exercise, check and data | full answer and correct variants: mean ± sd (lowest to highest), seeds |"
    " threshold | a correct answer fails | near misses: mean, power | one training |"
)


def table(course: Course, beside: Path) -> str:
    """The table as Markdown, with a row for each exercise, accuracy check and data set, and the drawings.

    Args:
        beside: the file that it is written into, where links start from.
    """
    rows = [row for name in course.exercises() for row in _rows(course, name)]
    contents = [calibration.read(course.exercise(name)) for name in course.exercises()]
    entries = [e for content in contents for data in content["thresholds"].values() for e in data.values()]
    on_gpu = any(entry.get("tier") == "gpu" for entry in entries)
    note = "" if on_gpu else f"\n{NOT_ON_A_GPU[0].upper() + NOT_ON_A_GPU[1:]}.\n"
    return "\n".join([HEAD, "|---|---|---|---|---|---|", *rows, note, *_drawings(course, beside)]).rstrip()


def _drawings(course: Course, beside: Path) -> Iterator[str]:
    for name in course.exercises():
        file = course.exercise(name).folder / PLOT
        if file.is_file():
            link = os.path.relpath(file, beside.resolve().parent)
            yield f"![figures behind the thresholds of {name}]({link})"


def write(course: Course, file: Path) -> bool:
    """Bring the table in a file up to date, between its two marks; whether anything changed.

    Raises:
        UsageError: the file cannot be read or has no marks.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise UsageError(f"{file} has no place for the table; write '{BEGIN}' and '{END}', a line each")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    changed = f"{head}{BEGIN}\n\n{table(course, file)}\n\n{END}{tail}"
    file.write_text(changed, encoding="utf-8")
    return changed != text


def _rows(course: Course, name: str) -> Iterator[str]:
    content = calibration.read(course.exercise(name))
    for check, by_data in content["thresholds"].items():
        for title, entry in by_data.items():
            variants, near = (
                content[section].get(check, {}).get(title, {}) for section in ("variants", "near_misses")
            )
            what = f"`{name}`<br>{check.replace('_', ' ')}<br>{title}"
            yield "| " + " | ".join([what, *_cells(entry, variants, near)]) + " |"


def _cells(
    entry: Mapping[str, Any], variants: Mapping[str, Sequence[float]], near: Mapping[str, Any]
) -> list[str]:
    shown, unit = (_bits, " bits") if entry.get("better") == LOWER else (_percent, " %")
    values = entry["values"]
    spread = f"{shown(entry['mean'])} ± {shown(entry['deviation'])}{unit}"
    between = f"({shown(min(values))} to {shown(max(values))}), {len(values)}"
    side = "at most" if entry.get("better") == LOWER else "at least"
    kind = ", provisional" if entry["provisional"] else ""
    return [
        "<br>".join([f"{spread} {between}", *(_variant(*item, shown, unit) for item in variants.items())]),
        f"{side} {shown(entry['threshold'])}{unit}{kind}",
        f"{entry['false_fail']:.1g} of decisions" if "false_fail" in entry else "not known",
        "<br>".join(_near_miss(mistake, found, shown, unit) for mistake, found in near.items()) or "none",
        _cost(entry),
    ]


def _cost(entry: Mapping[str, Any]) -> str:
    """What a training of the answer takes: processor or GPU time, which other work does not lengthen."""
    if seconds := entry.get("gpu_seconds"):
        return f"{seconds:.0f} s of {entry['device']}"
    return f"{entry.get('cpu_seconds', 0):.0f} s of processor time"


def _variant(name: str, values: Sequence[float], shown: Any, unit: str) -> str:
    between = f"({shown(min(values))} to {shown(max(values))}), {len(values)}"
    return f"{name.replace('_', ' ')}: {shown(fmean(values))} ± {shown(stdev(values))}{unit} {between}"


def _near_miss(name: str, found: Mapping[str, Any], shown: Any, unit: str) -> str:
    mean = sum(found["values"]) / len(found["values"])
    return f"{name.replace('_', ' ')}: {shown(mean)}{unit}, at least {found['power']:.1%} caught"


def _percent(figure: float) -> str:
    return f"{100 * figure:.1f}"


def _bits(figure: float) -> str:
    return f"{figure:.3f}"
