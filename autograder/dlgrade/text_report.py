"""A report as text for a person: what came back, the likely mistake, and what to do next.

Everything a student wrote is hostile here: it is made printable first, and only then becomes a `Text`,
which no markup can get out of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from textwrap import shorten
from typing import Final, TextIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from dlgrade import spending
from dlgrade.checks import Check
from dlgrade.curve import sparkline
from dlgrade.display import printable
from dlgrade.exercise import Exercise
from dlgrade.outcome import BLOCKED, DEFERRED, INTERNAL, MISSING, PASSED
from dlgrade.places import Place
from dlgrade.report import CheckResult, Report

LINE: Final = 400  # characters of a student's line that are shown
MESSAGE_LINES: Final = 8
FRAMES: Final = 4
OUTPUT_LINES: Final = 20
_BREAK: Final = re.compile(r"\r\n|\n|\r")
_WORD: Final = 7  # columns for a verdict; a longer one moves its own row
_INDENT: Final = _WORD + 3  # what belongs to a check stands under its title

# symbol, its ASCII stand-in, style
_MARKS: Final = {
    PASSED: ("✓", "+", "green"),
    MISSING: ("○", "o", "yellow"),
    BLOCKED: ("·", ".", "dim"),
    INTERNAL: ("!", "!", "magenta"),
}
_WRONG: Final = ("✗", "x", "red")


@dataclass(frozen=True)
class View:
    """What a reader needs beside the report.

    Attributes:
        exercise: for the titles and the order of parts.
        checks: as the run collected them; they know the tier that each needs.
        command: what the user typed, for the commands to type next.
        part: the one part that was asked for, or None.
        data: a sentence for each data set that was used.
        places: where each part is written, as far as it is.
    """

    exercise: Exercise
    checks: Sequence[Check] = ()
    command: str = ""
    part: str | None = None
    data: Sequence[str] = ()
    places: Mapping[str, Place] = field(default_factory=dict)


def console(stream: TextIO) -> Console:
    """A console that styles a terminal, leaves a file plain, and interprets nothing it is given."""
    return Console(file=stream, highlight=False, markup=False, emoji=False)


def show(report: Report, view: View, out: Console) -> None:
    """Print one report."""
    page = _Page(report, view, ascii_only=out.options.ascii_only)
    out.print(Group(*page.renderables()))
    if step := page.next_step():
        out.print(step, soft_wrap=True)  # a command is copied whole, so no line break may be put into it


def part_lines(report: Report, view: View, name: str, *, ascii_only: bool) -> Iterator[RenderableType]:
    """One part of the page, and what the student's code printed."""
    page = _Page(report, view, ascii_only=ascii_only)
    yield from page.part(name)


def mark(verdict: str, *, ascii_only: bool) -> Text:
    """The symbol of a verdict."""
    symbol, plain, style = _MARKS.get(verdict, _WRONG)
    return Text(plain if ascii_only else symbol, style)


def safe(text: str) -> str:
    """One line of a stranger's text."""
    return printable(" ".join(_BREAK.split(text)), LINE)


def safe_lines(text: str, most: int) -> list[str]:
    """A stranger's text by lines; of too many the first and the last are kept."""
    lines = _BREAK.split(text.strip("\r\n"))
    if len(lines) > most:
        head, tail = lines[: most // 2], lines[len(lines) - most // 2 :]
        lines = [*head, f"... {len(lines) - len(head) - len(tail)} more lines ...", *tail]
    return [printable(line.expandtabs(4), LINE) for line in lines]


def count(number: float, noun: str) -> str:
    """`1 check`, `2 checks`, `0.5 points`."""
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


class _Page:
    """The pieces of one report, from top to bottom."""

    def __init__(self, report: Report, view: View, *, ascii_only: bool) -> None:
        self._report = report
        self._view = view
        self._ascii = ascii_only
        self._same = _same_ending(report)
        self._told: set[str] = set()  # mistakes already shown: one slip often fails several checks

    def renderables(self) -> Iterator[RenderableType]:
        yield from self._header()
        if self._same is not None:
            yield Text("\nEvery check that ran ended the same way:", "bold")
            yield from self._came_back(self._same)
        for name, results in self._parts():
            yield from self._part(name, results)
        if remarks := list(self._remarks()):
            yield from (Text(), *remarks)
        yield from self._output()
        yield from self._end()

    def part(self, name: str) -> Iterator[RenderableType]:
        results = [check for check in self._report.counted if check.part == name]
        if self._same is not None:
            yield Text()
            yield from self._came_back(self._same)
        yield from self._part(name, results)
        yield from self._output()

    # --- header -----------------------------------------------------------------------------------

    def _header(self) -> Iterator[RenderableType]:
        report = self._report
        yield spread(Text(self._view.exercise.title, "bold"), Text(report.exercise, "dim"))
        facts = f"{safe(report.submission)}  tier {report.tier}  isolation {report.isolation}"
        if report.device != "cpu":
            facts += f"  on {report.device}"
        yield Text(facts, "dim")
        for sentence in self._view.data:
            yield Text(f"data: {sentence}", "dim")
        yield Rule(characters="-" if self._ascii else "─", style="dim")

    def _parts(self) -> Iterator[tuple[str, list[CheckResult]]]:
        """The results that count, by part, in the exercise's order."""
        counted = self._report.counted
        names = [part.name for part in self._view.exercise.parts]
        for name in dict.fromkeys([*names, *(check.part for check in counted)]):
            if results := [check for check in counted if check.part == name]:
                yield name, results

    # --- parts and checks -------------------------------------------------------------------------

    def _part(self, name: str, results: Sequence[CheckResult]) -> Iterator[RenderableType]:
        got, most = sum(c.points for c in results), sum(c.max_points for c in results)
        yield Text()
        title = Text(name, "bold")
        if (place := self._view.places.get(name)) and got < most:
            title.append("  ").append(place.shown, f"not bold cyan link {place.url}")
        yield spread(title, Text(_points(got, most), "bold"))
        missing = [check for check in results if check.verdict == MISSING]
        if missing:
            yield self._not_filled_in(missing)
        above: CheckResult | None = None
        for check in results:
            if check.verdict == BLOCKED:
                yield self._blocked(check, above)
            elif check.verdict != MISSING:
                if above and above.verdict != PASSED and self._same is None:
                    yield Text()
                yield from self._check(check)
                above = check

    def _not_filled_in(self, missing: Sequence[CheckResult]) -> RenderableType:
        reasons = list(dict.fromkeys(safe(check.message) for check in missing if check.message))
        why = f": {'; '.join(reasons)}" if reasons else ""
        checks = f"{len(missing)} checks" if len(missing) > 1 else ""
        return self._row(MISSING, Text(f"not filled in yet{why}"), checks, "yellow")

    def _blocked(self, check: CheckResult, previous: CheckResult | None) -> RenderableType:
        """One line, cut where it does not fit: the reason comes first."""
        needs = next((c.needs for c in self._view.checks if c.id == check.id), ())
        by_id = {result.id: result for result in self._report.checks}
        need = next((by_id[n] for n in needs if n in by_id and by_id[n].verdict != PASSED), None)
        reason = check.message if need is None else f"waits for '{shorten(need.title, 40, placeholder='…')}'"
        if need is not None and need is previous:
            reason = "waits for the check above"
        text = Text(f"{reason}: {check.title}", "dim", no_wrap=True, overflow="ellipsis")
        return self._row(BLOCKED, text, _points(0, check.max_points), "dim")

    def _check(self, check: CheckResult) -> Iterator[RenderableType]:
        title = Text(check.title)
        if check.hidden:
            title.append(" (hidden)", "dim")
        passed = check.verdict == PASSED
        points = _points(check.points, check.max_points)
        yield self._row(check.verdict, title, points, "dim" if passed else "red")
        if passed:
            if check.measured is not None:  # a figure against its threshold is worth reading either way
                yield from (_indented(Text(line)) for line in safe_lines(check.message, MESSAGE_LINES))
            yield from self._curve(check)
            return
        if self._same is None or (check.hidden and check.message != self._same.message):
            yield from self._came_back(check)
        elif check.diagnosis:
            yield self._mistake(check.diagnosis)

    def _row(self, verdict: str, text: Text, right: str, style: str) -> RenderableType:
        """A symbol, the verdict, the text with its lines aligned, and what is at the right edge."""
        grid = Table.grid(expand=True, padding=(0, 1, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, min_width=_WORD)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True, justify="right")
        word = Text(verdict, _MARKS.get(verdict, _WRONG)[2])
        grid.add_row(mark(verdict, ascii_only=self._ascii), word, text, Text(right, style))
        return grid

    def _came_back(self, check: CheckResult) -> Iterator[RenderableType]:
        """What the check saw, where it was raised, the mistake it looks like, and the next step."""
        for line in safe_lines(check.message, MESSAGE_LINES) if check.message else ():
            yield _indented(Text(line))
        yield from self._curve(check)
        file = safe(PurePath(self._report.submission).name)
        for number, function, text in check.frames[-FRAMES:]:
            yield _indented(Text(f"{file}:{number} in {safe(function)}", "cyan"))
            if text.strip():
                yield _indented(Text(safe(text.strip()), "bold"), _INDENT + 2)
        if check.diagnosis:
            yield self._mistake(check.diagnosis)
        if check.help and self._same is None:
            yield _led("next:", "cyan", Text(check.help))

    def _curve(self, check: CheckResult) -> Iterator[RenderableType]:
        """What a training took, and how the loss went, where it was trained for more than one epoch."""
        if check.spent is not None and not check.hidden:
            yield _indented(Text(spending.told(check.spent), "dim"))
        if len(check.curve) > 1:
            yield _indented(Text(sparkline(check.curve, ascii_only=self._ascii), "dim"))

    def _mistake(self, diagnosis: Mapping[str, str]) -> RenderableType:
        if diagnosis["mistake"] in self._told:
            return _led("mistake:", "yellow", Text("the one named above"))
        self._told.add(diagnosis["mistake"])
        return _led("mistake:", "bold yellow", Text(diagnosis["text"], "bold"))

    # --- after the checks -------------------------------------------------------------------------

    def _remarks(self) -> Iterator[RenderableType]:
        if self._report.fault:
            yield Text(f"grader fault, not the answer's: {safe(self._report.fault)}", "magenta")
        for note in self._report.advice:
            yield Text(f"note: {safe(note)}", "dim")
        yield from self._deferred()

    def _deferred(self) -> Iterator[RenderableType]:
        left_out = [check for check in self._report.checks if check.verdict == DEFERRED]
        other = [c for c in left_out if self._view.part not in (None, c.part)]
        if other:
            yield Text(f"{_worth(other)} of other parts left out by --part {self._view.part}", "dim")
        tiers = {check.id: check.tier for check in self._view.checks}
        later = [check for check in left_out if check not in other]
        for tier in dict.fromkeys(tiers.get(check.id, "cpu") for check in later):
            group = [check for check in later if tiers.get(check.id, "cpu") == tier]
            yield Text(f"{_worth(group)} need{'s' * (len(group) == 1)} --tier {tier}", "dim")

    def _output(self) -> Iterator[RenderableType]:
        if self._report.output.strip():
            lines = safe_lines(self._report.output, OUTPUT_LINES)
            text, title = Text("\n".join(lines)), "your code printed"
            yield from (Text(), Panel(text, title=title, title_align="left", border_style="dim"))

    def _end(self) -> Iterator[RenderableType]:
        report, hidden = self._report, self._view.exercise.hidden
        whole = report.exit_code == 0
        yield Text()
        style = "bold green" if whole else "bold"
        what = "Score on the visible checks" if report.hidden_left else "Score"
        yield Text(f"{what}: {report.score:g} / {report.max_score:g}", style)
        if report.hidden_left:
            run = "runs" if report.hidden_left == 1 else "run"
            worth = f"{count(report.hidden_left, 'hidden check')} ({count(hidden.points, 'point')})"
            yield Text(f"{worth} {run} at grading.", "dim")
        if not report.complete:
            yield Text("The grader could not judge everything; that is not your fault.", "magenta")

    def next_step(self) -> Text | None:
        """The first part that is not done, and the command for it; else the tier that is left."""
        if not self._report.complete:
            return self._command("Next: the same again", "")
        if self._same is not None:
            return self._command("Next: mend this, then", "")
        for name, results in self._parts():
            if any(check.verdict != PASSED for check in results):
                if all(check.verdict == MISSING for check in results):
                    return self._command(
                        f"Next: write {self._to_write(name, results)}, then", f" --part {name}"
                    )
                return self._command(f"Next: mend {name}, then", f" --part {name}")
        tiers = {check.id: check.tier for check in self._view.checks}
        later = [c for c in self._report.checks if c.verdict == DEFERRED and tiers.get(c.id) != "quick"]
        if self._view.part is not None:
            return self._command("Next: the other parts", "")
        if later:
            tier = tiers.get(later[0].id, "cpu")
            return self._command(f"Next: the checks of tier {tier}", f" --tier {tier}")
        return None

    def _to_write(self, name: str, results: Sequence[CheckResult]) -> str:
        """The part whose absence the first result tells of: the part itself, or one that it needs."""
        told = results[0].message
        parts = (part.name for part in self._view.exercise.parts)
        return next((part for part in parts if told.startswith((f"{part} ", f"{part}."))), name)

    def _command(self, what: str, options: str) -> Text:
        return Text(what, "bold").append(f"\n      {self._view.command}{options}", "cyan")


def _same_ending(report: Report) -> CheckResult | None:
    """The one thing that all checks that ran came back with, as when the file cannot be imported."""
    ran = [c for c in report.counted if not c.hidden and c.verdict not in (BLOCKED, MISSING)]
    endings = {(check.verdict, check.message, check.frames) for check in ran}
    alike = len(ran) > 1 and len(endings) == 1 and ran[0].verdict != PASSED
    return ran[0] if alike and ran[0].message else None


def spread(left: Text, right: Text) -> RenderableType:
    """One text at the left edge, one at the right."""
    grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(left, right)
    return grid


def _indented(text: Text, by: int = _INDENT) -> RenderableType:
    return Padding(text, (0, 0, 0, by))


def _led(word: str, style: str, text: Text) -> RenderableType:
    """A paragraph behind a word, its lines aligned."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column()
    grid.add_row(Text(word, style), text)
    return Padding(grid, (0, 0, 0, _INDENT))


def _points(got: float, most: float) -> str:
    return f"{got:g} / {most:g}"


def _worth(checks: Iterable[CheckResult]) -> str:
    points = [check.max_points for check in checks]
    return f"{count(len(points), 'check')} ({count(sum(points), 'point')})"
