"""Counts, rates and defaults of a cohort's run."""

from dlgrade import planning
from dlgrade.report import CheckResult, Report
from dlgrade.tally import Tally, duration


def report(verdict: str) -> Report:
    points = 2.0 * (verdict == "passed")
    return Report(
        "tiny", "a", "", "quick", 5, (CheckResult("c", "p", "value", "t", False, verdict, points, 2.0),)
    )


def test_the_line_counts_what_is_finished_and_times_what_this_run_did():
    """Kept ones are finished but not fast: rate and time left come from those graded now."""
    now = [0.0]
    tally = Tally(10, clock=lambda: now[0])
    tally.keep(report("passed"))
    assert tally.line() == "1 of 10 done, 0 failed"
    now[0] = 30.0
    tally.add(report("failed"))
    tally.add(report("passed"))
    tally.add(report("internal"))
    assert tally.line() == "4 of 10 done, 1 failed, 1 not judged, 6 a minute, about 60 s left"
    assert tally.summary() == (
        "4 submissions, 1 of them graded before; 1 failed a check; mean score 1.3 of 2; 1 not judged, by our"
        " fault: run the command again"
    )


def test_durations_are_for_people():
    """Seconds, minutes and hours, whichever is short."""
    assert [duration(seconds) for seconds in (5, 119, 600, 10000)] == [
        "about 5 s", "about 119 s", "about 10 min", "about 3 h",
    ]  # fmt: skip


def test_jobs_are_what_submissions_cores_and_memory_permit(monkeypatch):
    """The smallest of the three, and at least one."""
    monkeypatch.setattr(planning, "cores", lambda: 8)
    monkeypatch.setattr(planning, "free_memory", lambda: 3 * planning.JOB_BYTES)
    assert planning.default_jobs(100) == 3
    assert planning.default_jobs(2) == 2
    monkeypatch.setattr(planning, "free_memory", lambda: 0)
    assert planning.default_jobs(100) == 1


def test_free_memory_is_the_control_groups_where_that_is_less(monkeypatch, tmp_path):
    """Its limit less what it uses; `max` is no limit."""
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("5000\n")
    monkeypatch.setattr(planning, "CGROUP", tmp_path)
    assert planning.free_memory() == 4000
    (tmp_path / "memory.max").write_text("max\n")
    assert planning.free_memory() > 1 << 20


def test_a_quick_worker_has_one_thread():
    """Whatever the cores; training takes those that other jobs leave."""
    assert planning.worker_threads(1, "quick") == 1
    assert planning.worker_threads(1, "cpu") == planning.cores()
