"""Generated film opinions: what SST-2 is replaced by until it is imported.

The label follows from the whole sentence, not from one word: a quarter of the judgements are negated, and of
two joined by "but" or "although" one decides. Counting words gets part of the way, reading in order the rest.

A sentence belongs to train, dev or test by its own checksum, so no split repeats a sentence of another,
whatever the seeds.
"""

import zlib

import numpy as np

from .records import Examples
from .standin_images import RawStream

COUNTS = {"train": 6_000, "dev": 1_000, "test": 1_000}

_GOOD = ("moving", "witty", "gripping", "charming", "tender", "fresh", "clever", "honest", "graceful")
_BAD = ("dull", "clumsy", "lifeless", "bland", "shallow", "tedious", "messy", "stale", "hollow")
_PEOPLE = ("cast", "villain", "direction", "acting", "romance", "dialogue", "humour", "narrator", "hero")
_CRAFT = ("film", "story", "plot", "script", "ending", "music", "camerawork", "editing", "pacing", "finale")
_THINGS = (*_PEOPLE, *_CRAFT)
_PLAIN = ("is", "feels", "seems", "remains", "turns out")
_NEGATED = ("is not", "is never", "is hardly", "does not feel", "is far from", "is anything but")
_DEGREES = ("", "very ", "really ", "quite ", "particularly ", "truly ")
_FRAMES = (
    "{}",
    "{} .",
    "for me , {} .",
    "after two hours i can say that {} .",
    "like most of this director 's work , {} .",
    "whatever the posters promise , {} .",
)


def write(count: int, *, seed: int, split: str) -> Examples:
    """`count` different sentences, half of them of each label, the same for the same arguments everywhere."""
    draws = _Draws(f"sentences 1 {split} {seed}")
    wanted = {0: count // 2, 1: count - count // 2}
    found: dict[str, int] = {}
    while len(found) < count:
        sentence, label = _sentence(draws)
        if _split_of(sentence) == split and wanted[label] and sentence not in found:
            found[sentence] = label
            wanted[label] -= 1
    return Examples(list(found), np.array(list(found.values()), dtype=np.int64))


def vocabulary() -> list[str]:
    """Every word a sentence can hold, for the stand-in encoder's tokenizer."""
    sources = (*_GOOD, *_BAD, *_THINGS, *_PLAIN, *_NEGATED, *_DEGREES, *_FRAMES, "the but although ,")
    return sorted({word for source in sources for word in source.split()} - {"{}"})


def _split_of(sentence: str) -> str:
    bucket = zlib.crc32(sentence.encode()) % 10
    return {0: "dev", 1: "test"}.get(bucket, "train")


class _Draws:
    """Choices from a stream of random numbers, fetched a thousand at a time."""

    def __init__(self, key: str) -> None:
        self._stream = RawStream(key)
        self._numbers: list[float] = []

    def below(self, bound: int) -> int:
        if not self._numbers:
            self._numbers = self._stream.uniform(1_000).tolist()
        return int(self._numbers.pop() * bound)

    def of(self, options: tuple[str, ...] | list[str]) -> str:
        return options[self.below(len(options))]


def _sentence(draws: _Draws) -> tuple[str, int]:
    """One clause, or two of opposite judgement of which the main one counts."""
    label = draws.below(2)
    main = _clause(draws, label)
    aside = _clause(draws, 1 - label)
    joined = (
        *(main,) * 6,
        f"{aside} , but {main}",
        f"although {aside} , {main}",
        f"{main} , although {aside}",
    )
    text = draws.of(joined)
    return draws.of(_FRAMES).format(text), label


def _clause(draws: _Draws, label: int) -> str:
    """A judgement of one thing: praised by a good word or a negated bad one, and the other way round."""
    negated = draws.below(4) == 0
    word = draws.of(_GOOD if label != negated else _BAD)
    verb = draws.of(_NEGATED if negated else _PLAIN)
    return f"the {draws.of(_THINGS)} {verb} {draws.of(_DEGREES)}{word}"
