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


def supported() -> bool:
    """Huge pages are on, in a kernel that collapses on demand."""
    switch = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    version = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
    return switch.exists() and "[never]" not in switch.read_text() and version >= (6, 1)


@pytest.mark.skipif(not supported(), reason="this kernel has no transparent huge pages to collapse into")
def test_memory_lies_in_huge_pages_and_keeps_its_content():
    """A child's writes stay its own, the parent's bytes are what they were, and huge pages hold them."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    collapsed, huge = map(int, done.stdout.split())
    assert collapsed >= 8 * hugepages.HUGE
    assert huge >= collapsed - 4 * hugepages.HUGE  # what another allocation touched may be split again


def test_elsewhere_nothing_happens(monkeypatch):
    """On a system without the call nothing is collapsed, and nothing raised."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert hugepages.collapse() == 0
