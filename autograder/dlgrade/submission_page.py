"""`check --format html`: one submission's report as a page, of the same pieces as the cohort's."""

from __future__ import annotations

from collections.abc import Iterable

from dlgrade import spending
from dlgrade.outcome import DEFERRED, PASSED
from dlgrade.page import Html, element, page, section, sparkline, table
from dlgrade.printers import told
from dlgrade.report import CheckResult, Report


def submission_page(report: Report) -> str:
    """The whole page."""
    style = "good" if report.exit_code == 0 else "bad"
    score = f"{report.score:g} of {report.max_score:g} points"
    parts = dict.fromkeys(check.part for check in report.checks)
    return page(
        f"{report.submission}: {score}",
        element("h1", report.submission),
        element("p", f"{score}, tier {report.tier}", class_=style),
        element("p", f"grader fault, not the answer's: {report.fault}", class_="bad") if report.fault else "",
        *(_part(name, [check for check in report.checks if check.part == name]) for name in parts),
        *(element("p", note, class_="quiet") for note in report.advice),
        _later(report.hidden_left),
        section("Your code printed", element("pre", report.output)) if report.output.strip() else "",
    )


def _part(name: str, checks: Iterable[CheckResult]) -> Html:
    rows = [(_verdict(check), _what(check), f"{check.points:g} / {check.max_points:g}") for check in checks]
    return section(name, table(("verdict", "check", "points"), rows))


def _verdict(check: CheckResult) -> Html:
    style = {PASSED: "good", DEFERRED: "quiet"}.get(check.verdict, "bad")
    return element("span", check.verdict, class_=style)


def _what(check: CheckResult) -> Html:
    lines = [] if check.verdict in (PASSED, DEFERRED) else told(check)
    if check.verdict == PASSED and check.measured is not None and check.message:
        lines = [check.message]  # a figure against its threshold is worth reading either way
    where = [f"line {number} in {function}: {text}" for number, function, text in check.frames[-1:]]
    took = [spending.told(check.spent)] if check.spent is not None and not check.hidden else []
    told_lines = (element("div", line, class_="quiet") for line in [*lines, *where, *took])
    return element("div", check.title, *told_lines, _curve(check))


def _curve(check: CheckResult) -> Html:
    """How the loss went, where it was trained for more than one epoch."""
    if len(check.curve) < 2:
        return Html("")
    ends = f"loss by epoch, {check.curve[0]:.3g} to {check.curve[-1]:.3g}"
    return element("div", sparkline(ends, check.curve), " ", ends, class_="quiet")


def _later(hidden: int) -> Html:
    if not hidden:
        return Html("")
    return element("p", f"{hidden} hidden checks run at grading.", class_="quiet")
