"""The regular files of a folder, tar or zip, one after the other, none of them ever unpacked to disk.

A tar is read as a stream (plain, gzip, bzip2 or xz); a zip by its directory. Whatever an archive claims, no
more is decompressed than the caps below, and a path that would leave the archive's own folder, a link or a
device ends the reading with one sentence.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import DatasetError

MAX_MEMBERS = 200_000  # CIFAR-10 as a tree has 60,022
MAX_TOTAL_BYTES = 512 << 20  # CIFAR-10 unpacked: 184 MB of pixels, or about 100 MB of small files in a tar
MAX_MEMBER_BYTES = 40 << 20  # the largest legitimate member is a CIFAR-10 batch of 31 MB


@dataclass(frozen=True)
class Member:
    """One regular file; `read` works only until the next member is asked for."""

    name: str
    size: int
    read: Callable[[], bytes]


def members(path: Path) -> Generator[Member]:
    """All regular files in a folder, tar or zip; DatasetError for whatever is missing, unsafe or damaged."""
    if not path.exists():
        raise DatasetError(f"{path} does not exist; give the path of a folder or an archive")
    total = 0
    for count, member in enumerate(_open(path), start=1):
        _refuse_unsafe_name(path, member.name)
        total += member.size
        if count > MAX_MEMBERS or total > MAX_TOTAL_BYTES:
            raise _too_large(path)
        yield member


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the archive readers raise on damaged bytes into one sentence."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error) as error:
        raise _damaged(path, error) from error
    except (RuntimeError, NotImplementedError) as error:  # zipfile: encrypted, or a compression it has not
        raise DatasetError(f"{path} cannot be unpacked: {error}; pack it again without encryption") from error
    except OSError as error:
        if error.errno is None:  # gzip and bz2 report bad bytes as an OSError without a number
            raise _damaged(path, error) from error
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error


def _too_large(path: Path) -> DatasetError:
    """The refusal of a decompression bomb, or of an archive of something else altogether."""
    return DatasetError(
        f"{path} holds more than {MAX_MEMBERS:,} files or {MAX_TOTAL_BYTES >> 20} MiB unpacked, "
        f"more than any data set here; is it the right archive?"
    )


def _open(path: Path) -> Iterator[Member]:
    if path.is_dir():
        return _folder_members(path)
    if not path.is_file():
        raise DatasetError(f"{path} is neither a folder nor a regular file; give the path of one")
    with reading(path), path.open("rb") as stream:
        magic = stream.read(6)
    return _zip_members(path) if magic.startswith(b"PK") else _tar_members(path, magic)


def _refuse_unsafe_name(path: Path, name: str) -> None:
    """Names never become paths here; a strange one still means that the archive is not what it claims."""
    parts = name.replace("\\", "/").split("/")
    drive = len(name) > 1 and name[1] == ":"
    if name.startswith(("/", "\\")) or drive or ".." in parts or "\0" in name or len(name) > 1000:
        raise DatasetError(
            f"{path} holds the unsafe path {name[:200]!r}; expected relative paths inside one folder"
        )


def _special(path: Path, name: str) -> DatasetError:
    return DatasetError(f"{path} holds {name[:200]!r}, a link or device; a data set has only regular files")


def _damaged(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"{path} is damaged or truncated ({error}); fetch or copy it again")


def _folder_members(root: Path) -> Iterator[Member]:
    for folder, subfolders, names in os.walk(root, onerror=_raise_unreadable):
        subfolders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            status = file.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise _special(root, file.relative_to(root).as_posix())
            yield Member(file.relative_to(root).as_posix(), status.st_size, _file_reader(root, file))


def _raise_unreadable(error: OSError) -> None:
    raise DatasetError(f"{error.filename} cannot be read: {error.strerror}") from error


def _file_reader(root: Path, file: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        with reading(root), file.open("rb") as stream:
            return _capped_read(root, file.name, stream)

    return read


def _capped_read(path: Path, name: str, stream: IO[bytes]) -> bytes:
    """All of the stream, whose stated size may be a lie."""
    content = stream.read(MAX_MEMBER_BYTES + 1)
    if len(content) > MAX_MEMBER_BYTES:
        raise DatasetError(f"{path} holds {name[:200]!r}, larger than {MAX_MEMBER_BYTES >> 20} MiB")
    return content


def _zip_members(path: Path) -> Iterator[Member]:
    with reading(path), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):  # 0: written by a system that stores no mode
                raise _special(path, info.filename)
            yield Member(info.filename, info.file_size, _zip_reader(path, archive, info))


def _zip_reader(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        with reading(path), archive.open(info) as stream:
            return _capped_read(path, info.filename, stream)

    return read


def _tar_members(path: Path, magic: bytes) -> Iterator[Member]:
    with reading(path), _decompressed(path, magic) as raw:
        stream = _Capped(raw, path)
        try:
            archive = tarfile.open(fileobj=stream, mode="r|")  # noqa: SIM115 - closed by the with below
        except tarfile.ReadError as error:
            stream.drain()  # which finds out whether damage, not the format, is why no header was seen
            raise DatasetError(f"{path} is not an archive; expected a folder, a tar or a zip") from error
        with archive:
            for info in archive:
                if info.isdir():
                    continue
                if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                    raise _special(path, info.name)
                yield Member(info.name, info.size, _tar_reader(path, archive, info))
        stream.drain()  # the compressor's own checksum comes last


def _tar_reader(path: Path, archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        with reading(path):
            stream = archive.extractfile(info)
            assert stream is not None  # a regular file always has content
            return _capped_read(path, info.name, stream)

    return read


def _decompressed(path: Path, magic: bytes) -> IO[bytes]:
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(path)  # type: ignore[return-value]  # GzipFile is one in all but its type
    if magic.startswith(b"\xfd7zXZ"):
        return lzma.open(path)
    if magic.startswith(b"BZh"):
        return bz2.open(path)
    return path.open("rb")


class _Capped(io.RawIOBase):
    """A stream that refuses to deliver more than MAX_TOTAL_BYTES plus a tar header for each member."""

    def __init__(self, raw: IO[bytes], path: Path) -> None:
        self._raw = raw
        self._path = path
        self._total = 0

    def read(self, size: int = -1, /) -> bytes:
        block = self._raw.read(size)
        self._total += len(block)
        if self._total > MAX_TOTAL_BYTES + MAX_MEMBERS * 2 * tarfile.BLOCKSIZE:
            raise _too_large(self._path)
        return block

    def drain(self) -> None:
        """Read to the end."""
        while self.read(1 << 16):
            pass
