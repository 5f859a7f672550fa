"""What `check --watch` shows: one line for all parts, the part to work on, and the keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from dlgrade import text_report
from dlgrade.outcome import DEFERRED, FAILED, MISSING, PASSED
from dlgrade.places import Place
from dlgrade.report import CheckResult, Report
from dlgrade.text_report import View, count, safe

GAP = 3  # columns between two parts
KEYS = (("h", "hint"), ("a", "all checks"), ("p", "list of parts"), ("q", "quit"))


@dataclass(frozen=True)
class Moment:
    """What is to be shown now.

    Attributes:
        report: every result there is, of this save or of an earlier one that still holds.
        seconds: from the notice of the save to this page.
        focus: the part to work on, or None when every part passed.
        pending: parts whose results are still to come.
    """

    report: Report
    seconds: float
    focus: str | None
    pending: Collection[str] = ()


def show(moment: Moment, view: View, out: Console) -> None:
    """Print the page; on a terminal it takes the place of the one before."""
    clear(out)
    out.print(Group(*_lines(moment, view, ascii_only=out.options.ascii_only)))


def clear(out: Console) -> None:
    """An empty screen, where there is one."""
    if out.is_terminal:
        out.clear()


def show_parts(report: Report, view: View, out: Console) -> None:
    """The list of parts, with points and where each is written."""
    for name, verdict, results in _parts(report, view):
        got, most = sum(check.points for check in results), sum(check.max_points for check in results)
        row = Text.assemble(text_report.mark(verdict, ascii_only=out.options.ascii_only), f" {name:<24}")
        row.append(f"{got:g} / {most:g}".rjust(9), "bold")
        if place := view.places.get(name):
            row.append("   ").append(place.shown, f"cyan link {place.url}")
        out.print(row)


def show_problem(sentence: str, where: Place | None, out: Console) -> None:
    """Why nothing can be checked, with the line if it is one of the file."""
    text = Text()
    if where is not None:
        text.append(where.shown, f"cyan link {where.url}").append("  ")
    out.print(text.append(sentence, "bold red"))
    out.print("Nothing is checked until the next save.", style="dim")


def show_keys(out: Console, *, usable: bool) -> None:
    """The keys and what they do, on one line; without a keyboard, what is being waited for."""
    if not usable:
        out.print("waiting for the next save; Ctrl-C ends", style="dim")
        return
    line = Text()
    for key, meaning in KEYS:
        line.append(f"{key} ", "bold").append(f"{meaning}   ", "dim")
    out.print(line)


def worst(results: Iterable[CheckResult]) -> str:
    """One verdict for a part: missing while nothing is there, passed when all passed, else failed."""
    verdicts = {check.verdict for check in results} - {DEFERRED}
    if verdicts <= {PASSED}:
        return PASSED
    return MISSING if MISSING in verdicts else FAILED


def _lines(moment: Moment, view: View, *, ascii_only: bool) -> Iterator[RenderableType]:
    report = moment.report
    yield text_report.spread(Text(view.exercise.title, "bold"), Text(report.exercise, "dim"))
    facts = f"{safe(report.submission)}  checked in {moment.seconds:.2f} s  tier {report.tier}"
    yield Text(f"{facts}  isolation {report.isolation}", "dim")
    yield Rule(characters="-" if ascii_only else "─", style="dim")
    yield _row_of_parts(moment, view, ascii_only=ascii_only)
    if moment.focus is not None:
        yield from text_report.part_lines(report, view, moment.focus, ascii_only=ascii_only)
    yield from _end(moment, view)


def _row_of_parts(moment: Moment, view: View, *, ascii_only: bool) -> RenderableType:
    row = []
    verdicts = {name: verdict for name, verdict, _ in _parts(moment.report, view)}
    for name in (part.name for part in view.exercise.parts):
        if name in moment.pending:
            row.append(Text(f"{'...' if ascii_only else '…'} {name}", "dim"))
        elif name in verdicts:
            mark = text_report.mark(verdicts[name], ascii_only=ascii_only)
            row.append(Text.assemble(mark, f" {name}" if name != moment.focus else (f" {name}", "bold")))
    return _Row(row)


@dataclass(frozen=True)
class _Row:
    """Texts side by side, on as many lines as they need; none of them is divided."""

    texts: Sequence[Text]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        line = Text()
        for text in self.texts:
            if line and line.cell_len + GAP + text.cell_len > options.max_width:
                yield line
                line = Text()
            line.append(" " * GAP if line else "").append_text(text)
        yield line


def _end(moment: Moment, view: View) -> Iterator[RenderableType]:
    report, hidden = moment.report, view.exercise.hidden
    yield Text()
    if moment.pending:
        yield Text(f"still checking {', '.join(moment.pending)}", "dim")
        return
    done = report.exit_code == 0
    what = "Visible checks" if report.hidden_left else "Checks"
    yield Text(f"{what}: {report.score:g} / {report.max_score:g}", "bold green" if done else "bold")
    if done and report.hidden_left:
        worth = f"{count(report.hidden_left, 'hidden check')} ({count(hidden.points, 'point')})"
        yield Text(f"Every part passes here. {worth} run at grading.", "green")
    elif done:
        yield Text("Every part passes.", "green")


def _parts(report: Report, view: View) -> Iterator[tuple[str, str, list[CheckResult]]]:
    """Each part that has checks, with one verdict for all of them."""
    for part in view.exercise.parts:
        if results := [check for check in report.counted if check.part == part.name]:
            yield part.name, worst(results), results
