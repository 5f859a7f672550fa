"""The twelve invariants of docs/security.md, each as a test on real processes."""

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dlgrade import sandbox, wire
from dlgrade.checks import Check
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.errors import GraderFault
from dlgrade.grading import Grading
from dlgrade.outcome import VERDICTS, Violation
from dlgrade.peer import LocalPeer
from dlgrade.process import Deadline
from dlgrade.proxy import Channel, Subject
from dlgrade.report import Report
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission
from dlgrade.tree import Decoder
from tests.hostile import suite

SEED = 77
DOUBLE = "\n\ndef double(x):\n    {}\n"


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return suite.Places(tmp_path_factory.mktemp("invariants"))


@pytest.fixture(scope="module")
def zygote():
    with Zygote(["torch"]) as running:
        yield running


@pytest.fixture(scope="module")
def plan(places):
    settings = RunSettings("quick", SEED, mode=suite.strongest())
    return RunPlan(places.course.exercise("target"), settings, hidden=True)


@pytest.fixture(scope="module")
def run(zygote, plan):
    with Run(zygote, plan) as running:
        yield running


@pytest.fixture
def grade(run, places):
    """The report of the full answer with something appended."""

    def graded(more: str = "") -> Report:
        submission = Submission("someone", "someone", places.answer + more, Path("someone"), "py")
        [report] = run.grade([submission])
        return report

    return graded


def result(report: Report, name: str):
    return next(check for check in report.checks if check.id == name)


def test_1_points_come_from_values_compared_in_the_checker(grade):
    """A worker that claims success in every field of every reply, and computes nothing, gets no points."""
    claims = """
from dlgrade import wire
send = wire.send
wire.send = lambda sock, header, buffers, wait=None: send(
    sock, {**header, "verdict": "passed", "passed": True, "points": 9}, buffers)

def double(x):
    return 0 * x
"""
    report = grade(claims)
    assert {check.id for check in report.checks if check.part == "double" and check.points} == {
        "double_keeps_the_shape"
    }


@pytest.mark.parametrize(
    "body",
    [
        "import os; os._exit(0)",
        "while True: pass",
        "import os; os.write(3, b'x' * 99)",
        "raise SystemExit(0)",
    ],
)
def test_2_what_does_not_answer_gets_nothing_and_the_rest_runs(grade, body):
    """Death, silence, a broken protocol and an exit each cost their own checks, and no other."""
    report = grade(DOUBLE.format(body))
    assert {check.points for check in report.checks if check.part == "double"} == {0.0}
    assert {check.verdict for check in report.counted if check.part != "double"} == {"passed"}
    assert report.complete


def test_3_results_are_counted_against_the_expected_checks(run, places, grade):
    """A checker that ends early leaves no check out: the missing are internal, and never passed."""
    report = grade()
    assert [check.id for check in report.checks] == [check.id for check in run.checks]
    assert {check.verdict for check in report.checks} <= set(VERDICTS)
    from dlgrade.engine import _lost

    lost = _lost(run.checks[0])
    assert (lost.verdict, lost.points, lost.max_points) == ("internal", 0.0, run.checks[0].points)


def test_4_nothing_secret_is_where_a_worker_can_see(grade, places, monkeypatch):
    """Environment, arguments, descriptors, mounts, memory and files of a worker hold no secret."""
    monkeypatch.setenv("GRADER_TOKEN", places.token)
    course = str(places.course.root / "reference")
    look = f"""
import gc, os
def double(x):
    found = [str(dict(os.environ))]
    for name in ("cmdline", "environ", "maps", "mountinfo", "status"):
        try:
            found.append(open("/proc/self/" + name).read())
        except OSError:
            pass
    for fd in range(64):
        try:
            found.append(os.readlink(f"/proc/self/fd/{{fd}}"))
        except OSError:
            pass
    for thing in gc.get_objects():
        if isinstance(thing, dict):
            found += [v for v in thing.values() if isinstance(v, str) and len(v) < 100_000]
    words = ("GRADER" + "_TOKEN", "solu" + "tions/target", {places.token[::-1]!r}[::-1])
    hits = [w for w in words if any(w in text for text in found if "LookupError" not in text)]
    raise LookupError(f"{{hits}} {{os.path.exists({course!r})}}")
"""
    told = result(grade(look), "double_keeps_the_shape").message
    names_are_hidden = suite.strongest() == "full"  # in core, stat tells that a known name exists
    assert told == f"LookupError: [] {not names_are_hidden}"


def test_5_held_out_labels_never_leave_the_checker(places):
    """What an accuracy check sends to the held-out worker are images only: no labels, no gradient."""
    from dlgrade.contest import Contest

    sent: list[dict] = []
    answer = Recorder("answer", places.answer, sent)
    subject = Subject(Channel(answer, stream=1, deadline=Deadline(60)))
    model = subject.build("Classifier", 10)
    labels = torch.arange(300).remainder(10).numpy()
    data = _open_data(labels)
    contest = Contest(
        check="c", data=data, settings={}, seed=3, cpu_seconds=9, device="cpu", progress=lambda _: None
    )
    sent.clear()
    contest._count(model)
    assert {header["op"] for header in sent} <= {"call", "push", "pull"}
    assert not any(header.get("grad") for header in sent)
    assert all(len(header["args"]["t"]) == 1 and header["kwargs"] == {"d": []} for header in _calls(sent))


def _calls(sent):
    return [header for header in sent if header["op"] == "call"]


class Recorder(LocalPeer):
    """A local peer that keeps the headers it was sent."""

    def __init__(self, name, source, sent):
        super().__init__(name, source)
        self._sent = sent

    def exchange(self, header, buffers, caps, deadline):
        self._sent.append(header)
        return super().exchange(header, buffers, caps, deadline)


def _open_data(labels):
    """Held-out images of noise, in the shape that a contest reads."""
    import inspect

    from dlgrade import contest

    images = torch.randint(0, 256, (len(labels), 32, 32, 3), dtype=torch.uint8).numpy()
    values = {
        "name": "noise", "title": "noise", "checksum": "", "key": "noise", "granted": (),
        "inputs": images, "labels": labels,
    }  # fmt: skip
    wanted = inspect.signature(contest.OpenData).parameters
    return contest.OpenData(**{name: value for name, value in values.items() if name in wanted})


def test_6_a_worker_serves_one_submission_and_one_group_of_checks(grade):
    """What a call leaves behind in its process is there for later checks of the same group only."""
    remember = """
import os
seen = []
def double(x):
    seen.append(tuple(x.shape))
    raise LookupError(str(seen))
"""
    first, second = (result(grade(remember), "double_keeps_the_shape").message for _ in range(2))
    assert first == second == "LookupError: [(2, 3)]"
    note = """
seen = []
def double(x):
    seen.append(1)
    return 2 * x if len(seen) <= 1 else x
"""
    report = grade(note)
    assert result(report, "double_doubles").verdict == "failed"  # the second call in the visible group
    assert result(report, "double_doubles_large_numbers").verdict == "passed"  # the first in its own
    assert result(report, "double_takes_rows_in_any_order").verdict == "failed"


def test_7_inputs_are_copies(grade):
    """Writing to an input changes nothing that the reference is computed from."""
    report = grade(DOUBLE.format("return x.mul_(0)"))
    assert result(report, "double_doubles").verdict == "failed"


def test_8_of_a_hidden_check_no_text_of_the_student_reaches_the_report(grade):
    """Neither message nor output nor frames; and what is shown of visible ones is capped."""
    shout = """
def double(x):
    print("SHOUT" * 1_000_000)
    raise ValueError("SHOUT " + str(x.tolist()) * 100_000)
"""
    report = grade(shout)
    hidden = [check for check in report.checks if check.hidden and check.verdict == "raised"]
    assert hidden
    assert all(
        "SHOUT" not in json.dumps([check.message, check.frames, check.title, check.help]) for check in hidden
    )
    assert len(report.to_json()) < 2_000_000
    assert "\x1b" not in report.to_json()


def test_8_a_check_lost_to_our_own_fault_keeps_its_maximum(places, zygote, tmp_path):
    """An error of a check is internal: its points stay in the maximum, and the report is not complete."""
    broken = suite.Places(tmp_path)
    file = broken.course.root / "solutions/target/checks/hidden/test_numbers.py"
    file.write_text(file.read_text().replace("1000 * oracle", "1000 * oracle.nothing * oracle"))
    settings = RunSettings("quick", SEED, mode=suite.strongest())
    with Run(zygote, RunPlan(broken.course.exercise("target"), settings, hidden=True)) as run:
        [report] = run.grade([Submission("s", "s", broken.answer, Path("s"), "py")])
    assert (report.score, report.max_score, report.complete, report.exit_code) == (12.0, 13.0, False, 3)


def test_9_nothing_of_a_worker_remains(places, plan, zygote):
    """After a run of workers that hang, flood and nest, there is no process and no folder of theirs."""
    bodies = (
        "import time; time.sleep(60)",
        "import os\n    for _ in range(1500): os.mkdir('d'); os.chdir('d')",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)\n    return x",
    )
    before = set(_run_folders())
    with Run(zygote, plan) as run:
        texts = [places.answer + DOUBLE.format(body) for body in bodies]
        list(run.grade([Submission(str(i), "s", t, Path("s"), "py") for i, t in enumerate(texts)]))
        assert suite.litter(run._folder.path) == []
        folder = run._folder.path
    assert not folder.exists()
    assert folder not in before


def _run_folders():
    import tempfile

    return Path(tempfile.gettempdir()).glob("dlgrade-*")


def test_9_a_worker_whose_checker_is_gone_is_ended(zygote, tmp_path):
    """Nobody has to ask for it: the zygote sees its status socket close."""
    import time

    from dlgrade.children import WorkerSettings, forked_by
    from dlgrade.process import WorkerProcess

    settings = WorkerSettings(
        "target", 1, {"mode": "core", "scratch": str(tmp_path), "limits": {"scratch_bytes": 1 << 20}}
    )
    worker = WorkerProcess(forked_by(zygote.control), settings)
    frame = json.dumps(
        {"id": 1, "op": "load", "seed": 0, "source": "while True: pass", "buffers": []}
    ).encode()
    worker._child.sock.send(wire.PREFIX.pack(wire.MAGIC, len(frame), 0) + frame)
    assert Path(f"/proc/{worker._child.pid}").exists()
    worker._child._status.close()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{worker._child.pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker._child.close()


def test_10_mode_and_limits_are_in_every_report(grade):
    """What the kernel enforces, read back in the worker, not what was asked for."""
    report = grade()
    assert report.isolation == suite.strongest()
    assert report.limits["memory_bytes"] == 768 << 20
    assert report.limits["threads"] == 32
    assert report.limits["landlock_abi"] >= sandbox.MINIMUM_LANDLOCK_ABI
    assert "seccomp" in report.limits["layers"]


def test_10_a_breached_canary_stops_the_run(places, zygote, monkeypatch):
    """The self-test runs in a worker of this run before its first submission, and names what got through."""
    from dlgrade.canaries import CANARIES, self_test
    from dlgrade.children import WorkerSettings, forked_by
    from dlgrade.process import try_canaries

    assert len(CANARIES) >= 10
    folder = places.root / "open"
    folder.mkdir(exist_ok=True)
    policy = {"mode": "none", "scratch": str(folder), "limits": {"scratch_bytes": 1 << 30}}
    settings = WorkerSettings("target", 1, policy)
    with pytest.raises(GraderFault, match=r"a worker could .*read a file outside") as refused:
        self_test(lambda bait: try_canaries(forked_by(zygote.control), replace(settings, bait=bait)))
    assert refused.value.exit_code == 3


def test_11_one_secret_seed_for_a_run(places, zygote, plan, grade):
    """Two runs of one seed see the same inputs, another seed sees others; none is one that is published."""
    from dlgrade.planning import secret_seed

    show = DOUBLE.format("raise LookupError(str(x.tolist()))")
    first = result(grade(show), "double_keeps_the_shape").message
    seen = []
    for seed in (SEED, SEED + 1):
        settings = replace(plan.settings, seed=seed)
        with Run(zygote, replace(plan, settings=settings)) as run:
            [report] = run.grade([Submission("s", "s", places.answer + show, Path("s"), "py")])
            seen.append(result(report, "double_keeps_the_shape").message)
            assert report.seed == seed
    assert seen[0] == first != seen[1]
    assert secret_seed() != secret_seed()


def test_12_a_hostile_submission_changes_no_other(run, places):
    """Beside a hang, a death, a flood and a token bomb, the honest one gets what it gets alone."""
    hostile = [places.answer + DOUBLE.format(body) for body in ("while True: pass", "import os; os._exit(1)")]
    hostile += [places.answer + "\n" + "a;" * 200_000, "print('x' * 10_000_000)\n" + places.answer]
    texts = {
        "honest": places.answer,
        **{f"hostile-{i}": text for i, text in enumerate(hostile)},
        "also": places.answer,
    }
    handed_in = [Submission(name, name, text, Path(name), "py") for name, text in texts.items()]
    reports = {report.submission: report for report in run.grade(handed_in, jobs=2)}
    assert len(reports) == len(texts)
    assert reports["honest"].score == reports["also"].score == 13.0
    assert all(report.complete for report in reports.values())


def test_decoding_needs_nothing_but_bytes():
    """A value is rebuilt from a header and buffers that were never an object in the checker."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send(ours, {"id": 1, "ok": {"b": 0, "dtype": "float32", "shape": [2]}}, [b"\0" * 8])
        header, buffers = wire.receive(theirs, wire.ANSWER)
        assert Decoder(buffers).decode(header["ok"]).tolist() == [0.0, 0.0]
        with pytest.raises(Violation):
            Decoder([]).decode({"reduce": ["os.system", "true"]})


def test_a_hidden_message_is_dropped_where_the_result_is_made(plan):
    """Not by whoever shows the report: the record of a hidden check never holds the student's text."""
    grading = Grading.__new__(Grading)
    grading.results = {}
    check = Check("c", "title", "double", 1.0, "value", "help", (), (), "quick", None, hidden=True)
    made = Grading._result(grading, check, "raised", message="the input was [1, 2]", frames=((1, "f", "x"),))
    assert (made.message, made.frames) == ("", ())
