"""The cache of data sets: written beside its final place, renamed once complete, described by a manifest.

    $DLGRADE_DATA, else $XDG_CACHE_HOME/dlgrade/data, else ~/.cache/dlgrade/data
    └── cifar10/
        ├── current                       the name of the folder in use; replaced in one step
        └── jpeg-1f0a4c0d92e1/            variant and first digits of the checksum
            ├── manifest.json
            └── train_inputs.npy ...      see arrays.py

Folders are named by their content, so a reader sees the old data or the new, never a mixture, and two imports
of the same file end in the same folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import DatasetError
from .records import Draft, Stored

FORMAT = 1
STALE_SECONDS = 24 * 3600.0  # a temporary folder this old belongs to an import that was killed


def root() -> Path:
    """The folder that holds all data sets; it need not exist.

    Raises:
        DatasetError: nothing says where, as in a container whose user id has no home.
    """
    if chosen := os.environ.get("DLGRADE_DATA"):
        return Path(chosen).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        raise DatasetError("no home folder here; set DLGRADE_DATA to a folder for data sets") from None
    return base / "dlgrade" / "data"


def save(name: str, draft: Draft) -> Stored:
    """Store a draft and make it the data set in use; on any failure, Ctrl-C included, nothing has changed."""
    with temporary_folder(name) as work:
        content = work / "content"
        content.mkdir()
        _write(name, draft, content)
        return _commit(name, content)


def find(name: str) -> Stored | None:
    """The data set in use, or None if none was stored; DatasetError if it is damaged."""
    with _lock(root() / name, shared=True):
        chosen = _current(name)
        return None if chosen is None else _read(name, root() / name / chosen)


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """An empty folder on the cache's own file system, gone afterwards, whatever happens."""
    parent = root() / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(parent)
        work = Path(tempfile.mkdtemp(prefix=".incoming-", dir=parent))
    except OSError as error:
        raise _cannot_write(error) from error
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """The hex SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _current(name: str) -> str | None:
    """The name of the folder in use."""
    pointer = root() / name / "current"
    try:
        chosen = pointer.read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(name, pointer, str(error)) from error
    if not chosen or chosen != Path(chosen).name or chosen.startswith("."):
        raise _damaged(name, pointer, f"it names {chosen[:80]!r}, not a folder beside it")
    return chosen


def _write(name: str, draft: Draft, folder: Path) -> None:
    from . import arrays

    try:
        splits = {key: arrays.write_split(folder, key, value) for key, value in draft.splits.items()}
        for stored_as, original in draft.files.items():
            shutil.copyfile(original, folder / stored_as)
        files = {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for path in sorted(folder.iterdir())
        }
        manifest = {
            "format": FORMAT,
            "name": name,
            "title": draft.title,
            "variant": draft.variant,
            "source": draft.source,
            "created_by": f"dlgrade {__version__}",
            "class_names": list(draft.class_names),
            "splits": splits,
            "files": files,
            "checksum": _combined_checksum(files),
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    except OSError as error:
        raise _cannot_write(error) from error


def _combined_checksum(files: Mapping[str, Mapping[str, Any]]) -> str:
    """What `sha256sum * | sha256sum` prints for the array files in alphabetical order."""
    lines = "".join(f"{files[name]['sha256']}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def _commit(name: str, content: Path) -> Stored:
    manifest = json.loads((content / "manifest.json").read_text())
    folder = root() / name / f"{manifest['variant']}-{manifest['checksum'][:12]}"
    try:
        with _lock(folder.parent):
            if folder.exists() and not _is_intact(folder):
                folder.rename(content.parent / "damaged")
            if not folder.exists():
                content.rename(folder)
            pointer = content.parent / "current"
            pointer.write_text(folder.name + "\n")
            pointer.replace(folder.parent / "current")
            _remove_superseded(folder, manifest["variant"])
            return _read(name, folder)
    except OSError as error:
        raise _cannot_write(error) from error


@contextmanager
def _lock(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold off imports of the same data set, and unless shared its readers; Windows has no flock."""
    try:
        import fcntl

        stream = (folder / ".lock").open("r" if shared else "a")
    except (ImportError, FileNotFoundError, NotADirectoryError):  # no lock file yet: nothing to read
        yield
        return
    with stream:
        fcntl.flock(stream, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


def _is_intact(folder: Path) -> bool:
    """Whether every file still has the checksum its manifest states."""
    try:
        files = json.loads((folder / "manifest.json").read_text())["files"]
        return all(sha256_of(folder / name) == entry["sha256"] for name, entry in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _remove_superseded(kept: Path, variant: str) -> None:
    """Drop earlier contents of the same variant; arrays that a process has mapped stay readable to it."""
    for folder in kept.parent.glob(f"{variant}-*"):
        if folder != kept:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_stale(parent: Path) -> None:
    for folder in parent.glob(".incoming-*"):
        with suppress(FileNotFoundError):  # another import may be removing it too
            if time.time() - folder.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _read(name: str, folder: Path) -> Stored:
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest['format']!r}, this version reads {FORMAT}")
        for file_name, entry in manifest["files"].items():
            if (folder / file_name).stat().st_size != entry["bytes"]:
                raise ValueError(f"{file_name} has not the {entry['bytes']:,} bytes it was stored with")
        size = sum(entry["bytes"] for entry in manifest["files"].values())
        return Stored(
            name, manifest["title"], manifest["variant"], manifest["checksum"], size, folder, manifest
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(name, path, f"{type(error).__name__}: {error}") from error


def _damaged(name: str, path: Path, reason: str) -> DatasetError:
    return DatasetError(
        f"the stored data set {name} is damaged at {path} ({reason}); "
        f"import it again with 'dlgrade data import {name} PATH', or delete {root() / name}"
    )


def _cannot_write(error: OSError) -> DatasetError:
    return DatasetError(
        f"the data cache {root()} cannot be written: {error.strerror or error}; "
        f"set DLGRADE_DATA to a folder with enough free space"
    )
