"""Coverage-guided fuzzing, longer than the tests take: `atheris` steers by the lines that bytes reach.

    pip install atheris
    python -m tests.hostile.coverage_fuzz frames --seconds 600

Readers: frames, notebooks, sources, archives, exercises. Each may end in a value or in the error that it
declares; anything else stops the run with the bytes that led there, in a file `crash-...`. So does more
than a second for one input, or 2 GB of memory.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["dlgrade"]):
    from dlgrade import wire
    from dlgrade.archives import source_files
    from dlgrade.declaration import load_public
    from dlgrade.errors import CourseError, SubmissionError
    from dlgrade.module_layout import Layout
    from dlgrade.notebook_source import notebook_text
    from dlgrade.outcome import Violation
    from dlgrade.source import decode_source, outline
    from dlgrade.tree import Decoder

from tests.hostile import test_archives, test_fuzz

DECLARED = (Violation, SubmissionError, CourseError, wire.Closed)
EXERCISE = """\
id = "a"
title = "t"
summary = "s"
graded_tier = "quick"
preload = ["torch"]
[hidden]
count = 2
points = 3
[limits]
memory_gb = 2
[[parts]]
name = "f"
hints = ["one"]
"""


def frames(data: bytes) -> None:
    """A frame from a worker, up to the value or the list of parameters in it."""
    test_fuzz.read(data)
    size = int.from_bytes(data[4:8], "little")
    try:
        node = json.loads(data[16 : 16 + min(size, 4096)])["ok"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    for read in (Layout.parse, Decoder([bytearray(64)]).decode):
        try:
            read(node)
        except Violation:
            continue


def notebooks(data: bytes) -> None:
    """A notebook that a student handed in."""
    notebook_text(data, "a.ipynb", ["A"])


def sources(data: bytes) -> None:
    """A module that a student handed in."""
    outline(decode_source(data, "a.py"), "a.py")


def archives(data: bytes) -> None:
    """An archive that a student handed in."""
    source_files(data, "target.zip")


def exercises(data: bytes) -> None:
    """An exercise that somebody was sent."""
    file = ROOT / "assignments" / "a" / "exercise.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    load_public(ROOT, "a")


ROOT = Path(tempfile.mkdtemp())
READERS = {
    frames: [test_fuzz.frame_of(value) for value in test_fuzz.VALUES],
    notebooks: [test_fuzz.NOTEBOOK],
    sources: [test_fuzz.SOURCE.encode()],
    archives: test_archives.SEEDS,
    exercises: [EXERCISE.encode()],
}


def main() -> None:
    """Fuzz one reader, starting from honest input."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = {reader.__name__: reader for reader in READERS}
    parser.add_argument("reader", choices=names)
    parser.add_argument("--seconds", type=int, default=600)
    options = parser.parse_args()
    reader = names[options.reader]
    corpus = Path(tempfile.mkdtemp())
    for number, seed in enumerate(READERS[reader]):
        (corpus / str(number)).write_bytes(seed)

    def once(data: bytes) -> None:
        try:
            reader(data)
        except DECLARED:
            return

    limits = [f"-max_total_time={options.seconds}", "-timeout=1", "-rss_limit_mb=2048", "-max_len=8192"]
    atheris.Setup([sys.argv[0], *limits, "-print_final_stats=1", str(corpus)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
