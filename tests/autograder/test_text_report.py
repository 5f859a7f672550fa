"""The page a person reads, rendered from made-up reports: what is shown, what is not, and that it fits."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from dlgrade.checks import Check
from dlgrade.exercise import CheckCount, Exercise, Limits, Part
from dlgrade.report import CheckResult, Report
from dlgrade.text_report import View, console, safe_lines, show
from dlgrade.text_tables import show_grades, show_proof
from dlgrade.verify import Proof

HOSTILE = "[red]x[/red] \x1b[31mred\x07 a\u202eb\u2066c :smile: \udc80"
SHOWN = "[red]x[/red] \\x1b[31mred\\x07 a\\u202eb\\u2066c :smile: \\udc80"

EXERCISE = Exercise(
    id="demo",
    title="A demonstration",
    summary="",
    graded_tier="cpu",
    preload=(),
    data=(),
    limits=Limits(),
    parts=(Part("first", "function", ()), Part("second", "class", ())),
    given=(),
    thresholds={},
    hidden=CheckCount(2, 3),
    root=Path(),
    folder=Path(),
    release=Path(),
    visible_checks=Path(),
    hidden_checks=None,
    fingerprints=None,
    mistakes_file=None,
    variants_folder=None,
)


def result(
    name: str, verdict: str = "passed", *, part: str = "first", points: float = 2, **more
) -> CheckResult:
    got = points if verdict == "passed" else 0
    values = {"title": f"title of {name}", "hidden": False, **more}
    return CheckResult(
        id=name, part=part, kind="value", verdict=verdict, points=got, max_points=points, **values
    )


def report(*results: CheckResult, **more) -> Report:
    return Report("demo", "anna/demo.py", "anna", "quick", 5, results, isolation="full", **more)


def check(name: str, **more) -> Check:
    values = {"part": "first", "points": 2, "kind": "value", "help": "", **more}
    return Check(id=name, title=f"title of {name}", **values)


def page(of: Report, *, width: int = 80, checks=(), part=None, data=(), terminal: bool = False) -> str:
    out = io.StringIO()
    screen = Console(
        file=out, width=width, highlight=False, markup=False, emoji=False, force_terminal=terminal,
        color_system="standard" if terminal else None,
    )  # fmt: skip
    show(of, View(EXERCISE, checks, "dlgrade check demo.py", part, data), screen)
    return out.getvalue()


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_nothing_a_student_wrote_is_interpreted():
    """Markup, escape sequences, bidirectional marks and lone surrogates are shown, not obeyed."""
    hostile = report(
        result("a", "raised", message=HOSTILE, frames=((3, HOSTILE, HOSTILE),)),
        output=HOSTILE,
        advice=(HOSTILE,),
        fault=HOSTILE,
    )
    for shown in (page(hostile, width=200), page(hostile, width=200, terminal=True)):
        assert shown.count(SHOWN) == 6
        assert "\u202e" not in shown
        assert "\x07" not in shown
        assert "\x1b[31mred" not in shown


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_page_fits_its_width(width):
    """No line is longer than the terminal, whatever a student's names and messages are."""
    long = "word " * 60 + "x" * 300
    text = page(
        report(
            result(
                "a", "failed", message=long, help=long, title=long, diagnosis={"mistake": "m", "text": long}
            ),
            result("b", "blocked", title=long),
            result("c", "missing", part="second", message=long),
            output=long,
        ),
        width=width,
        data=(long,),
    )
    body = text.rpartition("\nNext:")[0]
    assert max(map(len, body.splitlines())) <= width


def test_a_failed_check_says_what_came_back_the_mistake_and_the_next_step():
    """In this order, under the check's title and points."""
    text = one_line(
        page(
            report(
                result(
                    "a",
                    "failed",
                    message="it is 3",
                    help="add it",
                    diagnosis={"mistake": "m", "text": "Tripled."},
                )
            )
        )
    )
    assert "failed title of a 0 / 2 it is 3 mistake: Tripled. next: add it" in text


def test_an_exception_is_shown_with_the_students_lines():
    """File, line, function and source line of the innermost frames."""
    frames = tuple((line, f"f{line}", f"source {line}") for line in range(1, 9))
    text = page(report(result("a", "raised", message="KeyError: 'k'", frames=frames)))
    assert "demo.py:8 in f8 source 8" in one_line(text)
    assert "f4" not in text


def test_a_mistake_that_fails_several_checks_is_told_once():
    """The second time it is only pointed at."""
    mistake = {"mistake": "m", "text": "You forgot it."}
    text = page(report(*(result(n, "failed", message=n, diagnosis=mistake) for n in "abc")))
    assert text.count("You forgot it.") == 1
    assert text.count("mistake: the one named above") == 2


def test_a_blocked_check_is_one_line_that_names_what_it_waits_for():
    """The check above, or another one by its title."""
    checks = [check("a"), check("b", needs=("a",)), check("c", needs=("a",))]
    results = [result("a", "failed"), result("b", "blocked"), result("c", "blocked", part="second")]
    lines = page(report(*results), checks=checks).splitlines()
    [above, other] = [one_line(line) for line in lines if "blocked" in line]
    assert above == "· blocked waits for the check above: title of b 0 / 2"
    assert other == "· blocked waits for 'title of a': title of c 0 / 2"


def test_missing_parts_are_one_line_each():
    """With the reason and how many checks wait; no help for what was never begun."""
    reason = "first is still the stub"
    text = page(report(*(result(n, "missing", message=reason, help="do not show") for n in "abc")))
    assert one_line(text).count("missing not filled in yet: first is still the stub 3 checks") == 1
    assert "do not show" not in text
    assert "Next: write first, then\n      dlgrade check demo.py --part first\n" in text


def test_what_is_to_be_written_next_is_what_is_missing():
    """Another part, where the part at hand waits for that one; its own check is still the command."""
    text = page(report(result("a", "missing", message="second.forward is still the stub")))
    assert "Next: write second, then\n      dlgrade check demo.py --part first\n" in text


def test_deferred_checks_are_one_line_by_tier():
    """With the option that runs them; a full score then leads to it."""
    checks = [check("a"), check("b", tier="cpu"), check("c", tier="cpu"), check("d", tier="gpu")]
    results = [result("a"), *(result(n, "deferred") for n in "bcd")]
    text = page(report(*results), checks=checks)
    assert "2 checks (4 points) need --tier cpu\n" in text
    assert "1 check (2 points) needs --tier gpu\n" in text
    assert "title of b" not in text
    assert text.endswith("dlgrade check demo.py --tier cpu\n")


def test_parts_left_out_are_not_taken_for_a_later_tier():
    """With --part the other parts' checks are counted apart."""
    text = page(
        report(result("a"), result("b", "deferred", part="second")), checks=[check("a")], part="first"
    )
    assert "1 check (2 points) of other parts left out by --part first" in text
    assert "--tier" not in text


def test_the_same_ending_of_every_check_is_told_once():
    """As when a file cannot be imported; the checks are listed without repeating it."""
    results = [result(n, "raised", message="NameError: x", frames=((1, "<module>", "x"),)) for n in "ab"]
    text = page(report(*results))
    assert text.count("NameError: x") == 1
    assert "Every check that ran ended the same way:" in text
    assert text.count("title of") == 2


def test_a_score_with_hidden_checks_left_does_not_claim_to_be_everything():
    """The visible score is called that, and what runs at grading is counted."""
    text = page(report(result("a"), hidden_left=2))
    assert "Score on the visible checks: 2 / 2" in text
    assert "2 hidden checks (3 points) run at grading." in text
    assert "100" not in text


def test_a_fault_of_ours_is_not_blamed_on_the_student():
    """An internal verdict leads to running it again, not to the student's part."""
    text = page(report(result("a", "internal", message="KeyError")))
    assert "not your fault" in text
    assert "Next: the same again" in text


def test_a_checker_that_ended_is_told_once():
    """Every check then lacks its result, hidden ones too; the page does not repeat that for each."""
    lost = [result(n, "internal", message="no result came", hidden=n == "c") for n in "abc"]
    text = page(report(*lost, fault="the checker ended"))
    assert text.count("no result came") == 1
    assert "grader fault, not the answer's: the checker ended" in text


def test_a_part_the_exercise_does_not_list_is_shown_all_the_same():
    """Its points count, so it must not vanish."""
    assert "\nthird" in page(report(result("a", part="third")))


def test_output_is_capped_at_its_ends():
    """The first and the last lines are kept, each cut to a bearable length."""
    lines = safe_lines("\n".join(str(i) for i in range(1000)), 10)
    assert lines == ["0", "1", "2", "3", "4", "... 990 more lines ...", "995", "996", "997", "998", "999"]
    assert len(safe_lines("x" * 10**6, 10)[0]) <= 400


def test_progress_bars_of_a_student_become_lines():
    """A carriage return starts a new line instead of overwriting the page."""
    assert safe_lines("10 %\r20 %\r\ndone", 10) == ["10 %", "20 %", "done"]


def test_a_file_gets_no_escape_sequences_and_a_terminal_none_with_no_color(monkeypatch):
    """Plain text where nobody renders colours, or where the user wants none."""
    assert "\x1b" not in page(report(result("a", "failed")))
    assert "\x1b[31m" in page(report(result("a", "failed")), terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in page(report(result("a", "failed")), terminal=True)


def test_an_ascii_terminal_gets_ascii_marks():
    """No symbol is written that the stream cannot encode."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    show(report(result("a"), result("b", "failed", message="no")), View(EXERCISE), console(stream))
    stream.flush()
    assert b"+ passed" in raw.getvalue()
    assert b"x failed" in raw.getvalue()


def test_the_table_of_grades_flags_our_faults():
    """A submission that was not judged has no score, and the total counts it apart."""
    good = report(result("a"))
    bad = replace(report(result("a", "internal", message="KeyError")), submission="bert/demo.py")
    out = io.StringIO()
    show_grades([good, bad], EXERCISE, Console(file=out, width=100, markup=False))
    text = one_line(out.getvalue())
    assert "bert/demo.py - 2 1 internal grader fault: first: KeyError" in text
    assert "mean score 2.0 of 2" in text
    assert "1 submission not judged, by our fault: grade again" in text


def test_the_table_of_grades_is_safe_from_names():
    """Names of files are the students' own."""
    out = io.StringIO()
    hostile = replace(report(result("a", "failed", message=HOSTILE)), submission=HOSTILE)
    show_grades([hostile], EXERCISE, Console(file=out, width=300, markup=True, emoji=True))
    assert out.getvalue().count(SHOWN) == 2


def test_a_proof_is_shown_as_a_matrix_with_its_problems():
    """A cross where a check fails a mistake, a dash where it is blocked, a dot where it passes."""
    proof = Proof(
        "demo", matrix={"m": {"a": "passed", "b": "failed", "c": "blocked"}}, mistakes=1, caught=1, checks=3
    )
    out = io.StringIO()
    show_proof(proof, Console(file=out, width=80))
    assert "every property holds" in out.getvalue()
    [row] = [line for line in out.getvalue().splitlines() if line.strip().startswith("m ")]
    assert row.split() == ["m", "·✗-"]
    wide = Proof("demo", matrix={"a" * 60: {f"check_{n:02}": "failed" for n in range(55)}}, checks=55)
    show_proof(wide, wrapped := Console(file=io.StringIO(), width=80))
    assert f"{'a' * 23}… {'✗' * 55}" in wrapped.file.getvalue()
    proof.problems.append("the stub scores 1, expected 0")
    show_proof(proof, Console(file=out, width=80))
    assert "problem: the stub scores 1, expected 0" in out.getvalue()
