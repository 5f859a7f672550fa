"""Scratch folders, budgets and what only isolation `core` has to watch by itself."""

import os
import time
from pathlib import Path

import pytest

from dlgrade import probing, scratch
from dlgrade.children import WorkerSettings, forked_by
from dlgrade.engine import Zygote
from dlgrade.outcome import TimedOut
from dlgrade.process import Budget, Deadline, WorkerProcess
from dlgrade.proxy import Channel, Subject
from tests.hostile import attack_files, suite

IN_CORE = ("d04_disk", "d04_inodes", "g10_deep_folders", "g11_closed_folders", "g12_note_to_a_later_worker")


@pytest.fixture(scope="module")
def in_core(tmp_path_factory):
    """The attacks on scratch folders, in the mode where those are folders of the machine."""
    if refused := probing.probe().refused["core"]:
        pytest.skip(refused)
    places = suite.Places(tmp_path_factory.mktemp("core"))
    attacks = [attack_files.load(name, places.texts) for name in IN_CORE]
    return attacks, suite.grade(places, attacks, mode="core", tier="quick")


@pytest.mark.parametrize("name", IN_CORE)
def test_attacks_on_scratch_in_core(in_core, name):
    """Floods end by the watch, notes reach no other worker, and any tree is removed."""
    attacks, outcome = in_core
    [attack] = [attack for attack in attacks if attack.id == name]
    for check in outcome.reports[name].counted:
        verdict, sentence = attack.expected(check.id, check.part)
        told = f"{check.id}: {check.verdict}, {check.message!r}"
        assert check.verdict != "passed" if verdict == "" else verdict in ("*", check.verdict), told
        assert check.hidden or sentence in check.message, told
    assert outcome.left == []
    assert not outcome.touched


def test_a_tree_deeper_than_python_recurses_is_removed(tmp_path):
    """Three thousand nested folders, with files in them, closed ones and a link."""
    root, here = tmp_path / "root", Path.cwd()
    root.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("stays")
    (root / "link").symlink_to(outside)
    (root / "closed").mkdir(mode=0)
    os.chdir(root)
    for number in range(3000):
        Path(f"f{number}").touch()
        Path("d").mkdir()
        os.chdir("d")
    os.chdir(here)
    scratch.remove(root)
    assert not root.exists()
    assert (outside / "file").read_text() == "stays"


def test_usage_counts_blocks_and_stops_at_either_limit(tmp_path):
    """A sparse file takes nothing; the walk of a flood ends at the limit."""
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "real").write_bytes(b"x" * 100_000)
    used = scratch.usage(tmp_path, 1 << 30, 100)
    assert used.entries == 2
    assert 100_000 <= used.size < 1 << 20
    for number in range(50):
        (tmp_path / str(number)).touch()
    assert scratch.usage(tmp_path, 1 << 30, 10).entries == 11


def test_training_is_excused_from_the_budget():
    """What happens inside `excusing` does not count; the rest does, and then nothing may be asked."""
    budget = Budget(0.2)
    with budget.excusing():
        time.sleep(0.3)
    budget.check()
    time.sleep(0.25)
    with pytest.raises(TimedOut, match="all checks together took longer than 0 s"):
        budget.check()


def test_requests_in_time_do_not_make_a_submission_in_time(tmp_path):
    """Each of many requests is far from its own deadline; the submission's budget ends them."""
    settings = WorkerSettings(
        "a", 1, {"mode": "core", "scratch": str(tmp_path), "limits": {"scratch_bytes": 1 << 20}}
    )
    with Zygote(["torch"]) as zygote:
        zygote.wait()
        worker = WorkerProcess(forked_by(zygote.control), settings)
        budget = Budget(1.0)
        channel = Channel(worker, stream=1, deadline=Deadline(60, budget=budget))
        encoder = channel.encoder()
        channel.ask("load", encoder, source=encoder.encode("import time\ndef nap(): time.sleep(0.1)"))
        with pytest.raises(TimedOut, match="all checks together took longer than 1 s"):
            _call_often(Subject(channel))
        worker.close()


def _call_often(subject):
    for _ in range(600):
        subject.call("nap")


def test_files_below_long_names_and_unlisted_folders_count(tmp_path):
    """Deeper than any path can name, and in a folder that may be written but not listed."""
    here = Path.cwd()
    os.chdir(tmp_path)
    for _ in range(30):
        Path("n" * 250).mkdir(mode=0o300)
        os.chdir("n" * 250)
    Path("file").write_bytes(b"x" * 500_000)
    os.chdir(here)
    used = scratch.usage(tmp_path, 1 << 30, 100)
    assert used.entries == 31
    assert used.size >= 500_000
    scratch.remove(tmp_path)
    assert not tmp_path.exists()
