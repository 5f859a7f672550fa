"""Reports on stdout for programs: lines of JSON, JUnit XML, or a GitHub workflow's annotations.

What a student wrote is escaped for each: no text can end an element, start a workflow command or a
table cell, or hide behind control characters.
"""

from __future__ import annotations

import html
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, TextIO
from xml.etree import ElementTree

from dlgrade.display import printable
from dlgrade.outcome import DEFERRED, INTERNAL, PASSED
from dlgrade.report import CheckResult, Report

TEXT: Final = 1000  # characters of one message
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()#+!|~])")


class Printer(Protocol):
    """Prints reports one by one as they come, so that none has to be kept."""

    def start(self) -> None:
        """Before the first report."""

    def report(self, report: Report) -> None:
        """One report."""

    def end(self) -> None:
        """After the last one, also where there was none."""


@contextmanager
def printing(format: str, path: Path, out: TextIO | None = None) -> Iterator[Printer | None]:
    """The printer of a format, None for text; its document is closed whatever ends the block.

    `path` is what was graded: submissions' names start from it, and links lead to their files.
    """
    if format == "text":
        yield None
        return
    out = out or sys.stdout
    root = path if path.is_dir() else path.parent
    makers: dict[str, Callable[[TextIO], Printer]] = {"json": JsonLines, "junit": JUnit, "html": Pages}
    printer = GitHub(out, root) if format == "github" else makers[format](out)
    printer.start()
    try:
        yield printer
    finally:
        printer.end()


class JsonLines:
    """One line of JSON for each report."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def start(self) -> None:
        pass

    def report(self, report: Report) -> None:
        print(report.to_json(), file=self._out, flush=True)

    def end(self) -> None:
        pass


class Pages:
    """A page of HTML for each report."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def start(self) -> None:
        pass

    def report(self, report: Report) -> None:
        from dlgrade.submission_page import submission_page  # which takes what a student reads from here

        print(submission_page(report), file=self._out, flush=True)

    def end(self) -> None:
        pass


class JUnit:
    """One document: a test suite for each submission, a test case for each check.

    A deferred check is skipped, one lost to our own fault is an error, any other that did not pass a failure.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def start(self) -> None:
        print('<?xml version="1.0" encoding="utf-8"?>\n<testsuites>', file=self._out, flush=True)

    def report(self, report: Report) -> None:
        print(ElementTree.tostring(suite(report), encoding="unicode"), file=self._out, flush=True)

    def end(self) -> None:
        print("</testsuites>", file=self._out, flush=True)


def suite(report: Report) -> ElementTree.Element:
    """A report as a JUnit test suite."""
    verdicts = [check.verdict for check in report.checks]
    errors, skipped = verdicts.count(INTERNAL), verdicts.count(DEFERRED)
    lost = int(report.fault is not None and not errors)
    counts = {
        "tests": len(verdicts) + lost,
        "failures": len(verdicts) - verdicts.count(PASSED) - errors - skipped,
        "errors": errors + lost,
        "skipped": skipped,
    }
    attributes = {name: str(count) for name, count in counts.items()}
    attributes |= {"name": _shown(report.submission), "time": f"{report.seconds:.3f}"}
    element = ElementTree.Element("testsuite", attributes)
    if lost:
        case = ElementTree.SubElement(element, "testcase", classname=report.exercise, name="grader", time="0")
        ElementTree.SubElement(case, "error", type=INTERNAL, message=_shown(report.fault or ""))
    for check in report.checks:
        _case(element, report, check)
    return element


def _case(above: ElementTree.Element, report: Report, check: CheckResult) -> None:
    case = ElementTree.SubElement(
        above,
        "testcase",
        classname=f"{report.exercise}.{check.part}",
        name=f"{check.id}: {check.title}",
        time=f"{check.seconds:.3f}",
    )
    if check.verdict == PASSED:
        return
    if check.verdict == DEFERRED:
        ElementTree.SubElement(case, "skipped", message="needs another tier, or is of another part")
        return
    kind = "error" if check.verdict == INTERNAL else "failure"
    found = ElementTree.SubElement(case, kind, type=check.verdict, message=_shown(check.message))
    found.text = "\n".join(told(check))


class GitHub:
    """An annotation for each check that did not pass, and a table in the step's summary.

    A grader's fault is a warning that says so, never an error of the student's.
    """

    def __init__(self, out: TextIO, root: Path) -> None:
        self._out = out
        self._root = root
        name = os.environ.get("GITHUB_STEP_SUMMARY")
        self._summary = Path(name) if name else None

    def start(self) -> None:
        self._write("| submission | score | verdicts |\n| --- | ---: | --- |\n")

    def report(self, report: Report) -> None:
        for line in workflow_commands(report, self._root):
            print(line, file=self._out, flush=True)
        self._write(summary_row(report))

    def end(self) -> None:
        self._write("\n")

    def _write(self, text: str) -> None:
        if self._summary is not None:
            with self._summary.open("a", encoding="utf-8") as file:
                file.write(text)


def workflow_commands(report: Report, root: Path = Path()) -> list[str]:
    """Workflow commands, a line each: an error at the student's line for each check that did not pass."""
    file = (root / report.submission).as_posix()
    lines = []
    if report.fault is not None:
        lines.append(_command("warning", {"title": "grader fault"}, f"{report.submission}: {report.fault}"))
    for check in report.counted:
        if check.verdict == PASSED:
            continue
        level = "warning" if check.verdict == INTERNAL else "error"
        place = {"file": file, "title": f"{check.part}: {check.title}"}
        if check.frames:
            place["line"] = str(check.frames[-1][0])
        lines.append(_command(level, place, "\n".join([check.verdict, *told(check)])))
    return lines


def summary_row(report: Report) -> str:
    """A row of the summary's table."""
    verdicts = [check.verdict for check in report.counted]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
    score = f"{report.score:g} / {report.max_score:g}" if report.complete else "not judged"
    return f"| {_markdown(report.submission)} | {score} | {counts} |\n"


def told(check: CheckResult) -> list[str]:
    """What a student reads of a check that did not pass: what was seen, the mistake, the next step."""
    lines = [_shown(check.message)] if check.message else []
    if check.diagnosis:
        lines.append(f"mistake: {check.diagnosis['text']}")
    return lines + ([f"next: {check.help}"] if check.help else [])


def _command(name: str, properties: dict[str, str], message: str) -> str:
    values = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    data = _data("\n".join(_shown(line) for line in message.split("\n")))
    return f"::{name} {values}::{data}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(_shown(text)).replace(":", "%3A").replace(",", "%2C")


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", html.escape(_shown(text)))


def _shown(text: str) -> str:
    return printable(" ".join(text.split()), TEXT)
