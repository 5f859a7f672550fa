"""The checker where there is no fork: it hears jobs on standard input and tells events on standard output."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import IO, Any

from dlgrade import children
from dlgrade.checker import RunRequest, conduct
from dlgrade.desk import OpenDesk


def main() -> None:
    """Serve one run; the first line says what it is about."""
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a check prints is no event
    supervisor = PipeSupervisor(sys.stdin.buffer, events)
    conduct(RunRequest.from_json(supervisor.next()["run"]), supervisor, children.spawned)


class PipeSupervisor:
    """A supervisor behind two pipes; each submission is graded in this very process."""

    def __init__(self, jobs: IO[bytes], events: IO[bytes]) -> None:
        self._events = events
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=[jobs], daemon=True).start()

    def _read(self, jobs: IO[bytes]) -> None:
        """When the supervisor has hung up, whatever is being graded is nobody's any more."""
        for line in jobs:
            self._lines.put(line)
        os._exit(0)

    def next(self) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = json.loads(self._lines.get())
        return message

    def tell(self, message: dict[str, Any]) -> None:
        self._events.write(json.dumps(message).encode() + b"\n")
        self._events.flush()

    def serve(self, open_desk: OpenDesk, seconds: float) -> None:
        while True:
            job = self.next()
            desk = open_desk()
            try:
                done = desk.grade(job, self.tell)
            finally:
                desk.close()
            self.tell(done)
