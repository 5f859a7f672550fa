"""The `data` commands, and downloads from local copies of the real addresses."""

import hashlib
import io
import subprocess
import sys

import pytest
from click.testing import CliRunner
from small_copies import left_behind, tree, write_tar

from dlgrade.datasets import download, open_
from dlgrade.datasets.commands import data
from dlgrade.datasets.progress import PlainProgress, shown
from dlgrade.errors import DatasetError

TEXT = "To be, or not to be. " * 100


def invoke(*arguments):
    return CliRunner().invoke(data, arguments)


def test_import_then_list(tmp_path):
    """What was imported is announced with title and checksum, and listed; the rest are stand-ins."""
    path = tmp_path / "play.txt"
    path.write_text(TEXT)
    result = invoke("import", "tiny_shakespeare", str(path))
    assert result.exit_code == 0
    checksum = open_("tiny_shakespeare").checksum
    assert "text file play.txt, 1,890 train, 210 test" in result.stdout
    assert checksum in result.stdout
    assert "100 %" in result.stderr
    rows = {line.split()[0]: line for line in invoke("list").stdout.splitlines()[1:6]}
    assert checksum[:12] in rows["tiny_shakespeare"]
    assert "stand-in" in rows["cifar10"]


@pytest.mark.parametrize(
    "arguments", [("get", "cifar"), ("import", "cifar", "x"), ("import", "cifar10", "x")]
)
def test_errors_reach_the_caller(arguments):
    """An unknown name or a missing path leaves the command as a DatasetError, exit code 2."""
    error = invoke(*arguments).exception
    assert isinstance(error, DatasetError)
    assert error.exit_code == 2


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.mark.usefixtures("small")
def test_get_cifar10(tmp_path, monkeypatch):
    """`get cifar10` fetches from torchvision's address, here a local copy, checks the MD5 and imports it."""
    datasets = pytest.importorskip("torchvision.datasets")
    archive = write_tar(tmp_path / "cifar-10-python.tar.gz", tree())
    monkeypatch.setattr(datasets.CIFAR10, "url", archive.as_uri())
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive))
    result = invoke("get", "cifar10")
    assert result.exit_code == 0
    assert "CIFAR-10 (PNG), 50 train, 20 test" in result.stdout
    assert "downloading cifar-10-python.tar.gz: 100 %" in result.stderr


def test_download_with_other_bytes_is_refused(tmp_path, cache, monkeypatch):
    """A download whose MD5 is not the published one is refused, and nothing of it is kept."""
    path = tmp_path / "input.txt"
    path.write_text(TEXT)
    monkeypatch.setattr(download, "SHAKESPEARE_URL", path.as_uri())
    with pytest.raises(DatasetError, match="other bytes than its authors published"):
        invoke_raising("get", "tiny_shakespeare")
    assert not left_behind(cache)


def test_unreachable_source_names_the_import(tmp_path, cache, monkeypatch):
    """Without the network the error is one sentence that names the import as the next step."""
    monkeypatch.setattr(download, "SST2_URL", (tmp_path / "nowhere.zip").as_uri())
    with pytest.raises(
        DatasetError, match=r"could not be downloaded .*'dlgrade data import sst2 PATH'"
    ) as error:
        invoke_raising("get", "sst2")
    assert "\n" not in str(error.value)
    assert not left_behind(cache)


def invoke_raising(*arguments):
    return CliRunner().invoke(data, arguments, catch_exceptions=False)


def test_unreachable_hub_names_the_import(cache):
    """huggingface_hub with nobody listening ends in the same sentence."""
    pytest.importorskip("huggingface_hub", reason="the bert extra is not installed")
    script = "from dlgrade.datasets import get; get('bert')"
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "DLGRADE_DATA": str(cache), "HOME": str(cache)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert "could not be downloaded" in done.stderr.splitlines()[-1]
    assert "'dlgrade data import bert PATH'" in done.stderr.splitlines()[-1]


def test_plain_progress_is_a_line_a_quarter():
    """Away from a terminal, a hundred reports make five lines."""
    stream = io.StringIO()
    progress = PlainProgress(stream)
    for done in range(101):
        progress("reading", done, 100)
    assert stream.getvalue().splitlines() == [f"reading: {p} %" for p in (0, 25, 50, 75, 100)]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_terminal_progress_shows_the_time_left(monkeypatch):
    """On a terminal a bar shows the share done and a time left."""
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with shown(stream) as progress:
        progress("reading", 50, 100)
    assert "reading" in stream.getvalue()
    assert "50%" in stream.getvalue()
    assert ":" in stream.getvalue()


def test_importing_the_commands_loads_nothing_heavy():
    """`dlgrade --help` imports the commands: neither NumPy, torch, Pillow nor rich comes with them."""
    script = "import sys, dlgrade.datasets.commands; print({'numpy','torch','PIL','rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
