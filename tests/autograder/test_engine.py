"""Real zygote, checker and workers on a tiny course: every verdict, and what crosses to whom."""

import shutil
import socket
import tempfile
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dlgrade.build import build
from dlgrade.course import Course
from dlgrade.engine import Flight, Run, RunPlan, Zygote, _Stream
from dlgrade.errors import GraderFault
from dlgrade.fingerprints import fingerprints
from dlgrade.report import Report
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission
from dlgrade.verify import verify
from tests.autograder import tiny_course

SEED = 11


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return tiny_course.make(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def zygote():
    with Zygote(["torch"]) as running:
        yield running


@pytest.fixture(scope="module")
def run(course, zygote):
    """Graded as staff do: hidden checks too, at a secret seed."""
    plan = RunPlan(course.exercise("tiny"), RunSettings("quick", SEED), hidden=True)
    with Run(zygote, plan) as running:
        yield running


def submission(text: str, name: str = "someone") -> Submission:
    return Submission(name, name, textwrap.dedent(text), Path(name), "py")


def grade(run: Run, text: str) -> Report:
    [report] = run.grade([submission(text)])
    return report


def verdicts(report: Report) -> dict[str, str]:
    return {check.id: check.verdict for check in report.checks}


def result(report: Report, name: str):
    return next(check for check in report.checks if check.id == name)


def test_the_full_answer_gets_every_point(course, run):
    """All quick checks pass, the later tier is deferred and outside the maximum."""
    report = grade(run, tiny_course.answer_with(course))
    assert (report.score, report.max_score, report.deferred_points) == (10, 10, 1)
    assert report.complete
    assert report.exit_code == 0
    assert verdicts(report)["affine_can_be_trained"] == "deferred"


def test_the_stub_is_missing_throughout(course, run):
    """Every part is `missing`, nothing raised, no point."""
    report = grade(run, course.exercise("tiny").released_source)
    assert {check.verdict for check in report.counted} == {"missing"}
    assert report.score == 0
    assert report.exit_code == 1


def test_a_known_mistake_is_named(course, run):
    """The failed check carries the mistake's name and sentence; what it needs is blocked, not failed."""
    report = grade(run, tiny_course.answer_with(course, double="def double(x):\n    return 3 * x\n"))
    failed = result(report, "double_doubles")
    assert failed.verdict == "failed"
    assert failed.diagnosis == {"mistake": "tripled", "text": "You add the input three times."}
    report = grade(
        run, tiny_course.answer_with(course, double="def double(x):\n    return (2 * x).flatten()\n")
    )
    assert result(report, "double_doubles").verdict == "blocked"


def test_an_unknown_wrong_answer_is_not_given_a_name(course, run):
    """What matches no mistake is failed without a diagnosis."""
    report = grade(run, tiny_course.answer_with(course, double="def double(x):\n    return 2.5 * x\n"))
    assert result(report, "double_doubles").verdict == "failed"
    assert result(report, "double_doubles").diagnosis is None


def test_the_students_exception_is_shown_with_their_line(course, run):
    """Type, message and the student's own source line."""
    report = grade(
        run, tiny_course.answer_with(course, double="def double(x):\n    raise KeyError('mine')\n")
    )
    raised = result(report, "double_keeps_the_shape")
    assert (raised.verdict, raised.message) == ("raised", "KeyError: 'mine'")
    assert raised.frames[-1][1:] == ("double", "raise KeyError('mine')")


@pytest.mark.parametrize(
    ("body", "verdict", "sentence"),
    [
        ("import os\ndef double(x):\n    os._exit(0)\n", "violation", "exit code 0"),
        (
            "import os, signal\ndef double(x):\n    os.kill(os.getpid(), signal.SIGSEGV)\n",
            "violation",
            "SIGSEGV",
        ),
        ("def double(x):\n    while True: pass\n", "timeout", "longer than 3 s"),
        ("def double(x):\n    raise SystemExit(0)\n", "raised", "SystemExit: 0"),
        ("def double(x):\n    return bytearray(6 << 30)\n", "memory", "out of memory"),
        ("def double(x):\n    return object\n", "failed", "expected a tensor"),
        ("def double(x):\n    return x.to_sparse()\n", "failed", "to_dense"),
        ("def double(x):\n    return double(x)\n", "raised", "RecursionError"),
        ("def double(x, y):\n    return x\n", "raised", "TypeError"),
        ("class double:\n    def __init__(self, x): pass\n", "failed", "expected a tensor"),
        ("double = 3\n", "raised", "TypeError"),
        (
            "import os\ndef double(x):\n    os.write(3, b'x' * 1000)\n    return x\n",
            "violation",
            "frame began with",
        ),
        ("import os\ndef double(x):\n    os.close(3)\n    return x\n", "violation", "instead of returning"),
    ],
)
def test_each_way_to_fail_has_its_verdict_and_the_others_still_run(course, run, body, verdict, sentence):
    """Death, hang, exit, memory, wrong types and protocol breaches cost their own points only."""
    report = grade(run, tiny_course.answer_with(course, double=body))
    first = result(report, "double_keeps_the_shape")
    assert first.verdict == verdict, first
    assert sentence in first.message
    assert report.complete
    others = [check for check in report.counted if check.part != "double"]
    assert {check.verdict for check in others} == {"passed"}
    assert report.score == 6


@pytest.mark.parametrize(
    ("text", "verdict", "sentence"),
    [
        ("def double(x:\n    pass\n", "raised", "SyntaxError"),
        ("import absent_package\n", "raised", "ModuleNotFoundError: No module named 'absent_package'"),
        ("raise RuntimeError('at import')\n", "raised", "RuntimeError: at import"),
        ("import sys; sys.exit(0)\n", "raised", "SystemExit: 0"),
        ("import os; os._exit(0)\n", "violation", "exit code 0"),
        ("while True: pass\n", "timeout", "longer than 3 s"),
    ],
)
def test_a_module_that_does_not_load_fails_every_part_it_defines(course, run, text, verdict, sentence):
    """Top-level code that raises, exits, dies or hangs is met once and told for each check."""
    report = grade(
        run, text + tiny_course.answer_with(course) if verdict != "raised" or "(x:" not in text else text
    )
    assert {check.verdict for check in report.counted} == {verdict, "blocked"}
    assert sentence in result(report, "double_keeps_the_shape").message
    assert report.score == 0
    assert report.complete


def test_of_a_hidden_check_a_student_sees_no_value(course, run):
    """Title, verdict, help and a diagnosed mistake remain; message, frames and output do not."""
    body = "def double(x):\n    print('hidden input', x)\n    return (2 * x).clamp(-100, 100)\n"
    report = grade(run, tiny_course.answer_with(course, double=body))
    hidden = result(report, "double_doubles_large_numbers")
    assert hidden.verdict == "failed"
    assert hidden.message == ""
    assert hidden.frames == ()
    assert hidden.help == "large numbers too"
    assert hidden.diagnosis["mistake"] == "overflowing"
    assert report.output.count("hidden input") == 2  # the two visible checks, not the hidden one


def test_hidden_checks_run_in_a_worker_of_their_own(course, run):
    """State left behind by a visible check's call is not there in the hidden one."""
    body = """
        calls = []
        def double(x):
            calls.append(1)
            return 2 * x if len(calls) <= 2 else 0 * x
    """
    report = grade(run, tiny_course.answer_with(course, double=body))
    assert result(report, "double_doubles").verdict == "passed"
    assert result(report, "double_doubles_large_numbers").verdict == "passed"


def test_unmatched_weights_leave_the_decision_to_property_checks(course, run):
    """An extra parameter cannot be mapped; the property check carries the points, and the path is told."""
    body = """
        import torch
        from torch import nn
        class Affine(nn.Module):
            def __init__(self, width):
                super().__init__()
                self.linear = nn.Linear(3, width)
                self.scale = nn.Parameter(torch.ones(width))
            def forward(self, x):
                return self.linear(x) * self.scale
    """
    report = grade(run, tiny_course.answer_with(course, Affine=body))
    decided = result(report, "affine_is_affine")
    assert (decided.verdict, decided.path) == ("passed", "by property")


def test_one_seed_gives_one_report(course, zygote):
    """Two runs of one seed agree in everything but time; another seed changes the inputs."""
    text = tiny_course.answer_with(course, double="def double(x):\n    return 2.5 * x\n")
    messages = []
    for seed in (5, 5, 6):
        with Run(zygote, RunPlan(course.exercise("tiny"), RunSettings("quick", seed), hidden=True)) as run:
            messages.append(result(grade(run, text), "double_doubles").message)
    assert messages[0] == messages[1] != messages[2]


def test_only_the_asked_part_is_graded(course, zygote):
    """Checks of other parts are deferred: no points, and outside the maximum."""
    settings = RunSettings("quick", SEED, part="descend")
    with Run(zygote, RunPlan(course.exercise("tiny"), settings, hidden=True)) as run:
        report = grade(run, tiny_course.answer_with(course))
    assert (report.score, report.max_score) == (3, 3)


def test_several_submissions_at_a_time_get_what_each_gets_alone(course, run):
    """Two jobs: a hanging and a dying submission change nothing for the others."""
    good, bad = tiny_course.answer_with(course), tiny_course.answer_with(course, double="double = 3\n")
    hang = tiny_course.answer_with(course, double="def double(x):\n    while True: pass\n")
    texts = {"a": good, "b": hang, "c": bad, "d": "import os; os._exit(1)", "e": good}
    reports = {r.submission: r for r in run.grade([submission(t, n) for n, t in texts.items()], jobs=2)}
    assert {name: report.score for name, report in reports.items()} == {
        "a": 10,
        "b": 6,
        "c": 6,
        "d": 0,
        "e": 10,
    }


def test_who_was_graded_before_changes_no_result(course, zygote):
    """What is kept of the reference's replies is the same for all: wrong answers first, last, and alone."""
    good = tiny_course.answer_with(course)
    wrong = tiny_course.answer_with(course, double="def double(x):\n    return 3 * x\n")
    crashing = tiny_course.answer_with(course, double="def double(x):\n    import os\n    os._exit(3)\n")
    plan = RunPlan(course.exercise("tiny"), RunSettings("quick", SEED), hidden=True)
    results = []
    for order in ([wrong, crashing, good], [good, wrong, crashing], [crashing, good, wrong]):
        with Run(zygote, plan) as run:
            reports = run.grade([submission(text, str(order.index(text))) for text in order])
            graded = {order[int(report.submission)]: report for report in reports}
        results.append(
            [[replace(c, seconds=0.0) for c in graded[text].checks] for text in (good, wrong, crashing)]
        )
    assert results[0] == results[1] == results[2]


def test_a_finished_report_is_not_lost_when_the_next_submission_cannot_be_had(course, run):
    """It is handed on before the error is, though it is only written once the next one is being graded."""

    def failing():
        yield submission(tiny_course.answer_with(course), "first")
        raise GraderFault("the disk is gone")

    reports = run.grade(failing())
    assert next(reports).submission == "first"
    with pytest.raises(GraderFault, match="the disk is gone"):
        next(reports)


class EndingTogether(Run):
    """A run whose submissions have all ended at the first look, which real ones cannot be made to."""

    def __init__(self):
        """Without a checker."""

    def _launch(self, submission, known):
        ours, theirs = socket.socketpair()
        theirs.close()
        return _Stream(Flight(submission), ours)

    def _advance(self, stream, watch):
        watch(stream.flight.submission.name, {})
        return stream.flight.submission


def test_a_finished_report_is_not_lost_when_another_one_ends_the_run():
    """Of two that come at one look, the first is handed on although the second is interrupted."""
    seen, handed_on = [], []

    def watch(name, _event):
        seen.append(name)
        if len(seen) == 2:
            raise KeyboardInterrupt

    reports = EndingTogether().grade([submission("", "one"), submission("", "two")], jobs=2, watch=watch)
    with pytest.raises(KeyboardInterrupt):
        handed_on.extend(report.name for report in iter(lambda: next(reports), None))
    assert len(seen) == 2
    assert handed_on == seen[:1]


def test_students_without_staff_files_get_the_same_feedback(course, zygote, tmp_path):
    """From recorded outputs alone the answer passes, and a mistake is named."""
    build(course, ["tiny"], extra=fingerprints(course.exercise("tiny")))
    shutil.copytree(course.root / "assignments", tmp_path / "assignments")
    exercise = Course(tmp_path).exercise("tiny")
    with Run(zygote, RunPlan(exercise, RunSettings("quick", SEED), hidden=False)) as run:
        report = grade(run, tiny_course.answer_with(course))
        assert (report.score, report.max_score, report.hidden_left) == (6, 6, 3)
        report = grade(run, tiny_course.answer_with(course, double="def double(x):\n    return 3 * x\n"))
        assert result(report, "double_doubles").diagnosis["mistake"] == "tripled"
        rectified = """
            from torch import nn
            class Affine(nn.Module):
                def __init__(self, width):
                    super().__init__()
                    self.layer = nn.Linear(3, width)
                def forward(self, x):
                    return self.layer(x).relu()
        """
        report = grade(run, tiny_course.answer_with(course, Affine=rectified))
        assert result(report, "affine_is_affine").diagnosis["mistake"] == "rectified"


def test_verify_proves_the_course(course):
    """Answer, stub, mistakes and variants behave as an exercise's must, with and without staff files."""
    build(course, ["tiny"], extra=fingerprints(course.exercise("tiny")))
    proof = verify(course, "tiny")
    assert proof.problems == []
    assert (proof.mistakes, proof.caught, proof.diagnosed) == (6, 6, 6)
    assert (proof.variants, proof.variants_passed) == (1, 1)


def test_verify_finds_a_check_that_cannot_fail(tmp_path):
    """A check that no mistake fails, a mistake that nothing catches and a wrong variant are all told."""
    course = tiny_course.make(tmp_path)
    staff = tmp_path / "solutions" / "tiny"
    checks = staff / "checks" / "visible" / "test_visible.py"
    checks.write_text(
        checks.read_text().replace(
            "compare.close(submission.double(x), oracle.double(x)",
            "compare.close(oracle.double(x), oracle.double(x)",
        )
    )
    (staff / "variants" / "wrong.py").write_text(
        '"""Not correct at all."""\n\n\ndef double(x):\n    return x.sum()\n'
    )
    problems = "\n".join(verify(course, "tiny").problems)
    assert "mistake 'tripled' is not caught by double_doubles: passed" in problems
    assert "correct variant 'wrong': double_keeps_the_shape is failed" in problems


def test_a_check_that_cannot_be_loaded_is_our_fault(tmp_path, zygote):
    """The run ends before any submission, with the file's name."""
    course = tiny_course.make(tmp_path)
    (tmp_path / "solutions/tiny/checks/hidden/test_broken.py").write_text("import nothing_like_this\n")
    plan = RunPlan(course.exercise("tiny"), RunSettings("quick", SEED), hidden=True)
    with pytest.raises(GraderFault, match=r"test_broken.py.*nothing_like_this"):
        Run(zygote, plan)


def test_a_fault_of_a_check_costs_no_student_the_maximum(tmp_path, zygote):
    """An exception of our own is `internal`: no points, its maximum kept, exit 3."""
    course = tiny_course.make(tmp_path)
    checks = tmp_path / "solutions/tiny/checks/visible/test_visible.py"
    checks.write_text(
        checks.read_text().replace(
            "x = oracle.normal(2, 3)\n    compare", "x = oracle.normal(2, 3).nothing\n    compare"
        )
    )
    with Run(zygote, RunPlan(course.exercise("tiny"), RunSettings("quick", SEED), hidden=True)) as run:
        report = grade(run, tiny_course.answer_with(course))
    assert result(report, "double_doubles").verdict == "internal"
    assert (report.score, report.max_score, report.complete, report.exit_code) == (8, 10, False, 3)


def test_nothing_is_left_after_a_run(course, monkeypatch):
    """When the zygote is closed, no process of it lives and no folder of the run remains."""
    own = tempfile.mkdtemp()  # other tests make such folders at the same time
    Path(own).chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", own)
    with Zygote(["torch"]) as zygote:
        plan = RunPlan(course.exercise("tiny"), RunSettings("quick", SEED), hidden=True)
        with Run(zygote, plan) as run:
            grade(run, tiny_course.answer_with(course))
        session = zygote._process.pid
    assert _gone(session)
    assert list(Path(own).iterdir()) == []
    Path(own).rmdir()


def _gone(session: int, patience: float = 10.0) -> bool:
    """Whether every process of the session ends, zombies that init has not reaped yet apart."""
    deadline = time.monotonic() + patience
    while any(_alive_in(session, entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _alive_in(session: int, entry: Path) -> bool:
    try:
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] != "Z" and int(fields[3]) == session
