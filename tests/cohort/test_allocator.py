"""glibc keeps freed memory where it is told to, and another C library is left alone."""

import ctypes
import subprocess
import sys

import pytest

from dlgrade import allocator

# What glibc tells of itself: bytes in blocks that it had from the kernel one by one, and bytes of freed
# memory that it could give back.
PROGRAM = """
import ctypes, sys
from dlgrade import allocator
if sys.argv[1] == "keep":
    assert allocator.keep_freed_memory()

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                ("arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost").split()]

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes, libc.mallinfo2.restype = ctypes.c_void_p, [ctypes.c_void_p], Mallinfo
before = libc.mallinfo2()
block = libc.malloc(24 << 20)
during = libc.mallinfo2()
libc.free(block)
print(during.hblkhd - before.hblkhd, libc.mallinfo2().keepcost)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="no glibc, or one before 2.33")
@pytest.mark.parametrize(("how", "kept"), [("keep", True), ("leave", False)])
def test_a_freed_block_stays_in_the_process(how, kept):
    """24 MiB are part of the heap and stay there; left alone, they come from the kernel and go back."""
    command = [sys.executable, "-c", PROGRAM, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    from_kernel, free = map(int, done.stdout.split())
    assert (from_kernel < 24 << 20) == kept
    assert (free >= 24 << 20) == kept


def test_elsewhere_nothing_happens(monkeypatch):
    """Where there is no glibc nothing is set, and nothing raised."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocator.keep_freed_memory()
