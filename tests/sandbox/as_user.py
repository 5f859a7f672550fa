"""Run a Python command as an ordinary user: `sudo python as_user.py ARGUMENTS...`.

Python may live below a folder that is closed to others, such as /root: a private mount namespace
shows this user the interpreter at its place, and nothing else of that folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dlgrade import kernel

UID = 12345


def show_interpreter() -> None:
    """Replace the top folder that holds the interpreter by one that has only the interpreter."""
    prefix = Path(sys.base_prefix)
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.make_mounts_private()
    tree = kernel.copy_tree(str(prefix), 0)
    kernel.attach(kernel.new_filesystem(b"tmpfs", 0, {"mode": "0755"}), f"/{prefix.parts[1]}")
    prefix.mkdir(parents=True)
    kernel.attach(tree, str(prefix))


if __name__ == "__main__":
    if not Path(sys.base_prefix).stat().st_mode & 0o005 or sys.base_prefix.startswith("/root/"):
        show_interpreter()
    kernel.become(UID, UID, keep_capabilities=False)
    kernel.set_dumpable(True)
    folder = os.environ["TMPDIR"]  # a home, too: Jupyter looks for one
    environment = {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": folder, "HOME": folder}
    os.execve(sys.executable, [sys.executable, *sys.argv[1:]], environment)
