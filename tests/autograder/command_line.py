"""Runs the real `dlgrade` command as a user does, in a process of its own."""

import os
import subprocess
import sysconfig
import time
from pathlib import Path

DLGRADE = str(Path(sysconfig.get_path("scripts")) / "dlgrade")


def environment(**changed: str) -> dict[str, str]:
    """This process's environment without what would steer the command, and `changed` in it."""
    kept = {key: value for key, value in os.environ.items() if key not in ("DLGRADE_COURSE", "NO_COLOR")}
    return {**kept, "COLUMNS": "80", **changed}


def dlgrade(*arguments: object, cwd: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run to the end, at most ten minutes; stdout and stderr are pipes, so no terminal."""
    return subprocess.run(
        [DLGRADE, *map(str, arguments)],
        cwd=cwd,
        env=environment(**changed),
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


def started(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Start in the background, in a session of its own as a terminal's would be."""
    return subprocess.Popen(
        [DLGRADE, *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )


def forked_from(pid: int) -> set[int]:
    """Living processes of the engine that the command `pid` started; each carries its id in its arguments."""
    marker = f'"parent": {pid},'.encode()
    return {
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and marker in _arguments(entry)
    }


def wait_until(condition, seconds: float = 240.0) -> bool:
    """Poll until it holds; False if it does not within that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _arguments(entry: Path) -> bytes:
    """Empty for a process that has ended, also while nobody has reaped it yet."""
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""
