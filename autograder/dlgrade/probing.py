"""Which isolation this machine gives: each mode is entered in a throwaway child, once per process."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NoReturn

from dlgrade import kernel
from dlgrade.errors import GraderFault
from dlgrade.sandbox import MODES, Policy, enter, fork


@dataclass(frozen=True)
class Support:
    """What isolation this machine gives: by mode, None where it works, else why not and what helps."""

    refused: Mapping[str, str | None]

    def allows(self, mode: str) -> bool:
        return self.refused[mode] is None


_ELSEWHERE: Final = "isolation is not possible here: it needs Linux, and this is another system"


@cache
def probe() -> Support:
    """Enter each mode in a throwaway child and see; once per process."""
    if sys.platform != "linux":
        return Support({"full": _ELSEWHERE, "core": _ELSEWHERE, "none": None})
    return Support({"full": _try("full"), "core": _try("core"), "none": None})


def _try(mode: str) -> str | None:
    with tempfile.TemporaryDirectory(prefix="dlgrade-probe-") as scratch:
        try:
            in_fork(Policy(mode, scratch=scratch))(lambda: None)
        except GraderFault as fault:
            return str(fault)
    return None


def strongest(minimum: str = "core") -> str:
    """The strongest mode that works here.

    Raises:
        GraderFault: it is weaker than `minimum`; the text names the refused call and what helps.
    """
    support = probe()
    for mode in MODES[: MODES.index(minimum) + 1]:
        if support.allows(mode):
            return mode
    raise GraderFault(str(support.refused[minimum]))


def in_fork(policy: Policy) -> Callable[[Callable[[], Any]], Any]:
    """A runner: calls a function in a forked child inside the sandbox, and returns its JSON-able result.

    Raises (the runner):
        GraderFault: the child could not enter, or ended without an answer.
    """

    def run(function: Callable[[], Any]) -> Any:
        ours, theirs = os.pipe()
        child, parent = fork(policy.mode)
        if child == 0:
            _answer(policy, function, *_alone_with(theirs, parent))
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            answer = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if not answer:
            raise GraderFault(f"a worker in isolation {policy.mode!r} ended with status {status}, unasked")
        result = json.loads(answer)
        if "fault" in result:
            raise GraderFault(result["fault"])
        return result["result"]

    return run


def _alone_with(pipe: int, parent: int | None) -> tuple[int, int | None]:
    """Keep no descriptor but nothing on 0 to 2, the pipe on 3, and what `fork` returned on 4."""
    null = os.open(os.devnull, os.O_RDWR)
    kernel.keep_only(null, null, null, pipe, parent)
    return 3, None if parent is None else 4


def _answer(policy: Policy, function: Callable[[], Any], pipe: int, parent: int | None) -> NoReturn:
    try:
        enter(policy, parent)
        reply = {"result": function()}
    except GraderFault as fault:
        reply = {"fault": str(fault)}
    except BaseException as error:
        reply = {"fault": f"{type(error).__name__} in a worker in isolation {policy.mode!r}: {error}"}
    finally:
        with contextlib.suppress(BaseException):
            os.write(pipe, json.dumps(reply).encode())
        os._exit(0)
