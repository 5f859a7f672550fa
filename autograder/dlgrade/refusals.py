"""What a student ran into that is not their code: processes, a network or a device that are not there.

Such errors come from deep inside a library and name nothing that a student wrote. They are recognised by
their type and by the libraries they came through, never by the student's own text alone.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from types import CodeType
from typing import Final

NO_PROCESSES: Final = "the grader's sandbox allows no processes of your own"
NO_WORKERS: Final = "the grader's sandbox allows no processes: use num_workers=0"
NO_NETWORK: Final = "the grader's sandbox has no network: use the files and data that the exercise gives you"
NO_DEVICE: Final = (
    "there is no {name} device here: use the device you are given, or that of the tensors you are given"
)

_REFUSED: Final = (errno.EPERM, errno.EACCES)
_DEVICES: Final = (
    (re.compile(r"NVIDIA|CUDA|\bcuda\b"), "CUDA"),
    (re.compile(r"\bMPS\b|\bmps\b"), "MPS"),
    (re.compile(r"\bXPU\b|\bxpu\b"), "XPU"),
)
_ABSENT: Final = re.compile(
    r"Found no NVIDIA driver|not compiled with|not linked with support|from the '(CUDA|MPS|XPU)' backend"
    r"|No CUDA GPUs are available|(CUDA|MPS|XPU) (is )?not available|backend is supported only on"
)


def explain(error: BaseException) -> str | None:
    """One sentence on what is not there and what to do instead, or None for an ordinary exception."""
    for link in _chain(error):
        codes = list(_codes(link))
        if isinstance(link, OSError):
            if sentence := _of_system(link, codes):
                return sentence
        elif isinstance(link, RuntimeError | AssertionError) and _ABSENT.search(text := _text(link)):
            name = next((name for pattern, name in _DEVICES if pattern.search(text)), "such")
            return NO_DEVICE.format(name=name)
    return None


def _of_system(error: OSError, codes: list[CodeType]) -> str | None:
    """What the sandbox refused, as the libraries tell that the call came through."""
    if isinstance(error, socket.gaierror) or _through(codes, "huggingface_hub/"):
        return NO_NETWORK
    if error.errno not in _REFUSED or error.filename is not None:
        return None
    if _through(codes, "/socket.py") or {"socket", "connect"} & set(codes[-1].co_names):
        return NO_NETWORK
    if _through(codes, "/torch/utils/data/"):
        return NO_WORKERS
    if _through(codes, "/multiprocessing/", "/subprocess.py") or {"fork", "posix_spawn"} & set(
        codes[-1].co_names
    ):
        return NO_PROCESSES
    return None


def _through(codes: list[CodeType], *places: str) -> bool:
    return any(place in code.co_filename.replace("\\", "/") for code in codes for place in places)


def _codes(error: BaseException) -> Iterator[CodeType]:
    """The functions that an exception came through, the outermost first."""
    step = error.__traceback__
    while step is not None:
        yield step.tb_frame.f_code
        step = step.tb_next


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that led to it, the last first; `reason` is where urllib keeps it."""
    todo, seen = [error], set[int]()
    while todo:
        link = todo.pop(0)
        if id(link) in seen or len(seen) > 16:
            continue
        seen.add(id(link))
        yield link
        before = (link.__cause__, link.__context__, getattr(link, "reason", None))
        todo += [found for found in before if isinstance(found, BaseException)]


def _text(error: BaseException) -> str:
    try:
        return str(error)[:2000]
    except BaseException:  # an exception may raise in its own __str__
        return ""
