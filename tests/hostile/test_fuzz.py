"""Everything that reads untrusted bytes: mutated and invented input raises what is declared, nothing else.

The default run decodes 100,000 frames; `pytest -m slow` a million.
"""

import json
import os
import random
import resource
import socket
import struct
import time
import tracemalloc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlgrade import wire
from dlgrade.errors import SubmissionError
from dlgrade.module_layout import Layout
from dlgrade.notebook_source import notebook_text
from dlgrade.outcome import Violation
from dlgrade.source import decode_source, missing_parts, outline
from dlgrade.tree import Decoder, Encoder

CAPS = wire.Caps(header_bytes=4096, buffers=8, body_bytes=1 << 16)
VALUES = (
    {"a": torch.ones(2, 3), "b": [1, 2.5, "text", None, True]},
    (torch.zeros(0, 4), torch.arange(6).reshape(1, 2, 3)),
    [torch.tensor(1.5), {"deep": [[[[1]]]]}],
    "x" * 2000,
)
STRANGE = (
    *(-1, 2**31, 2**63, 2**64, 2**200, True, None, "", "\ud800", "h" * 300, [], {}, [[]], {"b": 0}),
    *({"b": 0, "dtype": "float32", "shape": [2**40]}, {"l": [{"l": [{"l": []}]}]}, {"h": 1, "class": 2}),
    *({"f": "inf"}, {"f": "0x1p99999"}, {"d": [["a", 1], ["a", 2]]}, {"r": [[1, 2]]}, {"s": 0}, {"a": 0}),
)


def frame_of(value) -> bytes:
    """A frame as an honest worker sends it."""
    encoder = Encoder()
    node = encoder.encode(value)
    ours, theirs = socket.socketpair()
    wire.send(ours, {"id": 7, "ok": node}, encoder.buffers)
    ours.close()
    data = b""
    while piece := theirs.recv(1 << 16):
        data += piece
    theirs.close()
    return data


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Bytes flipped, cut, doubled or lengthened, or a header with other values but right lengths."""
    if chance.random() < 0.5:
        return _other_header(data, chance)
    damaged = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        kind, at = chance.randrange(5), chance.randrange(len(damaged) or 1)
        if kind == 0 and damaged:
            damaged[at] = chance.randrange(256)
        elif kind == 1:
            del damaged[at:]
        elif kind == 2:
            damaged[at:at] = damaged[: chance.randrange(64)]
        elif kind == 3:
            damaged[at:at] = chance.randbytes(chance.randrange(16))
        else:
            damaged[4:16] = struct.pack(
                "<IQ", chance.choice((0, 9, 4097, 2**32 - 1)), chance.choice((0, 2**63))
            )
    return bytes(damaged)


def _other_header(data: bytes, chance: random.Random) -> bytes:
    size, body = struct.unpack("<IQ", data[4:16])
    header = json.loads(data[16 : 16 + size])
    place, key = header, chance.choice(list(header))
    while isinstance(place[key], dict | list) and place[key] and chance.random() < 0.8:
        place = place[key]
        key = chance.choice(list(place)) if isinstance(place, dict) else chance.randrange(len(place))
    place[key] = chance.choice(STRANGE)
    text = json.dumps(header).encode()
    return wire.PREFIX.pack(wire.MAGIC, len(text), body) + text + data[16 + size :]


def read(data: bytes) -> str:
    """What becomes of one frame on its way to a value."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(data)
        ours.close()
        theirs.settimeout(5)
        try:
            header, buffers = wire.receive(theirs, CAPS)
            Decoder(buffers).decode(header.get("ok"))
        except wire.Closed:
            return "closed"
        except Violation as violation:
            return "violation" if len(violation.message) < 500 else "long sentence"
    return "value"


def fuzz_frames(count: int) -> dict[str, int]:
    """Read `count` mutated frames; how many ended in which way."""
    chance, honest = random.Random(20_406), [frame_of(value) for value in VALUES]
    endings = {"closed": 0, "violation": 0, "value": 0}
    for _ in range(count):
        endings[read(mutated(chance.choice(honest), chance))] += 1
    return endings


def test_frames_never_raise_anything_else():
    """100,000 mutated frames are values, violations or a closed socket; every way is taken often."""
    endings = fuzz_frames(100_000)
    assert min(endings.values()) > 1000, endings


@pytest.mark.slow
def test_a_million_frames():
    """The same for a million, and the process does not grow."""
    fuzz_frames(10_000)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    endings = fuzz_frames(1_000_000)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    print(f"{endings} in {time.monotonic() - start:.0f} s, peak memory {grown} MiB more")
    assert grown < 50


def test_a_frame_takes_at_most_four_times_its_cap():
    """The largest frame of the worst content that the caps allow, read and decoded."""
    caps = wire.Caps(header_bytes=64 << 10, buffers=64, body_bytes=4 << 20)
    node = {"b": 0, "dtype": "bool", "shape": [caps.body_bytes]}
    padding = {"x": [[] for _ in range(20_000)]}
    text = json.dumps(
        {"id": 1, "ok": node, **padding, "buffers": [caps.body_bytes]}, separators=(",", ":")
    ).encode()
    text = text[: caps.header_bytes]
    frame = wire.PREFIX.pack(wire.MAGIC, len(text), caps.body_bytes) + text
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        theirs.close()
        ours.sendall(frame + b"\7" * caps.body_bytes)
        os._exit(0)
    ours.close()
    tracemalloc.start()
    with theirs:
        header, buffers = wire.receive(theirs, caps)
        tensor = Decoder(buffers).decode(header["ok"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    os.wait()
    assert bool(tensor.all())
    assert peak + tensor.nbytes < 4 * (caps.body_bytes + caps.header_bytes)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["float32", "b", "l"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abdfhlrst"), inner, max_size=3)
    ),
    max_leaves=20,
)


@settings(max_examples=2000, deadline=None)
@given(json_values)
def test_invented_trees_never_raise_anything_else(node):
    """Any JSON as a node, with buffers beside it."""
    try:
        Decoder([bytearray(8), bytearray(24)]).decode(node)
    except Violation:
        return


@settings(max_examples=2000, deadline=None)
@given(st.fixed_dictionaries({"parameters": json_values, "buffers": json_values, "training": json_values}))
def test_invented_layouts_never_raise_anything_else(node):
    """Any JSON as a module's list of parameters."""
    try:
        Layout.parse(node)
    except Violation:
        return


SOURCE = (
    "@decorated\nclass A(B):\n    def f(self, x: int = 1, *a, **k):\n        return [y async for y in x]\n"
)


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.text(max_size=6)), max_size=6))
def test_damaged_source_is_outlined_or_refused(changes):
    """Text put anywhere into a module: an outline with or without its syntax error, or a SubmissionError."""
    text = SOURCE
    for place, inserted in changes:
        text = text[: place % len(text)] + inserted + text[place % len(text) :]
    try:
        missing_parts(outline(decode_source(text.encode("utf-8", "surrogatepass"), "a.py"), "a.py"), _Parts())
    except SubmissionError:
        return


class _Parts:
    """An exercise without parts that anybody could fill in."""

    parts = ()


NOTEBOOK = json.dumps(
    {"nbformat": 4, "cells": [{"cell_type": "code", "source": SOURCE, "metadata": {}}]}
).encode()


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6))
def test_damaged_notebooks_are_read_or_refused(changes):
    """Any bytes changed: a module's text, or a SubmissionError."""
    damaged = bytearray(NOTEBOOK)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    try:
        found = notebook_text(bytes(damaged), "a.ipynb", ["A"])
    except SubmissionError:
        return
    assert isinstance(found.text, str)
