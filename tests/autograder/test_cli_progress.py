"""What a run tells about how far it is, and what a command's options come to."""

import io
from pathlib import Path

import pytest

from dlgrade import planning, probing
from dlgrade.checks import Check
from dlgrade.errors import UsageError
from dlgrade.progress import LOADING, PlainProgress, Shares, shown

CHECKS = [Check(name, name, "part", 1, "value", "") for name in ("a", "b", "c", "d")]


class Clock:
    """A clock that stands still until it is told the time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_shares_count_checks_and_training_of_submissions_under_way():
    """Two of four checks and half of the third of one submission are 0.625 of it."""
    shares = Shares(4)
    shares.take("x", {"event": "check"})
    shares.take("x", {"event": "check"})
    assert shares.take("x", {"event": "progress", "done": 0.5}) == 0.625
    assert shares.take("y", {"event": "check"}) == 0.875
    assert shares.take("x", {"event": "done"}) == 1.25


def test_plain_progress_is_quiet_for_ten_seconds_then_tells_the_time_left():
    """A log gets one line at the start and few after it."""
    stream, clock = io.StringIO(), Clock()
    progress = PlainProgress(stream, clock)
    progress.loading()
    progress.opened(CHECKS, 10)
    for second in range(1, 22):
        clock.now = second
        progress.watch("x", {"event": "check"} if second % 4 else {"event": "done"})
    lines = stream.getvalue().splitlines()
    assert lines == [
        f"dlgrade: {LOADING}",
        "dlgrade: 25% done (2 of 10 submissions), about 30 s left",
        "dlgrade: 50% done (5 of 10 submissions), about 20 s left",
    ]


def test_a_pipe_gets_plain_lines():
    """No cursor movement where there is no terminal."""
    stream = io.StringIO()
    with shown(stream=stream) as progress:
        progress.loading()
    assert stream.getvalue() == f"dlgrade: {LOADING}\n"


def test_a_terminal_gets_a_bar_and_a_second_one_while_training():
    """Both are gone at the end."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    training = Check("t", "t", "part", 1, "accuracy", "", tier="cpu", data="cifar10")
    with shown(stream=stream) as progress:
        progress.loading()
        progress.opened([*CHECKS, training], 2)
        progress.watch("anna", {"event": "start", "check": "a"})
        progress.watch("anna", {"event": "check"})
        assert not progress._trainings
        progress.watch("anna", {"event": "start", "check": "t"})
        progress.watch("anna", {"event": "progress", "check": "t", "done": 0.5})
        assert set(progress._trainings) == {"anna"}
        progress.watch("anna", {"event": "check"})
        assert not progress._trainings


def test_auto_is_the_largest_tier_that_the_machine_has_devices_for(tmp_path):
    """gpu where the driver's device is, else cpu; gpu without it is refused with the way out."""
    device = tmp_path / "nvidiactl"
    assert planning.choose_tier("auto", device) == "cpu"
    with pytest.raises(UsageError, match="use --tier cpu"):
        planning.choose_tier("gpu", device)
    device.touch()
    assert planning.choose_tier("auto", device) == planning.choose_tier("gpu", device) == "gpu"
    assert planning.choose_tier("quick", device) == "quick"
    assert planning.device_of("gpu") == "cuda"


def test_secret_seeds_differ_and_are_long():
    """62 bits, so that no two runs share one and nobody tries them all."""
    seeds = {planning.secret_seed() for _ in range(100)}
    assert len(seeds) == 100
    assert max(seeds) > 1 << 50


def test_grading_uses_the_strongest_isolation_there_is():
    """The same mode for check and grade where the machine can confine at all; a weaker one on request."""
    strongest = probing.strongest("core")
    assert planning.graded_isolation(None) == planning.practice_isolation(None) == (strongest, None)
    mode, warning = planning.graded_isolation("none")
    assert mode == "none"
    assert "not trustworthy" in warning
    assert planning.graded_isolation("core") == ("core", None)


def test_threads_are_the_cores_shared_among_jobs():
    """At least one each, and together no more than there are cores where that is possible."""
    cores = planning.cores()
    assert planning.worker_threads(1, "cpu") == cores
    assert planning.worker_threads(10 * cores, "cpu") == 1


def test_the_gpu_device_is_the_drivers():
    """Looked for without loading torch, which takes seconds."""
    assert Path("/dev/nvidiactl") == planning.GPU
