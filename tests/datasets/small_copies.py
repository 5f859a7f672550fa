"""Small copies of CIFAR-10 in all its shapes, and how to pack them."""

import io
import tarfile

import numpy as np
from PIL import Image

from dlgrade.datasets import cifar

SMALL = {"train": 50, "test": 20}


def image_bytes(value, *, size=(32, 32), mode="RGB", encoding="PNG"):
    """One encoded picture of a single brightness."""
    stream = io.BytesIO()
    Image.new(mode, size, (value,) * len(mode) if len(mode) > 1 else value).save(stream, encoding)
    return stream.getvalue()


def tree(*, encoding="PNG", counts=SMALL):
    """A CIFAR-10 image tree as {path: bytes}; the brightness of each picture is ten times its label."""
    suffix = {"PNG": "png", "JPEG": "jpg"}[encoding]
    return {
        f"{split}/{name}/{i:04d}.{suffix}": image_bytes(10 * label, encoding=encoding)
        for split, count in counts.items()
        for label, name in enumerate(cifar.CLASSES)
        for i in range(count // 10)
    }


def write_tree(folder, files):
    """Write {path: bytes} below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_tar(path, files, *, mode="w:gz", extra=()):
    """Pack {path: bytes}, then the extra TarInfo, into a tar."""
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return path


def batch_arrays():
    """The six original batches as {name: (pixels (N, 3072), labels (N,))}, every value random."""
    rng = np.random.default_rng(0)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    batches = {}
    for name in names:
        labels = np.arange(20 if name == "test_batch" else 10) % 10
        batches[name] = (rng.integers(0, 256, (len(labels), 3072), dtype=np.uint8), rng.permutation(labels))
    return batches


def left_behind(cache):
    """Every file in the cache but the lock, which stays on purpose."""
    return [path for path in cache.rglob("*") if path.is_file() and path.name != ".lock"]
