"""Collapsing memory into huge pages changes nothing but the cost of a fork."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dlgrade import hugepages

PROGRAM = """
import os
from pathlib import Path
from dlgrade import hugepages
kept = [bytearray(os.urandom(64)) * (1 << 14) for _ in range(32)]
before = [hash(bytes(piece)) for piece in kept]
collapsed = hugepages.collapse()
child = os.fork()
if child == 0:
    for piece in kept:
        piece[0] ^= 1
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert [hash(bytes(piece)) for piece in kept] == before
huge = [line.split()[1] for line in Path("/proc/self/smaps_rollup").read_text().splitlines()
        if line.startswith("AnonHugePages")]
print(collapsed, int(huge[0]) * 1024)
"""


# A fork takes as much memory as a small network's training does; it tells how many of its blocks lie where
# the kernel was asked for huge pages ("hg"). Whether it has any to give depends on the machine's free memory.
ROOM = """
import ctypes, os, sys
from pathlib import Path
from dlgrade import allocator, hugepages
assert allocator.keep_freed_memory()
reserved = hugepages.reserve() if sys.argv[1] == "reserve" else 0
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
if os.fork() == 0:
    blocks = [libc.malloc(2 << 20) for _ in range(8)]
    asked = []
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first:
            span = [int(end, 16) for end in first.split("-")]
        elif first == "VmFlags:" and "hg" in rest:
            asked.append(span)
    inside = sum(any(start <= block < end for start, end in asked) for block in blocks)
    print(reserved, inside, flush=True)
    os._exit(0)
os.wait()
"""


def supported() -> bool:
    """Huge pages are on, in a kernel that collapses on demand."""
    switch = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    version = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
    return switch.exists() and "[never]" not in switch.read_text() and version >= (6, 1)


@pytest.mark.skipif(not supported(), reason="this kernel has no transparent huge pages to collapse into")
def test_memory_lies_in_huge_pages_and_keeps_its_content():
    """A child's writes stay its own, the parent's bytes are what they were, and huge pages hold them."""
    collapsed, huge = told(PROGRAM)
    assert collapsed >= 8 * hugepages.HUGE
    assert huge >= collapsed - 4 * hugepages.HUGE  # what another allocation touched may be split again


@pytest.mark.skipif(not supported(), reason="this kernel has no transparent huge pages")
def test_a_fork_gets_room_in_huge_pages():
    """What it allocates lies in the room, but for a block that may begin before its first whole huge page."""
    reserved, inside = told(ROOM, "reserve")
    assert reserved >= hugepages.ROOM
    assert inside >= 7
    assert told(ROOM, "leave") == [0, 0]


def told(program: str, *arguments: str) -> list[int]:
    """The numbers that a program prints."""
    command = [sys.executable, "-c", program, *arguments]
    return [*map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())]


def test_elsewhere_nothing_happens(monkeypatch):
    """On a system without the calls nothing is collapsed or reserved, and nothing raised."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert hugepages.collapse() == 0
    assert hugepages.reserve() == 0
