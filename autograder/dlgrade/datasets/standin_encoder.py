"""A tiny untrained BERT in transformers' file format: what the pretrained encoder is replaced by.

Two layers of 64, random weights, and a tokenizer that knows the stand-in sentences' words and single letters.
It makes every command run; it has learned nothing, so what is measured on it says nothing about BERT.
"""

import json
import string
import struct
from pathlib import Path

import numpy as np

from .standin_images import RawStream
from .standin_sentences import vocabulary

WIDTH, LAYERS, HEADS, INNER, POSITIONS = 64, 2, 4, 256, 512


def write(folder: Path, *, seed: int) -> None:
    """Write config.json, the tokenizer's files and model.safetensors into an existing folder."""
    words = _tokens()
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": len(words),
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "pad_token_id": 0,
    }
    tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": POSITIONS}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n")
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    (folder / "model.safetensors").write_bytes(_safetensors(_shapes(len(words)), seed))


def _tokens() -> list[str]:
    characters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = [*characters, *(f"##{character}" for character in string.ascii_lowercase + string.digits)]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return [*special, *pieces, *(word for word in vocabulary() if word not in pieces)]


def _shapes(words: int) -> dict[str, tuple[int, ...]]:
    """Parameter names and shapes of transformers' BertModel."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (words, WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        **_norm("embeddings.LayerNorm"),
    }
    for layer in (f"encoder.layer.{i}" for i in range(LAYERS)):
        for name in ("query", "key", "value"):
            shapes |= _linear(f"{layer}.attention.self.{name}", WIDTH, WIDTH)
        shapes |= _linear(f"{layer}.attention.output.dense", WIDTH, WIDTH)
        shapes |= _norm(f"{layer}.attention.output.LayerNorm")
        shapes |= _linear(f"{layer}.intermediate.dense", INNER, WIDTH)
        shapes |= _linear(f"{layer}.output.dense", WIDTH, INNER)
        shapes |= _norm(f"{layer}.output.LayerNorm")
    return shapes | _linear("pooler.dense", WIDTH, WIDTH)


def _linear(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}


def _safetensors(shapes: dict[str, tuple[int, ...]], seed: int) -> bytes:
    """The tensors in safetensors' format: length of the header, header, float32 values in its order.

    Matrices have standard deviation 0.02 as BERT begins, biases are 0, the gains of a LayerNorm 1.
    """
    stream = RawStream(f"encoder 1 {seed}")
    header, blocks, offset = {}, [], 0
    for name, shape in shapes.items():
        if len(shape) == 2:
            values = stream.noise(*shape) * np.float32(0.02)
        else:
            values = np.full(shape, 1.0 if name.endswith("LayerNorm.weight") else 0.0, dtype=np.float32)
        blocks.append(values.astype("<f4").tobytes())
        header[name] = {
            "dtype": "F32",
            "shape": list(shape),
            "data_offsets": [offset, offset := offset + len(blocks[-1])],
        }
    encoded = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    encoded += b" " * (-len(encoded) % 8)
    return struct.pack("<Q", len(encoded)) + encoded + b"".join(blocks)
