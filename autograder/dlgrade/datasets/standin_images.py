"""Generated pictures of ten shapes: what CIFAR-10 and Fashion-MNIST are replaced by until they are imported.

Each picture shows one of ten shapes at a random place, size, tilt and colour, before a patterned background,
with distracting strokes and noise, so that neither a template per pixel nor a colour histogram tells the
classes apart; a small CNN does. The shape is always clearly lighter than what is behind it: where it was
lighter or darker by chance, networks without normalisation stayed at chance for several passes. All classes
survive a horizontal flip and a tilt of 10 degrees, because students augment with both.

Every number comes from the raw output of a Philox counter, which NumPy keeps stable between versions (its
distributions it does not). Each split has its own key, a hash of the seed and the split's name: whoever
recovers the key of a training split from its pictures still knows nothing about the test split.
"""

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

CLASSES = (
    "disk",
    "ring",
    "square",
    "frame",
    "triangle up",
    "triangle down",
    "plus",
    "saltire",
    "horizontal bars",
    "vertical bars",
)
RECIPE = 2  # raise it with every change to what is drawn
CHUNK = 500  # pictures drawn at once, which bounds memory: 6 MB for each float32 (500, 32, 32, 3)

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


def draw(
    count: int, *, side: int, channels: int, seed: int, split: str
) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Draw `count` labelled pictures, the same ones for the same arguments on every machine.

    Args:
        count: a multiple of ten gives classes of equal size.
        side: height and width in pixels.
        channels: 3 for colour; 1 drops the last axis.
        seed: any integer of 0 or more; a secret one needs 64 random bits, since a worker that sees the
            training split could otherwise try all seeds and draw the test split itself.
        split: "train" or "test".

    Returns:
        uint8 pictures (count, side, side, 3), or (count, side, side) for one channel, and labels (count,).
    """
    stream = RawStream(f"pictures {RECIPE} {side}x{side}x{channels} {split} {seed}")
    labels = (np.argsort(stream.uniform(count), kind="stable") % len(CLASSES)).astype(np.int64)
    pictures = np.empty((count, side, side, channels), dtype=np.uint8)
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        pictures[start:stop] = _draw_chunk(stream, labels[start:stop], side, channels)
    return (pictures if channels > 1 else pictures[..., 0]), labels


class RawStream:
    """Uniform numbers from a Philox counter keyed by a text."""

    def __init__(self, key: str) -> None:
        digest = hashlib.sha256(key.encode()).digest()
        self._philox = np.random.Philox(key=int.from_bytes(digest[:16], "little"))

    def uniform(self, *shape: int) -> Floats:
        """Numbers in [0, 1) with 24 bits, the most a float32 holds."""
        raw = self._philox.random_raw(int(np.prod(shape)))
        return ((raw >> np.uint64(40)) * np.float32(2.0**-24)).astype(np.float32).reshape(shape)

    def between(self, low: float, high: float, *shape: int) -> Floats:
        """Numbers in [low, high)."""
        return np.float32(low) + np.float32(high - low) * self.uniform(*shape)

    def noise(self, *shape: int) -> Floats:
        """Triangular noise of standard deviation 1: the sum of two random bytes, since a byte is cheap."""
        wanted = int(np.prod(shape))
        raw = self._philox.random_raw(-(-wanted * 2 // 8)).view(np.uint8)[: wanted * 2].astype(np.float32)
        centred = raw[:wanted] + raw[wanted:] - np.float32(255.0)
        return (centred / np.float32(104.5)).reshape(shape)


def _draw_chunk(stream: RawStream, labels: npt.NDArray[np.int64], side: int, channels: int) -> Bytes:
    """Background, then distractors, then the shape, then noise: (N, side, side, channels)."""
    n = len(labels)
    axis = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(2.0 / side) - np.float32(1.0)
    x, y = axis[None, None, :], axis[None, :, None]  # (1, 1, W) and (1, H, 1), each from -1 to 1
    canvas = _background(stream, n, x, y, channels)
    for _ in range(2):
        canvas = _paint(canvas, _stroke(stream, n, x, y), stream.uniform(n, 1, 1, channels))
    ink = _lighter(stream, canvas.mean(axis=(1, 2), keepdims=True))
    canvas = _paint(canvas, _shape_masks(stream, labels, x, y), ink)
    canvas = canvas + stream.between(0.03, 0.13, n, 1, 1, 1) * stream.noise(n, side, side, channels)
    levels: Bytes = np.clip(np.rint(canvas * np.float32(255.0)), 0, 255).astype(np.uint8)
    return levels


def _background(stream: RawStream, n: int, x: Floats, y: Floats, channels: int) -> Floats:
    """A colour, a slope and a wave of random direction: (N, H, W, C), mostly within 0.1 to 0.9."""
    angle = stream.between(0.0, 2.0 * np.pi, n, 1, 1)
    along = np.cos(angle).astype(np.float32) * x + np.sin(angle).astype(np.float32) * y
    wave = np.sin(stream.between(2.0, 9.0, n, 1, 1) * along + stream.between(0.0, 2.0 * np.pi, n, 1, 1))
    pattern = stream.between(-0.15, 0.15, n, 1, 1) * along + stream.between(0.0, 0.12, n, 1, 1) * wave
    tint = stream.between(0.5, 1.0, n, 1, 1, channels)
    ground: Floats = stream.between(0.2, 0.8, n, 1, 1, channels) + tint * pattern[..., None]
    return ground


def _lighter(stream: RawStream, ground: Floats) -> Floats:
    """A colour lighter than the mean of the ground in every channel: (N, 1, 1, C)."""
    n, channels = len(ground), ground.shape[-1]
    strength = stream.between(0.25, 0.6, n, 1, 1, 1) * stream.between(0.4, 1.2, n, 1, 1, channels)
    ink: Floats = ground + strength
    return ink


def _paint(canvas: Floats, mask: Floats, ink: Floats) -> Floats:
    """Blend `ink` (N, 1, 1, C) over the canvas where the mask (N, H, W) is 1."""
    cover = mask[..., None]
    return canvas + cover * (ink - canvas)


def _inside(distance: Floats) -> Floats:
    """1 where a signed distance is positive, 0 where negative, a linear edge about one pixel wide."""
    cover: Floats = np.clip(np.float32(0.5) + distance * np.float32(14.0), 0.0, 1.0)
    return cover


def _stroke(stream: RawStream, n: int, x: Floats, y: Floats) -> Floats:
    """A short thin bar at a random place and angle, which carries no class: (N, H, W)."""
    u, v = _local(stream, n, x, y, reach=0.9, tilt=np.pi, scale=(1.0, 1.0))
    length, width = stream.between(0.15, 0.45, n, 1, 1), stream.between(0.04, 0.09, n, 1, 1)
    return _inside(np.minimum(length - np.abs(u), width - np.abs(v)))


def _local(
    stream: RawStream, n: int, x: Floats, y: Floats, *, reach: float, tilt: float, scale: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Coordinates of a shape at a random centre, tilt and size: two (N, H, W)."""
    dx = x - stream.between(-reach, reach, n, 1, 1)
    dy = y - stream.between(-reach, reach, n, 1, 1)
    angle, size = stream.between(-tilt, tilt, n, 1, 1), stream.between(*scale, n, 1, 1)
    c, s = np.cos(angle) / size, np.sin(angle) / size
    return c * dx + s * dy, c * dy - s * dx


def _shape_masks(stream: RawStream, labels: npt.NDArray[np.int64], x: Floats, y: Floats) -> Floats:
    """The mask of each picture's class: (N, H, W)."""
    n = len(labels)
    u, v = _local(stream, n, x, y, reach=0.42, tilt=0.26, scale=(0.3, 0.6))
    masks = np.empty(u.shape, dtype=np.float32)
    for label, distance in enumerate(_DISTANCES):
        chosen = labels == label
        masks[chosen] = _inside(distance(u[chosen], v[chosen]))
    return masks


def _square(u: Floats, v: Floats) -> Floats:
    return np.float32(0.88) - np.maximum(np.abs(u), np.abs(v))


def _triangle(u: Floats, v: Floats) -> Floats:
    """Point up: v grows downwards in a picture."""
    sides = (np.float32(0.95) + v - np.float32(2.0) * np.abs(u)) / np.float32(np.sqrt(5.0))
    inside: Floats = np.minimum(np.float32(0.8) - v, sides)
    return inside


def _cross(u: Floats, v: Floats) -> Floats:
    arms = np.minimum(np.abs(u), np.abs(v))
    return np.minimum(np.float32(0.27) - arms, np.float32(1.0) - np.maximum(np.abs(u), np.abs(v)))


def _bars(across: Floats, along: Floats) -> Floats:
    """Three bars, stacked in the first direction."""
    nearest = np.abs(across) - np.float32(0.68) * (np.abs(across) > np.float32(0.34))
    return np.minimum(np.float32(0.2) - np.abs(nearest), np.float32(0.88) - np.abs(along))


_HALF = np.float32(np.sqrt(0.5))
# Signed distances in the order of CLASSES: positive inside the shape, which lies within -1 to 1.
_DISTANCES: tuple[Callable[[Floats, Floats], Floats], ...] = (
    lambda u, v: np.float32(0.95) - np.hypot(u, v),
    lambda u, v: np.float32(0.22) - np.abs(np.hypot(u, v) - np.float32(0.75)),
    _square,
    lambda u, v: np.float32(0.2) - np.abs(_square(u, v) - np.float32(0.2)),
    _triangle,
    lambda u, v: _triangle(u, -v),
    _cross,
    lambda u, v: _cross((u + v) * _HALF, (u - v) * _HALF),
    lambda u, v: _bars(v, u),
    lambda u, v: _bars(u, v),
)
