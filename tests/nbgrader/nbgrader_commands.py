"""Runs real `nbgrader` commands, several from one warm process: each start costs seconds of imports.

Every command still is a process of its own, forked after the imports, with its own environment and folder.
"""

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import asdict, dataclass, field

SCRIPTS = sysconfig.get_path("scripts")


@dataclass(frozen=True)
class Command:
    """`nbgrader` with these arguments, as an instructor or as the student `user`."""

    arguments: list[str]
    cwd: str
    user: str | None = None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """How a command ended, and all it printed."""

    code: int
    output: str


def nbgrader(*commands: Command, timeout: float = 300) -> list[Done]:
    """Run the commands one after the other."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("DLGRADE", "JUPYTER", "NBGRADER", "PYTEST"))
    }
    path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", __file__],
        input=json.dumps([asdict(command) for command in commands]),
        env={**kept, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=timeout,
        check=True,
    )
    return [Done(**done) for done in json.loads(finished.stdout)]


def _run(command: dict) -> dict:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        os.dup2(write, 1)
        os.dup2(write, 2)
        _become_nbgrader(Command(**command))
    os.close(write)
    with os.fdopen(read, errors="replace") as output:
        text = output.read()
    return {"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "output": text}


def _become_nbgrader(command: Command) -> None:
    import pwd

    from nbgrader.apps.nbgraderapp import NbGraderApp

    code = 1
    try:
        os.chdir(command.cwd)
        os.environ.update(command.environment)
        if command.user is not None:
            os.environ["JUPYTERHUB_USER"] = command.user
            entry = pwd.getpwuid(os.getuid())
            # nbgrader reads JUPYTERHUB_USER only where the OS user is jovyan, whom only root could add.
            pwd.getpwuid = lambda _uid: pwd.struct_passwd(("jovyan", *entry[1:]))
        sys.argv = ["nbgrader", *command.arguments]
        NbGraderApp.launch_instance()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    import nbgrader.apps.nbgraderapp
    import nbgrader.converters
    import nbgrader.exchange

    del nbgrader  # only warmed up
    print(json.dumps([_run(command) for command in json.loads(sys.stdin.read())]))
