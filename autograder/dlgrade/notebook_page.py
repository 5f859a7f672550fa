"""One part's results as a notebook shows them: HTML, and plain text for where there is none.

Everything a student wrote is made printable and escaped. Of a hidden check only what its author wrote is
shown: the title, the verdict, the help and the sentence of a known mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Final

from dlgrade.display import printable
from dlgrade.outcome import BLOCKED, DEFERRED, INTERNAL, MISSING, PASSED
from dlgrade.report import CheckResult, Report

LINES: Final = 12
WIDTH: Final = 400
FRAMES: Final = 4
OUTPUT_LINES: Final = 20
_MARKS: Final = {PASSED: ("✓", "#1a7f37"), MISSING: ("○", "#9a6700"), BLOCKED: ("·", "#6e7781")}
_WRONG: Final = ("✗", "#cf222e")
_BOX: Final = "border:1px solid #d0d7de;border-radius:6px;padding:8px 12px;line-height:1.45;max-width:60em"
_QUIET: Final = "color:#6e7781"
# nbgrader's pages break words of a <pre> anywhere; here only one that is longer than the line.
_SAID: Final = (
    "white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere;"
    "margin:2px 0 2px 1.6em;padding:0;background:none;border:none"
)


@dataclass(frozen=True)
class Said:
    """One line under a check: `word` says what it is, "" for what came back."""

    word: str
    text: str


def part_html(report: Report, part: str) -> str:
    """The part's checks, one row each, with what came back, the likely mistake and the next step."""
    results = of_part(report, part)
    got, most = sum(r.points for r in results), sum(r.max_points for r in results)
    rows = "".join(_row_html(result) for result in results)
    more = "".join(f'<div style="{_QUIET}">{escape(line)}</div>' for line in remarks(report, part))
    head = f"<b>{escape(part)}</b> <span style='float:right'><b>{got:g} / {most:g}</b></span>"
    return f'<div style="{_BOX}"><div>{head}</div>{rows}{more}{_output_html(report)}</div>'


def part_text(report: Report, part: str) -> str:
    """The same as plain text."""
    results = of_part(report, part)
    got, most = sum(r.points for r in results), sum(r.max_points for r in results)
    lines = [f"{part}: {got:g} / {most:g} points"]
    for result in results:
        symbol = _MARKS.get(result.verdict, _WRONG)[0]
        points = f"{result.points:g} / {result.max_points:g}"
        lines.append(f"{symbol} {result.verdict}: {_title(result)} [{points}]")
        lines += [f"    {said.word + ': ' if said.word else ''}{said.text}" for said in came_back(result)]
    lines += remarks(report, part)
    if printed := _printed(report):
        lines += ["your code printed:", *(f"    {line}" for line in printed)]
    return "\n".join(lines)


def of_part(report: Report, part: str) -> list[CheckResult]:
    """The part's checks that count."""
    return [result for result in report.counted if result.part == part]


def came_back(result: CheckResult) -> Iterator[Said]:
    """What a student may read of a check that did not pass."""
    if result.verdict == PASSED:
        return
    if result.message and (not result.hidden or result.verdict in (MISSING, BLOCKED)):
        yield from (Said("", line) for line in _lines(result.message, LINES))
    if not result.hidden:
        for number, function, text in result.frames[-FRAMES:]:
            yield Said("", printable(f"line {number} in {function}: {text.strip()}", WIDTH))
    if result.diagnosis:
        yield Said("likely mistake", printable(result.diagnosis["text"], 5 * WIDTH))
    if result.help and result.verdict not in (MISSING, BLOCKED):
        yield Said("next", result.help)


def remarks(report: Report, part: str) -> list[str]:
    """What is left to say below a part's checks."""
    lines = []
    later = [check for check in report.checks if check.part == part and check.verdict == DEFERRED]
    if later:
        worth = sum(check.max_points for check in later)
        lines.append(
            f'{_count(len(later), "check")} ({worth:g} points) of this part train: tier="cpu" runs them.'
        )
    if report.hidden_left:
        lines.append(f"{_count(report.hidden_left, 'hidden check')} of the exercise run at grading only.")
    if report.fault is not None or any(check.verdict == INTERNAL for check in report.checks):
        lines.append("The grader could not judge everything; that is not your fault. Run the cell again.")
    return lines


def _row_html(result: CheckResult) -> str:
    symbol, colour = _MARKS.get(result.verdict, _WRONG)
    verdict = f'<span style="color:{colour}"><b>{symbol}</b> {escape(result.verdict)}</span>'
    points = f'<span style="float:right;{_QUIET}">{result.points:g} / {result.max_points:g}</span>'
    said = "".join(_said_html(line) for line in came_back(result))
    return f'<div style="margin-top:4px">{verdict} {escape(_title(result))} {points}</div>{said}'


def _said_html(said: Said) -> str:
    if said.word:
        return f'<div style="margin-left:1.6em"><b>{escape(said.word)}:</b> {escape(said.text)}</div>'
    return f'<pre style="{_SAID}">{escape(said.text)}</pre>'


def _output_html(report: Report) -> str:
    if not (printed := _printed(report)):
        return ""
    text = escape("\n".join(printed))
    return f'<details><summary>your code printed</summary><pre style="{_SAID}">{text}</pre></details>'


def _printed(report: Report) -> list[str]:
    return _lines(report.output, OUTPUT_LINES) if report.output.strip() else []


def _title(result: CheckResult) -> str:
    return result.title + (" (hidden)" if result.hidden else "")


def _lines(text: str, most: int) -> list[str]:
    """A stranger's text by lines; of too many the first and the last are kept."""
    lines = text.strip("\r\n").splitlines()
    if len(lines) > most:
        left = len(lines) - most
        lines = [*lines[: most // 2], f"... {left} more lines ...", *lines[len(lines) - most // 2 :]]
    return [printable(line.expandtabs(4), WIDTH) for line in lines]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def list_html(heading: str, lines: Iterable[str]) -> str:
    """A heading and a list, as one block of HTML that Markdown leaves alone."""
    items = "".join(f"<li>{escape(printable(line, WIDTH))}</li>" for line in lines)
    return f'<div style="{_BOX}"><b>{escape(heading)}</b><ul>{items}</ul></div>'
