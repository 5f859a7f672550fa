"""`dlgrade report`: what an instructor reads of a graded cohort, as one page without network or scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Final

from dlgrade.errors import UsageError
from dlgrade.item_analysis import Analysis, Item, Training, analyse
from dlgrade.page import Axis, Html, bars, dots, element, lines, page, section, table
from dlgrade.results import reports_in

BINS: Final = 10
SLOWEST: Final = 10
NAMED: Final = 12  # students named for one mistake
WEAK: Final = 0.2  # below this correlation a check hardly tells students apart


def write_report(folder: Path, file: Path | None = None) -> Path:
    """Write the page of a results folder; returns where.

    Raises:
        UsageError: there are no results in the folder.
    """
    analysis = analyse(reports_in(folder))
    if not analysis.rows:
        raise UsageError(f"no reports in '{folder}'; expected what 'dlgrade grade --out {folder}' writes")
    file = file or folder / "report.html"
    file.write_text(cohort_page(analysis), encoding="utf-8")
    return file


def cohort_page(analysis: Analysis) -> str:
    """The whole page."""
    items = analysis.items()
    return page(
        f"{analysis.exercise}: results",
        element("h1", f"{analysis.exercise}: results of {len(analysis.rows)} submissions"),
        _summary(analysis),
        _faults(analysis),
        _unread(analysis),
        _scores(analysis),
        _checks(items),
        _mistakes(analysis),
        _trainings(analysis),
        _hints(analysis),
        _slowest(analysis),
    )


def _summary(analysis: Analysis) -> Html:
    judged = analysis.judged
    if not judged:
        return element("p", "No submission could be judged.", class_="bad")
    scores = [row.score for row in judged]
    whole = sum(row.whole for row in judged)
    return element(
        "p",
        f"Tier {analysis.tier}. {whole} of {len(judged)} passed every check ({whole / len(judged):.0%})."
        f" Mean score {mean(scores):.1f}, median {median(scores):g}, of {judged[0].max_score:g}.",
    )


def _faults(analysis: Analysis) -> Html:
    rows = [(row.submission, row.problem) for row in analysis.rows if not row.complete]
    if not rows:
        return element("p", "The grader judged every submission.", class_="good")
    note = element(
        "p", "Not judged, by the grader's own fault; the next run grades them again:", class_="bad"
    )
    return section("Grader faults", note, table(("submission", "what happened"), rows))


def _unread(analysis: Analysis) -> Html:
    rows = [(row.submission, row.unread) for row in analysis.judged if row.unread]
    if not rows:
        return Html("")
    return section("Nothing to grade", table(("submission", "why it has 0 points"), rows))


def _scores(analysis: Analysis) -> Html:
    judged = analysis.judged
    if not judged:
        return Html("")
    most = max(row.max_score for row in judged) or 1
    heights = [0] * BINS
    for row in judged:
        heights[min(BINS - 1, int(row.score / most * BINS))] += 1
    x = Axis("score", 0, most, [most * i / 5 for i in range(6)])
    legend = f"submissions of {len(judged)}"
    return section("Scores", bars("distribution of scores", legend, x, _counts(max(heights)), heights))


def _counts(most: int) -> Axis:
    step = max(1, math.ceil(most / 4))
    return Axis("submissions", 0, step * math.ceil(most / step) or 1, range(0, most + 1, step))


def _checks(items: Sequence[Item]) -> Html:
    if not items:
        return Html("")
    placed = [item for item in items if item.discrimination is not None]
    groups = [
        ("tells students apart", [_point(item) for item in placed if (item.discrimination or 0) >= WEAK]),
        ("hardly does", [_point(item) for item in placed if (item.discrimination or 0) < WEAK]),
    ]
    x = Axis("difficulty: share that did not pass", 0, 1, (0, 0.25, 0.5, 0.75, 1))
    y = Axis("discrimination", -1, 1, (-1, -0.5, 0, 0.5, 1))
    rows = [
        (
            item.part,
            item.title,
            item.points,
            f"{item.passed} of {item.judged}",
            round(item.difficulty, 2),
            _told(item),
        )
        for item in items
    ]
    head = ("part", "check", "points", "passed", "difficulty", "discrimination")
    note = (
        "Discrimination is the correlation of passing a check with the score on all others (point-biserial)."
    )
    drawing = dots("difficulty and discrimination of each check", x, y, groups)
    return section("Checks", element("p", note, class_="quiet"), drawing, table(head, rows))


def _point(item: Item) -> tuple[float, float, str]:
    return item.difficulty, item.discrimination or 0.0, f"{item.part}: {item.title}"


def _told(item: Item) -> object:
    return round(item.discrimination, 2) if item.discrimination is not None else "no spread"


def _mistakes(analysis: Analysis) -> Html:
    ranked = sorted(analysis.mistakes.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    if not ranked:
        return section("Mistakes", element("p", "No answer behaved like a known mistake."))
    rows = [(part, name, text, len(who), _names(who)) for (part, name, text), who in ranked]
    return section("Mistakes", table(("part", "mistake", "what it is", "students", "who"), rows))


def _names(who: set[str]) -> str:
    first = sorted(who)[:NAMED]
    return ", ".join(first) + (f" and {len(who) - NAMED} more" if len(who) > NAMED else "")


def _trainings(analysis: Analysis) -> Html:
    drawn = {title: each for title, each in analysis.trainings.items() if any(_is_drawn(one) for one in each)}
    if not drawn:
        return Html("")
    note = element(
        "p", "Mean loss of each epoch, by the submissions' own word; nothing is scored by it.", class_="quiet"
    )
    return section("Training", note, *(_curves(title, each) for title, each in sorted(drawn.items())))


def _is_drawn(training: Training) -> bool:
    """A line needs two ends, and places that a plot has."""
    return len(training.curve) > 1 and all(map(math.isfinite, training.curve))


def _curves(title: str, trainings: Sequence[Training]) -> Html:
    drawn = [training for training in trainings if _is_drawn(training)]
    groups = [
        (legend, [(each.curve, each.submission) for each in drawn if each.passed is passed])
        for legend, passed in (("reached the threshold", True), ("did not", False))
    ]
    losses = sorted(loss for each in drawn for loss in each.curve)
    most = max(
        losses[int(0.99 * (len(losses) - 1))], 1e-6
    )  # one loss that explodes leaves room for the others
    epochs = max(len(each.curve) for each in drawn)
    step = max(1, math.ceil(epochs / 8))
    x = Axis("epoch", 1, epochs, range(1, epochs + 1, step))
    return element("div", element("h3", title), lines(f"losses: {title}", x, _losses(most), groups))


def _losses(most: float) -> Axis:
    """From 0 to at least `most`, in steps of 1, 2 or 5 times a power of ten."""
    rough = most / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    count = math.ceil(most / step - 1e-9)
    return Axis("loss", 0, step * count, [step * i for i in range(count + 1)])


def _hints(analysis: Analysis) -> Html:
    taken = sorted((row for row in analysis.rows if row.hints), key=lambda row: -row.hints)
    if not taken:
        return Html("")
    return section(
        "Hints", table(("submission", "steps shown"), [(row.submission, row.hints) for row in taken])
    )


def _slowest(analysis: Analysis) -> Html:
    rows = sorted(analysis.rows, key=lambda row: -row.seconds)[:SLOWEST]
    return section(
        "Slowest submissions",
        table(("submission", "seconds"), [(row.submission, row.seconds) for row in rows]),
    )
