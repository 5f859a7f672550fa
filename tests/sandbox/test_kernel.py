"""The system call numbers, the strictness of Landlock, and what the filter does with unlisted calls."""

import errno
import os
import platform
import re
import signal
from pathlib import Path

import pytest

from dlgrade import kernel

X86_HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
ARM_HEADER = Path("/usr/include/asm-generic/unistd.h")  # aarch64 has the generic numbers
ALL = kernel._ALLOW


def column(index):
    """{call: number} of one architecture in the table."""
    entries = (entry.split("=") for entry in kernel._TABLE.split())
    numbers = ((name, both.split("/")[index]) for name, both in entries)
    return {name: int(number) for name, number in numbers if number != "-"}


@pytest.mark.parametrize(("header", "index"), [(X86_HEADER, 0), (ARM_HEADER, 1)], ids=["x86_64", "aarch64"])
def test_numbers_are_those_of_the_kernels_headers(header, index):
    """Each number in the table is the one in the kernel's own header, as far as that header goes."""
    if not header.exists():
        pytest.skip(f"{header} is not installed")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    known = {name.replace("fstatat", "newfstatat") if index else name: int(n) for name, n in defined}
    known["newfstatat"] = known.get("newnewfstatat", known["newfstatat"])
    ours = column(index)
    wrong = {name: number for name, number in ours.items() if known.get(name, number) != number}
    assert wrong == {}
    assert len(set(ours) & set(known)) > 180


@pytest.mark.parametrize("index", [0, 1])
def test_no_number_is_used_twice(index):
    """Two calls with one number would allow one by the other's name."""
    numbers = list(column(index).values())
    assert len(numbers) == len(set(numbers))
    assert max(numbers) <= kernel.HIGHEST_KNOWN


def test_refused_names_the_call():
    """An error says which system call the kernel refused, and why."""
    with pytest.raises(kernel.Refused, match="umount2: Invalid argument") as caught:
        kernel.syscall("umount2", b"/", -1)
    assert (caught.value.call, caught.value.errno) == ("umount2", errno.EINVAL)


def test_landlock_refuses_to_be_weaker_than_asked():
    """Below the minimum version nothing is restricted, rather than something less."""
    with pytest.raises(kernel.Refused, match="ABI 99, the kernel has"):
        kernel.landlock_restrict([], 99)
    assert Path(__file__).read_text()


def test_landlock_names_a_path_it_cannot_grant():
    """A grant of a missing path is an error with the path in it, and restricts nothing."""
    with pytest.raises(kernel.Refused, match="'/no/such/path'"):
        kernel.landlock_restrict([("/no/such/path", kernel.READ_FILE)], 1)
    assert Path(__file__).read_text()


def status_of(function):
    """How a forked child ends that runs `function`: its exit code, or minus the signal's number."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(function() or 0)
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def errno_of(number, rules=None, allowed=ALL):
    """The errno of one raw call behind a filter, from a forked child."""

    def attempt():
        kernel.no_new_privileges()
        kernel.seccomp(rules or {}, allowed)
        failed = kernel._libc().syscall(number, 0, 0, 0) < 0
        return kernel.ctypes.get_errno() if failed else 0

    return status_of(attempt)


def test_calls_newer_than_the_table_do_not_exist():
    """A library that tries a new call is told ENOSYS and falls back, instead of failing with EPERM."""
    assert errno_of(kernel.HIGHEST_KNOWN + 1) == errno.ENOSYS


def test_unlisted_calls_are_forbidden():
    """What no rule names fails with EPERM: getppid works, until the filter leaves it out."""
    without = kernel.allowing(" ".join(set(kernel.NUMBERS) - {"getppid"}))
    assert errno_of(kernel.NUMBERS["getppid"]) == 0
    assert errno_of(kernel.NUMBERS["getppid"], allowed=without) == errno.EPERM


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64 has a second calling convention")
def test_the_x32_convention_kills():
    """The same call under its x32 number ends the process: its numbers would pass by the table."""
    assert errno_of(0x40000000 | kernel.NUMBERS["getppid"]) == -signal.SIGSYS


@pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code of x86-64")
def test_the_32_bit_convention_kills():
    """`int 0x80` enters the kernel as i386, where number 39 is mkdir; the filter ends the process."""

    def enter_as_i386():
        import ctypes
        import mmap

        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20 (getpid); int 0x80; ret
        function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
        kernel.no_new_privileges()
        kernel.seccomp({}, ALL)
        function()

    assert status_of(enter_as_i386) in (-signal.SIGSYS, -signal.SIGSEGV)  # SEGV: a kernel without i386
