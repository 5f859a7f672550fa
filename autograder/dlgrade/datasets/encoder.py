"""A pretrained encoder's folder: config, tokenizer and weights, as transformers' `from_pretrained` takes it.

Weights are accepted as safetensors only: a `.bin` or `.pt` file is a pickle, which runs what it says.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from .records import Draft, Progress

WEIGHTS = "model.safetensors"
TOKENIZERS = ("tokenizer.json", "vocab.txt")
FILES = (
    "config.json",
    WEIGHTS,
    *TOKENIZERS,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
MAX_HEADER = 1 << 20


def read(folder: Path, progress: Progress) -> Draft:
    """Check an encoder's folder; the files are copied when the draft is stored."""
    if not folder.is_dir():
        raise DatasetError(
            f"{folder} is not a folder; expected one with config.json, a tokenizer and {WEIGHTS}"
        )
    progress("checking encoder", 0, 1)
    files = {name: folder / name for name in FILES if (folder / name).is_file()}
    if "config.json" not in files:
        raise DatasetError(f"{folder} has no config.json; expected the folder of a pretrained encoder")
    if not any(name in files for name in TOKENIZERS):
        raise DatasetError(f"{folder} has no {' or '.join(TOKENIZERS)}; the encoder needs its tokenizer")
    if WEIGHTS not in files:
        raise DatasetError(
            f"{folder} has no {WEIGHTS}; weights in a pickle (.bin, .pt) must be converted first"
        )
    config = _config(files["config.json"])
    _check_weights(files[WEIGHTS])
    progress("checking encoder", 1, 1)
    size = f"{config['num_hidden_layers']} layers of {config['hidden_size']}"
    return Draft(
        f"{config['model_type']} encoder {folder.name} ({size})", "encoder", folder.name, files=files
    )


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not JSON: {error}") from error
    wanted = {"model_type": str, "hidden_size": int, "num_hidden_layers": int}
    for key, kind in wanted.items():
        if not isinstance(config, dict) or type(config.get(key)) is not kind:
            raise DatasetError(f"{path} states no {key}; expected the config of a BERT-like encoder")
    return dict(config)


def _check_weights(path: Path) -> None:
    """The header is JSON, and its tensors end where the file ends: a truncated copy is refused here."""
    try:
        with path.open("rb") as stream:
            length = struct.unpack("<Q", stream.read(8))[0]
            if length > MAX_HEADER:
                raise ValueError(f"the header claims {length:,} bytes")
            header = json.loads(stream.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        complete = path.stat().st_size == 8 + length + max(ends)
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, struct.error) as error:
        raise DatasetError(f"{path} is not a safetensors file; copy it again") from error
    if not complete:
        raise DatasetError(f"{path} is truncated: it does not end where its last tensor ends; copy it again")
