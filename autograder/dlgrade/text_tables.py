"""Tables for staff: the grades of a batch, and the matrix of mistakes by checks that `verify` found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dlgrade.exercise import Exercise
from dlgrade.outcome import BLOCKED, DEFERRED, INTERNAL, MISSING, PASSED, VERDICTS
from dlgrade.report import CheckResult, Report
from dlgrade.text_report import count, safe

if TYPE_CHECKING:
    from dlgrade.verify import Proof  # needs torch, which a table of grades does not

_CELLS: Final = {
    PASSED: ("·", "dim"),
    BLOCKED: ("-", "dim"),
    DEFERRED: (" ", ""),
    MISSING: ("○", "yellow"),
    INTERNAL: ("!", "magenta"),
}


def show_grades(reports: Sequence[Report], exercise: Exercise, out: Console) -> None:
    """One row a submission, and what a reader looks for first: whose, how much, and why not all."""
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False, header_style="bold")
    table.add_column("submission", ratio=3, overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("max", justify="right", no_wrap=True)
    table.add_column("verdicts", ratio=2)
    table.add_column("first problem", ratio=4)
    for report in reports:
        table.add_row(
            Text(safe(report.submission)),
            Text(f"{report.score:g}" if report.complete else "-", "green" if not report.exit_code else ""),
            Text(f"{report.max_score:g}"),
            Text(_verdicts(report), "dim"),
            _first_problem(report),
        )
    out.print(table)
    out.print(_total(reports, exercise))


def _verdicts(report: Report) -> str:
    found = Counter(check.verdict for check in report.counted)
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS if found[verdict])


def _first_problem(report: Report) -> Text:
    if report.fault:
        return Text(f"grader fault: {safe(report.fault)}", "magenta")
    problems = [check for check in report.counted if check.verdict != PASSED]
    internal = [check for check in problems if check.verdict == INTERNAL]
    if not problems:
        return Text()
    if internal:
        return Text(f"grader fault: {_told(internal[0])}", "magenta")
    whole = len(problems) > 1 and len({check.message for check in problems if check.verdict != BLOCKED}) == 1
    return Text(safe(problems[0].message) if whole and problems[0].message else _told(problems[0]))


def _told(check: CheckResult) -> str:
    what = check.diagnosis["text"] if check.diagnosis else safe(check.message or check.title)
    return f"{check.part}: {what}"


def _total(reports: Sequence[Report], exercise: Exercise) -> Text:
    judged = [report for report in reports if report.complete]
    tier, mode = reports[0].tier, reports[0].isolation
    text = f"{exercise.id}: {count(len(reports), 'submission')}, tier {tier}, isolation {mode}"
    if judged:
        mean = sum(report.score for report in judged) / len(judged)
        text += f", mean score {mean:.1f} of {judged[0].max_score:g}"
    total = Text(text, "bold")
    if faults := len(reports) - len(judged):
        total.append(f"\n{count(faults, 'submission')} not judged, by our fault: grade again", "magenta")
    return total


def show_proof(proof: Proof, out: Console) -> None:
    """The matrix of mistakes by checks, totals, and every property that does not hold."""
    checks = sorted({check for row in proof.matrix.values() for check in row})
    if proof.matrix:
        out.print(_matrix(proof, checks, out.width))
        for number, check in enumerate(checks, 1):
            out.print(Text(f"{number:>3}  {check}", "dim"))
        out.print(Text("✗ did not pass, · passed, - not checked because another did not pass", "dim"))
        out.print()
    out.print(
        Text(f"{proof.exercise}: ", "bold").append(
            f"{count(proof.checks, 'check')}; {count(proof.mistakes, 'mistake')}, {proof.caught} caught,"
            f" {proof.diagnosed} diagnosed; {count(proof.variants, 'variant')},"
            f" {proof.variants_passed} passed; chance that a correct answer fails: {proof.chance:.2g}"
        )
    )
    for note in proof.notes:
        out.print(Text(f"note: {safe(note)}", "yellow"))
    for problem in proof.problems:
        out.print(Text(f"problem: {safe(problem)}", "red"))
    if proof.holds:
        out.print(Text("every property holds", "green"))


def _matrix(proof: Proof, checks: Sequence[str], width: int) -> Text:
    """One line a mistake and one character a check, so that fifty checks fit a terminal of 80 columns."""
    longest = max(len(name) for name in proof.matrix)
    names = max(len("mistake"), min(longest, width - len(checks) - 1))
    numbers = range(1, len(checks) + 1)
    table = Text()
    table.append(" " * names + " " + "".join(str(n // 10 or " ") for n in numbers) + "\n", "bold")
    table.append("mistake".ljust(names) + " " + "".join(str(n % 10) for n in numbers) + "\n", "bold")
    for mistake, verdicts in proof.matrix.items():
        table.append(_fitted(mistake, names).ljust(names) + " ")
        for check in checks:
            table.append(*_CELLS.get(verdicts.get(check, DEFERRED), ("✗", "red")))
        table.append("\n")
    return table


def _fitted(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1] + "…"
