"""Reports for other programs: read back by their own rules, with hostile text in every field."""

import csv
import io
import json
import re
import subprocess
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dlgrade import exports, printers
from dlgrade.errors import UsageError
from dlgrade.report import CheckResult, Report
from dlgrade.results import ResultsFolder
from tests.autograder import tiny_course
from tests.autograder.command_line import DLGRADE, dlgrade, environment

HOSTILE = "]]></failure><x>&\x1b[31m\n::error file=x::forged\r\n| a | <script>alert(1)</script> \u202e%0A"


def check(name: str, verdict: str, **more: object) -> CheckResult:
    return CheckResult(
        name, "part", "value", f"title of {name}", False, verdict, float(verdict == "passed"), 1.0, **more
    )


def report(*checks: CheckResult, name: str = "anna/tiny.py", **more: object) -> Report:
    return Report("tiny", name, more.pop("student", "anna"), "quick", 5, checks, **more)


ALL = report(
    check("a", "passed"),
    check(
        "b", "failed", message=HOSTILE, diagnosis={"mistake": "m", "text": "You double it."}, help="halve it"
    ),
    check("c", "raised", message=HOSTILE, frames=((7, "f", HOSTILE),)),
    check("d", "deferred"),
    check("e", "internal", message="our fault"),
    name=f"{HOSTILE}/tiny.py",
)


def printed(format: str, *reports: Report) -> str:
    out = io.StringIO()
    with printers.printing(format, Path("work"), out) as printer:
        for one in reports:
            printer.report(one)
    return out.getvalue()


# The published schema of JUnit's XML (the version that Jenkins reads), as far as these elements go.
ALLOWED = {
    "testsuites": (set(), {"testsuite"}),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time"}, {"testcase"}),
    "testcase": ({"name", "classname", "time"}, {"failure", "error", "skipped"}),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"message"}, set()),
}


def assert_junit(element: ElementTree.Element) -> None:
    attributes, children = ALLOWED[element.tag]
    assert set(element.attrib) <= attributes
    for child in element:
        assert child.tag in children
        assert_junit(child)


def test_junit_has_a_suite_for_each_submission_and_nothing_a_student_made():
    """Elements and attributes of the schema only, counts that agree with the cases, hostile text as text."""
    root = ElementTree.fromstring(printed("junit", ALL, report(check("a", "passed"))).encode())
    assert root.tag == "testsuites"
    assert_junit(root)
    first, second = root
    counts = {name: int(first.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": 5, "failures": 2, "errors": 1, "skipped": 1}
    assert len(first.findall("testcase")) == 5
    assert len(first.findall("testcase/failure")) == 2
    assert [case.get("classname") for case in second] == ["tiny.part"]
    assert "You double it." in first.find("testcase/failure").text
    assert "<script>" in first.find("testcase/failure").get("message")


def test_junit_of_a_run_that_failed_is_still_a_document():
    """The document is closed when the run raises."""
    out = io.StringIO()

    def run():
        with printers.printing("junit", Path(), out) as printer:
            printer.report(ALL)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run()
    assert len(ElementTree.fromstring(out.getvalue().encode())) == 1


def test_a_lost_submission_is_an_error_in_junit():
    """Our own fault is no failure of the student's."""
    root = ElementTree.fromstring(printed("junit", report(check("a", "passed"), fault="ended")).encode())
    assert root[0].get("errors") == "1"
    assert root[0].find("testcase[@name='grader']/error").get("message") == "ended"


def test_github_lines_are_one_command_each_and_point_at_the_students_line(tmp_path, monkeypatch):
    """A runner's own grammar: `::level key=value,...::message`, no second command inside."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    lines = printed("github", ALL).splitlines()
    commands = [
        re.fullmatch(r"::(error|warning) ((?:\w+=[^,:\r\n]*,?)+)::([^\r\n]*)", line) for line in lines
    ]
    assert [command[1] for command in commands] == ["error", "error", "warning"]
    properties = [dict(pair.split("=", 1) for pair in command[2].split(",")) for command in commands]
    assert properties[1]["line"] == "7"
    assert properties[0]["title"] == "part%3A title of b"
    assert not any("\x1b" in line or "\u202e" in line for line in lines)
    summary = (tmp_path / "summary.md").read_text().rstrip("\n").splitlines()
    assert len(summary) == 3
    assert "<script>" not in summary[2]
    assert len(re.findall(r"(?<!\\)\|", summary[2])) == 4


def test_canvas_gets_a_row_for_each_student_and_no_formula():
    """Canvas's five identifying columns, the points possible, blank where we could not judge."""
    text = exports.canvas_csv([ALL, report(check("a", "passed"), student="=cmd()")])
    head, possible, *rows = csv.reader(io.StringIO(text, newline=""))
    assert head == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "tiny"]
    assert (possible[0].strip(), float(possible[5])) == ("Points Possible", 4)
    assert [(row[3], row[5]) for row in rows] == [("'=cmd()", "1.0"), ("anna", "")]


def test_what_canvas_downloaded_goes_back_by_number():
    """Its own file names tell the number; a folder's name is a login."""
    whole = check("a", "passed")
    names = (("doejane_101_9001_tiny.py", "doejane_101"), ("li_LATE_102_9002_my_tiny-1.py", "li_102"))
    reports = [report(whole, name=name, student=student) for name, student in names]
    _, _, *rows = csv.reader(io.StringIO(exports.canvas_csv([*reports, report(whole)]), newline=""))
    assert [row[:4] for row in rows] == [
        ["anna", "", "", "anna"],
        ["doejane", "101", "", ""],
        ["li", "102", "", ""],
    ]


def assert_gradescope(values: dict) -> None:
    """The rules of Gradescope's documented results.json."""
    assert isinstance(values["score"], float | int)
    assert values["visibility"] in ("hidden", "after_due_date", "after_published", "visible")
    assert values["output_format"] in ("text", "html", "simple_format", "md", "ansi")
    for test in values["tests"]:
        assert 0 <= test["score"] <= test["max_score"]
        assert test["status"] in ("passed", "failed")
        assert test["output_format"] == test["name_format"] == "text"
        assert all(isinstance(test[name], str) for name in ("name", "number", "output", "visibility"))


def test_gradescope_results_follow_its_rules():
    """Scores add up, statuses are its own words, text is declared as text; not judged is no score at all."""
    whole = report(check("a", "passed"), check("b", "failed", message=HOSTILE), check("d", "deferred"))
    values = json.loads(json.dumps(exports.gradescope_results(whole)))
    assert_gradescope(values)
    assert sum(test["score"] for test in values["tests"]) == values["score"] == 1
    assert len(values["tests"]) == 2
    with pytest.raises(UsageError, match="was not judged"):
        exports.gradescope_results(ALL)


def test_the_table_of_a_folder_is_printed(tmp_path):
    """`export` of a results folder; elsewhere one sentence."""
    with ResultsFolder(tmp_path / "out") as folder:
        folder.add(report(check("a", "passed")))
    done = dlgrade("export", tmp_path / "out", cwd=tmp_path)
    assert done.stdout.splitlines()[1].startswith("anna/tiny.py,anna,tiny,1.0,1.0,true")
    empty = dlgrade("export", tmp_path, "--to", "canvas", cwd=tmp_path)
    assert empty.returncode == 2
    assert "no reports in" in empty.stderr


def test_a_gradescope_bundle_grades_a_submission(tmp_path):
    """The zip's own run_autograder, in the layout that Gradescope gives it, with the real command."""
    course = tiny_course.make(tmp_path / "course")
    made = dlgrade("export", "tiny", "--to", "gradescope", "-o", tmp_path / "bundle.zip", cwd=course.root)
    assert made.returncode == 0, made.stderr
    root = tmp_path / "autograder"
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        archive.extractall(root / "source")
        assert {"setup.sh", "run_autograder"} <= set(archive.namelist())
    (root / "results").mkdir()
    (root / "submission").mkdir()
    wrong = tiny_course.answer_with(course, double="def double(x):\n    return 3 * x\n")
    (root / "submission" / "tiny.py").write_text(wrong)
    path = f"{Path(DLGRADE).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", str(root / "source" / "run_autograder")],
        env=environment(AUTOGRADER_ROOT=str(root), PATH=path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    values = json.loads((root / "results" / "results.json").read_text())
    assert_gradescope(values)
    assert values["score"] == 8
    assert any("You add the input three times." in test["output"] for test in values["tests"])
