"""Hostile and damaged archives end in one sentence, whatever they claim."""

import gzip
import os
import stat
import tarfile
import tempfile
import zipfile

import pytest
from small_copies import write_tar

from dlgrade.datasets import archives
from dlgrade.errors import DatasetError


def read_all(path):
    return {member.name: member.read() for member in archives.members(path)}


def tar_info(name, kind):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd"
    return info


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "..\\x", "C:\\x", "a" * 1001])
def test_unsafe_path_is_refused(tmp_path, name):
    """A path that is absolute, climbs or is absurdly long is refused, in a tar and in a zip."""
    tar = write_tar(tmp_path / "a.tar", {name: b""}, mode="w")
    with pytest.raises(DatasetError, match="unsafe path"):
        read_all(tar)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"")
    with pytest.raises(DatasetError, match="unsafe path"):
        read_all(tmp_path / "a.zip")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_link_or_device_in_tar_is_refused(tmp_path, kind):
    """A tar with a link or device is refused by the member's name."""
    tar = write_tar(tmp_path / "a.tar", {"x": b"1"}, mode="w", extra=[tar_info("odd", kind)])
    with pytest.raises(DatasetError, match="'odd', a link or device"):
        read_all(tar)


def test_link_in_zip_is_refused(tmp_path):
    """A zip member with a symbolic link's mode is refused."""
    info = zipfile.ZipInfo("odd")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DatasetError, match="'odd', a link or device"):
        read_all(tmp_path / "a.zip")


@pytest.mark.parametrize("make", [lambda p: p.symlink_to("/etc/passwd"), os.mkfifo], ids=["link", "fifo"])
def test_link_or_fifo_in_folder_is_refused(tmp_path, make):
    """A folder with a link or a pipe is refused; the pipe would otherwise never answer."""
    make(tmp_path / "odd")
    with pytest.raises(DatasetError, match="'odd', a link or device"):
        read_all(tmp_path)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "w"])
@pytest.mark.parametrize("cut", [0.5, 0.97])
def test_truncated_tar_is_refused(tmp_path, mode, cut):
    """A tar that breaks off is refused, however compressed, also when only its last bytes are missing."""
    content = {"x": os.urandom(30_000), "y": os.urandom(30_000)}
    path = write_tar(tmp_path / "a.tar", content, mode=mode)
    size = path.stat().st_size if mode != "w" else 60_000  # an uncompressed tar ends in kilobytes of zeros
    os.truncate(path, int(size * cut))
    with pytest.raises(DatasetError, match="damaged or truncated"):
        read_all(path)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_flipped_byte_is_refused(tmp_path, mode):
    """A damaged byte in the middle is found by the compressor's own checksum."""
    path = write_tar(tmp_path / "a.tar", {"x": os.urandom(50_000)}, mode=mode)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="damaged or truncated"):
        read_all(path)


def test_damaged_zip_is_refused(tmp_path):
    """A zip with a damaged member, or without its directory, is refused."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"a" * 1_000)
    content = bytearray(path.read_bytes())
    content[500] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="damaged or truncated"):
        read_all(path)
    path.write_bytes(content[:700])
    with pytest.raises(DatasetError, match="damaged or truncated"):
        read_all(path)


def test_encrypted_zip_is_refused(tmp_path):
    """A zip whose member is marked as encrypted is refused with what to do."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"secret")
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="without encryption"):
        read_all(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"a sentence " * 1_000, b"\x7fELF" + bytes(5_000)])
def test_not_an_archive(tmp_path, content):
    """A file that is no archive is called that."""
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="not an archive"):
        read_all(path)


def test_missing_path(tmp_path):
    """A path that is not there is named."""
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        read_all(tmp_path / "nowhere")


def test_bomb_is_refused_by_size(tmp_path, monkeypatch):
    """A small archive that unpacks to more than the cap is refused before it is unpacked."""
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 1 << 20)
    tar = write_tar(tmp_path / "a.tar.gz", {"x": bytes(1 << 20), "y": bytes(1 << 20)})
    assert tar.stat().st_size < 10_000
    with pytest.raises(DatasetError, match="more than"):
        read_all(tar)


def test_bomb_is_refused_by_count(tmp_path, monkeypatch):
    """More members than the cap are refused."""
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    with pytest.raises(DatasetError, match="more than 10 files"):
        read_all(write_tar(tmp_path / "a.tar", {str(i): b"" for i in range(11)}))


def test_bomb_hidden_in_tar_headers_is_refused(tmp_path, monkeypatch):
    """An extended header of many megabytes, which is no member, counts towards the cap."""
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 1 << 20)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "a" * (4 << 20)}
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    with pytest.raises(DatasetError, match="more than"):
        read_all(tmp_path / "a.tar.gz")


def test_member_larger_than_stated_is_cut_off(tmp_path, monkeypatch):
    """A single member above its cap is refused when read."""
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1_000)
    with pytest.raises(DatasetError, match="'x', larger than"):
        read_all(write_tar(tmp_path / "a.tar", {"x": bytes(2_000)}))


def test_nothing_is_unpacked_to_disk(tmp_path, monkeypatch):
    """Reading an archive creates no file, in the temporary folder or beside the archive."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb") as stream:
        stream.write(write_tar(tmp_path / "b.tar", {"x": b"1"}, mode="w").read_bytes())
    before = sorted(tmp_path.iterdir())
    assert read_all(path) == {"x": b"1"}
    assert sorted(tmp_path.iterdir()) == before
