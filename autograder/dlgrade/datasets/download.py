"""Fetching the data sets from where their authors keep them.

torchvision knows the addresses and checksums of CIFAR-10 and Fashion-MNIST; huggingface_hub fetches the
encoder. Single files come through one loop of our own rather than torchvision's: it has a deadline, reports
to the same progress bar as an import, and hands the archive to the reader that distrusts it.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ..errors import DatasetError
from .encoder import FILES as ENCODER_FILES
from .records import Progress

SILENCE_SECONDS = 30.0  # without a byte for this long, the connection counts as dead
BLOCK = 1 << 18

SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHAKESPEARE_MD5 = "6fb458f1232090904fb40fe944165e91"
SST2_URL = "https://dl.fbaipublicfiles.com/glue/data/SST-2.zip"
SST2_MD5 = "9f81648d4199384278b86e315dac217c"
ENCODER_REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"


def cifar10(folder: Path, progress: Progress) -> Path:
    """The original archive, 170 MB."""
    from torchvision.datasets import CIFAR10

    return _file("cifar10", CIFAR10.url, folder / CIFAR10.filename, CIFAR10.tgz_md5, progress)


def fashion_mnist(folder: Path, progress: Progress) -> Path:
    """A folder with the four idx files, 31 MB."""
    from torchvision.datasets import FashionMNIST

    for name, md5 in FashionMNIST.resources:
        _file("fashion_mnist", FashionMNIST.mirrors[0] + name, folder / name, md5, progress)
    return folder


def tiny_shakespeare(folder: Path, progress: Progress) -> Path:
    """The text file, 1.1 MB."""
    return _file("tiny_shakespeare", SHAKESPEARE_URL, folder / "input.txt", SHAKESPEARE_MD5, progress)


def sst2(folder: Path, progress: Progress) -> Path:
    """The GLUE benchmark's archive, 7 MB."""
    return _file("sst2", SST2_URL, folder / "SST-2.zip", SST2_MD5, progress)


def bert(folder: Path, progress: Progress) -> Path:
    """A folder with MiniLM-L6-v2, 91 MB; huggingface_hub shows its own progress bar on a terminal."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise DatasetError(
            "bert is fetched by huggingface_hub; install it with pip install 'dlgrade[bert]'"
        ) from error
    progress(f"downloading {ENCODER_REPOSITORY}", 0, 1)
    target = folder / ENCODER_REPOSITORY.rpartition("/")[2]
    try:
        huggingface_hub.snapshot_download(
            ENCODER_REPOSITORY, local_dir=target, allow_patterns=list(ENCODER_FILES)
        )
    except Exception as error:  # it raises its own errors, httpx's, OSError and ValueError
        raise _unreachable("bert", f"the model {ENCODER_REPOSITORY}", error) from error
    progress(f"downloading {ENCODER_REPOSITORY}", 1, 1)
    return target


FETCHERS: dict[str, Callable[[Path, Progress], Path]] = {
    "cifar10": cifar10,
    "fashion_mnist": fashion_mnist,
    "tiny_shakespeare": tiny_shakespeare,
    "sst2": sst2,
    "bert": bert,
}


def _file(name: str, url: str, target: Path, md5: str, progress: Progress) -> Path:
    """Fetch one file and compare its MD5, the checksum that its authors publish."""
    digest = hashlib.md5(usedforsecurity=False)
    request = urllib.request.Request(url, headers={"User-Agent": "dlgrade"})
    try:
        with urllib.request.urlopen(request, timeout=SILENCE_SECONDS) as response, target.open("wb") as file:
            length = response.headers.get("Content-Length")
            total = int(length) if length else None
            while block := response.read(BLOCK):
                file.write(block)
                digest.update(block)
                progress(f"downloading {target.name}", file.tell(), total)
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(name, url, error) from error
    if digest.hexdigest() != md5:
        raise DatasetError(f"{url} delivered other bytes than its authors published; try again later")
    return target


def _unreachable(name: str, what: str, error: Exception) -> DatasetError:
    reason = getattr(error, "reason", None) or str(error).partition("\n")[0] or type(error).__name__
    return DatasetError(
        f"{what} could not be downloaded ({reason}); "
        f"bring a copy from elsewhere with 'dlgrade data import {name} PATH'"
    )
