"""The cache: complete or absent, replaced in one step, damaged never mistaken for missing."""

import hashlib
import json
import multiprocessing
import os
import time

import pytest
from small_copies import left_behind

from dlgrade.datasets import catalog, describe, import_, open_, store
from dlgrade.errors import DatasetError

TEXT = "To be, or not to be. " * 100


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "play.txt"
    path.write_text(TEXT)
    return path


def test_manifest_states_what_is_stored(text_file):
    """The manifest names source, splits and a checksum per file; the combined one follows from them."""
    stored = import_("tiny_shakespeare", text_file)
    manifest = json.loads((stored.path / "manifest.json").read_text())
    assert manifest["source"] == "play.txt"
    assert manifest["splits"]["train"]["count"] == len(TEXT) * 9 // 10
    for name, entry in manifest["files"].items():
        content = (stored.path / name).read_bytes()
        assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    lines = "".join(f"{entry['sha256']}  {name}\n" for name, entry in sorted(manifest["files"].items()))
    assert stored.checksum == hashlib.sha256(lines.encode()).hexdigest()


def test_training_files_hold_nothing_of_the_test_split(text_file):
    """Each split lists files of its own."""
    import_("tiny_shakespeare", text_file)
    splits = open_("tiny_shakespeare").splits
    assert not set(splits["train"].input_files) & set(splits["test"].input_files)


def test_reimport_replaces(text_file):
    """A second import replaces the first, and an open data set keeps what it had mapped."""
    first = import_("tiny_shakespeare", text_file)
    opened = open_("tiny_shakespeare").splits["train"].inputs
    text_file.write_text(TEXT.upper())
    second = import_("tiny_shakespeare", text_file)
    assert open_("tiny_shakespeare").checksum == second.checksum != first.checksum
    assert not first.path.exists()
    assert opened == TEXT[: len(TEXT) * 9 // 10]


def test_interrupt_leaves_nothing(text_file, cache, monkeypatch):
    """Ctrl-C while the files are written leaves the cache without a file, and the stand-in in use."""

    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "sha256_of", interrupt)  # called once the files are written
    with pytest.raises(KeyboardInterrupt):
        import_("tiny_shakespeare", text_file)
    assert not left_behind(cache)
    assert open_("tiny_shakespeare").is_standin


def import_repeatedly(path, failures):
    """Run in its own process: import a text again and again and open what is stored."""
    try:
        for _ in range(10):
            import_("tiny_shakespeare", path)
            assert not open_("tiny_shakespeare").is_standin
    except BaseException as error:
        failures.put(repr(error))
        raise


def test_concurrent_imports(tmp_path):
    """Two processes that import different texts in turn never see a half import, and one of them wins."""
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in paths:
        path.write_text(TEXT + path.name)
    context = multiprocessing.get_context("spawn")
    failures = context.Queue()
    importers = [context.Process(target=import_repeatedly, args=(path, failures)) for path in paths]
    for importer in importers:
        importer.start()
    for importer in importers:
        importer.join()
    assert [importer.exitcode for importer in importers] == [0, 0], failures.get(timeout=1)
    assert open_("tiny_shakespeare").title in ("text file a.txt", "text file b.txt")


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: os.truncate(stored.path / "train_inputs.txt", 10),
        lambda stored: (stored.path / "test_inputs.txt").unlink(),
        lambda stored: (stored.path / "manifest.json").write_text("{"),
        lambda stored: (stored.path / "manifest.json").write_text('{"format": 99}'),
        lambda stored: (stored.path / "manifest.json").write_text("[]"),
        lambda stored: (stored.path.parent / "current").write_text("../../elsewhere"),
        lambda stored: (stored.path.parent / "current").write_text(""),
    ],
)
def test_damage_is_an_error_until_imported_again(text_file, damage):
    """Damaged data is refused with the way out, never replaced by a stand-in; importing again repairs it."""
    stored = import_("tiny_shakespeare", text_file)
    damage(stored)
    with pytest.raises(
        DatasetError, match="import it again with 'dlgrade data import tiny_shakespeare PATH'"
    ):
        open_("tiny_shakespeare")
    assert [info.state for info in catalog() if info.name == "tiny_shakespeare"] == ["damaged"]
    assert import_("tiny_shakespeare", text_file).checksum == stored.checksum
    assert len(open_("tiny_shakespeare").splits["train"].inputs) == len(TEXT) * 9 // 10


def test_leftovers_of_a_killed_import_go(text_file, cache):
    """The next import removes the temporary folder of one that was killed a day ago, but no younger one."""
    for name, age in ((".incoming-old", 2 * store.STALE_SECONDS), (".incoming-young", 60)):
        folder = cache / "tiny_shakespeare" / name
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age,) * 2)
    import_("tiny_shakespeare", text_file)
    assert [path.name for path in (cache / "tiny_shakespeare").glob(".incoming-*")] == [".incoming-young"]


def test_unwritable_cache(text_file, tmp_path, monkeypatch):
    """A cache that cannot be written is named together with the variable that moves it."""
    monkeypatch.setenv("DLGRADE_DATA", str(text_file / "below a file"))
    with pytest.raises(DatasetError, match=r"cannot be written.*set DLGRADE_DATA"):
        import_("tiny_shakespeare", text_file)
    assert open_("tiny_shakespeare").is_standin


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    """DLGRADE_DATA comes first, then an absolute XDG_CACHE_HOME, then ~/.cache."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("DLGRADE_DATA", "~/mine")
    assert store.root() == tmp_path / "mine"
    monkeypatch.delenv("DLGRADE_DATA")
    assert str(store.root()) == "/xdg/dlgrade/data"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert store.root() == tmp_path / ".cache" / "dlgrade" / "data"


def test_describe(text_file):
    """A report names stored data by title and checksum, a stand-in with the way to the real data."""
    assert "'dlgrade data import tiny_shakespeare PATH'" in describe("tiny_shakespeare")
    stored = import_("tiny_shakespeare", text_file)
    assert describe("tiny_shakespeare") == f"text file play.txt, sha256 {stored.checksum[:12]}"


def test_unknown_name_is_a_usage_error():
    """An unknown name exits 2 and suggests the nearest one."""
    with pytest.raises(DatasetError, match="did you mean 'cifar10'") as error:
        open_("cifar-10")
    assert error.value.exit_code == 2


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    """A container's user id may have no entry in the password file: one sentence, no traceback."""
    for name in ("DLGRADE_DATA", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 3_999_999)
    with pytest.raises(DatasetError, match="set DLGRADE_DATA to a folder"):
        store.root()
