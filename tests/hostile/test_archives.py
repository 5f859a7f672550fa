"""Submitted archives: honest ones are read like folders, hostile ones end with one sentence and no file."""

import io
import stat
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlgrade import archives
from dlgrade.archives import source_files
from dlgrade.errors import SubmissionError
from dlgrade.submission import find_submissions
from tests.hostile import hostile_course

ANSWER = b"def double(x):\n    return 2 * x\n"
LONG = "folder/" * 30 + "target.py"


@pytest.fixture(scope="module")
def exercise(tmp_path_factory):
    return hostile_course.make(tmp_path_factory.mktemp("course"), "token").exercise("target")


def zipped(*members, compression=zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of (name or ZipInfo, data)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def tarred(*members, mode="w", format=tarfile.PAX_FORMAT) -> bytes:
    """A tar of (name or TarInfo, data)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=format) as archive:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data) if info.type == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def special(kind: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo("target.py")
    info.type, info.linkname = kind, target
    return info


def zip_link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("target.py")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def overlapping() -> bytes:
    """Two entries of the directory that point at the same bytes."""
    data = bytearray(zipped(("a.py", ANSWER), ("b.py", ANSWER)))
    second = data.index(b"PK\3\4", 4)
    directory = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    data[directory + 42 : directory + 46] = (0).to_bytes(4, "little")
    assert second > 0
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        zipped(("target.py", ANSWER)),
        zipped(("someone/target.py", ANSWER), ("someone/notes.txt", b"x"), ("__MACOSX/._target.py", b"\0")),
        zipped(("target.py", ANSWER), compression=zipfile.ZIP_STORED),
        tarred(("target.py", ANSWER)),
        tarred(("someone/target.py", ANSWER), mode="w:gz"),
        tarred(("target.py", ANSWER), mode="w:bz2"),
        tarred(("target.py", ANSWER), mode="w:xz"),
        tarred((LONG, ANSWER)),
        tarred((LONG, ANSWER), format=tarfile.GNU_FORMAT),
        tarred(("my/own.py", ANSWER)),
    ],
)
def test_honest_archives_are_read_like_a_folder(exercise, tmp_path, data):
    """Zip and tar of every compression, with one folder around, long names and a system's own files."""
    suffix = ".zip" if data[:2] == b"PK" else ".tar.gz"
    (tmp_path / f"target{suffix}").write_bytes(data)
    [submission] = find_submissions(tmp_path, exercise)
    assert submission.problem is None
    assert submission.text == ANSWER.decode()


HOSTILE = {
    "climbing zip": (zipped(("../target.py", ANSWER)), "leads out of it"),
    "climbing tar": (tarred(("a/../../target.py", ANSWER)), "leads out of it"),
    "absolute path": (tarred(("/etc/cron.d/target.py", ANSWER)), "leads out of it"),
    "drive": (zipped(("C:\\target.py", ANSWER)), "leads out of it"),
    "backslashes": (zipped(("..\\..\\target.py", ANSWER)), "leads out of it"),
    "symbolic link in a tar": (tarred((special(tarfile.SYMTYPE), b"")), "a link or a device"),
    "hard link": (tarred((special(tarfile.LNKTYPE), b"")), "a link or a device"),
    "device": (tarred((special(tarfile.CHRTYPE), b"")), "a link or a device"),
    "pipe": (tarred((special(tarfile.FIFOTYPE), b"")), "a link or a device"),
    "symbolic link in a zip": (zipped((zip_link(), b"/etc/passwd")), "a link or a device"),
    "zip bomb": (zipped(("target.py", bytes(100 << 20))), "times its size"),
    "tar bomb": (tarred(("target.py", bytes(100 << 20)), mode="w:gz"), "times its size"),
    "bomb of many": (zipped(*((f"{i}.py", bytes(1 << 20)) for i in range(80))), "times its size"),
    "a million files": (zipped(*((f"{i}.py", b"") for i in range(3000))), "more than 2000 files"),
    "many in a tar": (tarred(*((f"{i}.py", b"") for i in range(3000))), "more than 2000 files"),
    "archive in an archive": (zipped(("inner.zip", zipped(("target.py", ANSWER)))), "another archive"),
    "bidirectional name": (zipped(("target\u202eyp.py", ANSWER)), "rename it"),
    "escape in a name": (zipped(("\x1b[2Jtarget.py", ANSWER)), "rename it"),
    "long name": (tarred(("x" * 1000 + ".py", ANSWER)), "rename it"),
    "one name twice": (tarred(("target.py", ANSWER), ("target.py", b"")), "twice"),
    "overlapping members": (overlapping(), "overlap"),
    "cut off": (zipped(("target.py", ANSWER))[:-10], "damaged"),
    "cut tar": (tarred(("target.py", bytes(5000)))[:2000], "damaged"),
    "wrong checksum": (b"1" * 1024, "checksum is wrong"),
    "huge size": (tarred(("a.py", b""))[:124] + b"\x80" + b"\xff" * 11 + bytes(400), "damaged"),
    "too large": (b"PK" + bytes(21 << 20), "expected at most"),
    "nothing in it": (zipped(("notes.txt", b"x")), "no target.py"),
    "several sources": (zipped(("a.py", ANSWER), ("b.py", ANSWER)), "no target.py"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_archives_end_with_one_sentence(exercise, tmp_path, what):
    """Traversal, links, devices, bombs, floods and damage cost their own submission and write nothing."""
    data, sentence = HOSTILE[what]
    (tmp_path / "target.zip").write_bytes(data)
    [submission] = find_submissions(tmp_path, exercise)
    assert submission.text == ""
    assert sentence in submission.problem
    assert len(submission.problem) < 400
    assert [path.name for path in tmp_path.iterdir()] == ["target.zip"]


SEEDS = [zipped(("target.py", ANSWER)), tarred(("target.py", ANSWER)), tarred((LONG, ANSWER), mode="w:gz")]


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=8),
    st.integers(0, 4000),
)
def test_damaged_archives_never_raise_anything_else(data, changes, length):
    """Any bytes changed, any end cut off: files come out, or a SubmissionError."""
    damaged = bytearray(data)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    try:
        files = source_files(bytes(damaged[: max(length, 1)]), "target.zip")
    except SubmissionError:
        return
    assert sum(map(len, files.values())) <= archives.MAX_TOTAL_BYTES


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=4096))
def test_any_bytes_are_an_archive_or_a_sentence(data):
    """Bytes that were never an archive end in a SubmissionError, with or without an archive's first bytes."""
    for start in (b"", b"PK\3\4", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0"):
        try:
            source_files(start + data, "target.zip")
        except SubmissionError:
            continue
