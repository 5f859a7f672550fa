"""The source files in a submitted archive, unpacked in memory under caps; nothing is ever written to disk.

Zip and tar (plain, gzip, bzip2, xz) come from strangers: names that climb out of the folder, links and
devices, bombs, archives in archives. Whatever an honest student's archive does not hold ends the reading
with one sentence. The tar reader is our own: a damaged header must not send it backwards, and nothing but
names, sizes and bytes is of interest.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, Final

from dlgrade.display import printable
from dlgrade.errors import SubmissionError

SUFFIXES: Final = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
SOURCES: Final = (".py", ".ipynb")
MAX_ARCHIVE_BYTES: Final = 20 << 20
MAX_TOTAL_BYTES: Final = 64 << 20
MAX_MEMBERS: Final = 2000
MAX_RATIO: Final = 200  # unpacked to packed; text comes to 10, zeros to 1000
MAX_NAME: Final = 255
BLOCK: Final = 512
_NOT_THEIRS: Final = re.compile(r"(^|/)(__MACOSX|\.[^/]*)(/|$)")  # what systems add by themselves

_DAMAGED: Final = (  # whatever the readers raise for bytes that are not what they say
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, IndexError, OverflowError),
)

Member = tuple[str, Callable[[], bytes]]


def is_archive(name: str) -> bool:
    """Whether a file's name says that it is one of the archives read here."""
    return name.lower().endswith(SUFFIXES)


def source_files(data: bytes, name: str) -> dict[str, bytes]:
    """All .py and .ipynb files of an archive by their path in it.

    Raises:
        SubmissionError: damaged, encrypted, too large, or holding what no honest archive holds.
    """
    if len(data) > MAX_ARCHIVE_BYTES:
        raise SubmissionError(f"{name} has {len(data)} bytes, expected at most {MAX_ARCHIVE_BYTES}")
    members = _zip_members if data[:2] == b"PK" else _tar_members
    found: dict[str, bytes] = {}
    total = 0
    try:
        for count, (path, read) in enumerate(members(data, name), start=1):
            if count > MAX_MEMBERS:
                raise SubmissionError(f"{name} holds more than {MAX_MEMBERS} files; hand in your answer only")
            path = _checked(path, name)
            if not path.endswith(SOURCES) or _NOT_THEIRS.search(path):
                continue
            if path in found:
                raise SubmissionError(f"{name} holds '{printable(path, 100)}' twice; pack it again")
            found[path] = read()
            total += len(found[path])
            if total > MAX_TOTAL_BYTES:
                raise _too_large(name)
    except _DAMAGED as error:
        reason = printable(str(error), 100)
        raise SubmissionError(f"{name} is damaged or no archive ({reason}); pack it again") from None
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or a compression zipfile has not
        raise SubmissionError(f"{name} cannot be unpacked: {printable(str(error), 100)}") from None
    return found


def _checked(path: str, name: str) -> str:
    """A path that stays inside, of characters that can be shown, in one spelling."""
    shown = printable(path, 100)
    path = unicodedata.normalize("NFC", path)
    parts = path.replace("\\", "/").split("/")
    if path.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", path):
        raise SubmissionError(f"{name} holds the path '{shown}', which leads out of it; pack it again")
    if len(path) > MAX_NAME or not path.isprintable():
        raise SubmissionError(f"{name} holds a file of the name '{shown}'; rename it and pack again")
    if is_archive(path):
        raise SubmissionError(f"{name} holds another archive, '{shown}'; pack your files themselves")
    return path


def _too_large(name: str) -> SubmissionError:
    return SubmissionError(
        f"{name} unpacks to more than {MAX_TOTAL_BYTES >> 20} MB, or to {MAX_RATIO} times its size; "
        "hand in your answer only"
    )


def _most(data: bytes) -> int:
    return min(MAX_TOTAL_BYTES, max(1 << 20, MAX_RATIO * len(data)))


# --- zip --------------------------------------------------------------------------------------------


def _zip_members(data: bytes, name: str) -> Iterator[Member]:
    if data.count(b"PK\1\2") > MAX_MEMBERS:  # before zipfile makes an object of each
        raise SubmissionError(f"{name} holds more than {MAX_MEMBERS} files; hand in your answer only")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        _refuse_overlaps(entries, name)
        budget = [_most(data)]
        for entry in entries:
            if entry.filename.endswith("/"):
                continue
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):  # 0: written by a system that stores no mode
                raise _special(name, entry.filename)
            yield entry.filename, lambda entry=entry: _unzipped(archive, entry, budget, name)  # type: ignore[misc]  # mypy types no default


def _unzipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, budget: list[int], name: str) -> bytes:
    """All of a member, whose stated size may be a lie; what it takes comes off the budget of them all."""
    with archive.open(entry) as stream:
        content = stream.read(budget[0] + 1)
    budget[0] -= len(content)
    if budget[0] < 0:
        raise _too_large(name)
    return content


def _refuse_overlaps(entries: list[zipfile.ZipInfo], name: str) -> None:
    """Members that share their bytes: thousands of files out of one."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise SubmissionError(f"{name} holds files that overlap; pack it again")
        end = entry.header_offset + entry.compress_size


def _special(name: str, path: str) -> SubmissionError:
    return SubmissionError(
        f"{name} holds '{printable(path, 100)}', which is a link or a device; pack the file itself"
    )


# --- tar --------------------------------------------------------------------------------------------


def _tar_members(data: bytes, name: str) -> Iterator[Member]:
    tar = _decompressed(data, name)
    at, long_name = 0, ""
    while (header := tar[at : at + BLOCK]).strip(b"\0"):
        if len(header) < BLOCK:
            raise EOFError("it ends in the middle of a header")
        _check_sum(header)
        size, kind = _number(header[124:136]), header[156:157]
        body = tar[at + BLOCK : at + BLOCK + size]
        if len(body) < size:
            raise EOFError("it ends in the middle of a file")
        at += BLOCK + -(-size // BLOCK) * BLOCK
        if kind in (b"L", b"x", b"g"):  # a longer name for the next member, by GNU or by POSIX
            long_name = _text(body) if kind == b"L" else _pax_path(body) or long_name
            continue
        path, long_name = long_name or _short_name(header), ""
        if kind in (b"0", b"\0"):
            yield path, lambda body=body: body  # type: ignore[misc]  # mypy cannot type a lambda's default
        elif kind != b"5":
            raise _special(name, path)


def _decompressed(data: bytes, name: str) -> bytes:
    make: dict[bytes, Callable[[], Any]] = {
        b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
        b"BZ": bz2.BZ2Decompressor,
        b"\xfd7": lambda: lzma.LZMADecompressor(memlimit=256 << 20),
    }
    if data[:2] not in make:
        return data
    most = _most(data)
    content: bytes = make[data[:2]]().decompress(data, most + 1)
    if len(content) > most:
        raise _too_large(name)
    return content


def _check_sum(header: bytes) -> None:
    stated = _number(header[148:156])
    if stated != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise ValueError("a header's checksum is wrong")


def _number(field: bytes) -> int:
    digits = field.strip(b"\0 ")
    if re.search(rb"[^0-7]", digits):  # nor GNU's way to write sizes beyond 8 GB, nor a sign
        raise ValueError("a size is no octal number")
    return int(digits or b"0", 8)


def _short_name(header: bytes) -> str:
    name, prefix = _text(header[:100]), _text(header[345:500]) if header[257:262] == b"ustar" else ""
    return str(PurePosixPath(prefix, name)) if prefix else name


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")


def _pax_path(body: bytes) -> str:
    """The path of an extended header: lines of "length key=value"."""
    found = re.search(rb"(?:^|\n)\d+ path=([^\n]*)\n", body)
    return _text(found[1]) if found else ""
