"""Folders of runs: there while their owner lives, gone afterwards, also when the owner was killed."""

import gc
import os
import signal
import subprocess
import sys
import time

from dlgrade import run_folder
from dlgrade.run_folder import RunFolder, sweep

OWNER = """
import sys, time
from dlgrade.run_folder import RunFolder
folder = RunFolder()
(folder.path / "granted.npy").write_bytes(b"data")
print(folder.path, flush=True)
time.sleep(60)
"""


def old(folder):
    """Let a folder look as if it had been made an hour ago."""
    os.utime(folder, (time.time() - 3600,) * 2)


def test_a_folder_goes_with_its_object():
    """By `close`, and where nobody called it."""
    first, second = RunFolder(), RunFolder()
    (first.path / "inner").mkdir()
    first.close()
    assert not first.path.exists()
    assert (place := second.path).stat().st_mode & 0o777 == 0o711
    del second
    gc.collect()
    assert not place.exists()


def test_what_a_killed_owner_left_is_removed_by_the_next_run(monkeypatch, tmp_path):
    """Not before it is dead, and not while it may still be about to lock the folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    [folder] = tmp_path.glob(f"{run_folder.PREFIX}*") if owner.stdout.readline() else []
    old(folder)
    sweep(tmp_path)
    assert (folder / "granted.npy").exists()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    os.utime(folder)
    sweep(tmp_path)
    assert folder.exists()
    old(folder)
    sweep(tmp_path)
    assert not folder.exists()


def test_nothing_else_is_touched(tmp_path):
    """A file, a link and a folder of another name stay, and what the link leads to."""
    target = tmp_path / "mine"
    target.mkdir()
    (target / "thesis.tex").write_text("hours of work")
    (tmp_path / f"{run_folder.PREFIX}link").symlink_to(target)
    (tmp_path / f"{run_folder.PREFIX}file").write_text("")
    old(target)
    sweep(tmp_path)
    assert (target / "thesis.tex").exists()
    assert {path.name for path in tmp_path.iterdir()} == {
        "mine",
        f"{run_folder.PREFIX}link",
        f"{run_folder.PREFIX}file",
    }
