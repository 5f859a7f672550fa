"""Numbers from a formula: the same bits on every machine and with every library version.

Inputs and weights of checks come from here, not from a library's random generator, so that outputs
recorded once can be compared with a student's anywhere. Only integer operations and exactly rounded
float64 operations are used.

Source: SplitMix64, Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195; the normal variate is a
sum of four uniform ones (Irwin-Hall), scaled to unit variance: its range is +-3.46.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]

_GOLDEN: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


def mix(*parts: int | str) -> int:
    """A 63-bit seed from any number of names and numbers; the order matters."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def bits(seed: int, count: int) -> Array:
    """`count` 64-bit words of the stream `seed`."""
    with np.errstate(over="ignore"):
        z: Array = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN) + np.uint64(seed & _MASK)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return z


def uniform(seed: int, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Array:
    """float64 values in [low, high)."""
    words = bits(seed, math.prod(shape)) >> np.uint64(11)
    return (low + (high - low) * (words.astype(np.float64) * 2.0**-53)).reshape(shape)


def normal(seed: int, shape: tuple[int, ...]) -> Array:
    """float64 values of mean 0 and variance 1, bell-shaped, within +-3.47."""
    words = bits(seed, 2 * math.prod(shape))
    halves = np.stack([words >> np.uint64(32), words & np.uint64(0xFFFFFFFF)]).astype(np.float64)
    total: Array = (halves * 2.0**-32).sum(axis=0).reshape(2, -1).sum(axis=0)  # four uniforms a value
    scaled: Array = (total - 2.0) * math.sqrt(3.0)
    return scaled.reshape(shape)


def integers(seed: int, shape: tuple[int, ...], low: int, high: int) -> Array:
    """int64 values in [low, high)."""
    span = np.uint64(high - low)
    return ((bits(seed, math.prod(shape)) % span).astype(np.int64) + low).reshape(shape)


def parameter(seed: int, name: str, shape: tuple[int, ...]) -> Array:
    """A value for the parameter or buffer `name`: sane in size, and nothing left at 0 or 1.

    Weights of two and more dimensions are scaled by the root of their fan-in. Vectors (biases, the
    gain and shift of a norm) are moved away from their usual start, since a fresh norm hides whether
    one is shared or missing.
    """
    last = name.rsplit(".", 1)[-1]
    stream = mix(seed, name)
    if last == "running_var":
        return uniform(stream, shape, 0.5, 1.5)
    values = normal(stream, shape)
    if len(shape) >= 2:
        return values / math.sqrt(math.prod(shape[1:]))
    if last == "weight":
        return 1.0 + 0.3 * values
    return np.asarray(0.3 * values)  # NumPy turns a product of shape () into a scalar
