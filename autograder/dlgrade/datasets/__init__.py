"""Data sets by name: stored once as memory-mapped arrays, else replaced by a generated stand-in.

    open_("cifar10").splits["train"].inputs     uint8 images (N, H, W, C)
    import_("cifar10", path), get("cifar10")    bring the real data

Importing this package loads neither NumPy nor torch.
"""

from .records import Dataset, DatasetInfo, Progress, Split, Stored, silent
from .registry import catalog, describe, get, import_, open_

__all__ = [
    "Dataset",
    "DatasetInfo",
    "Progress",
    "Split",
    "Stored",
    "catalog",
    "describe",
    "get",
    "import_",
    "open_",
    "silent",
]
