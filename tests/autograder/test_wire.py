"""Frames: what is sent arrives, and what does not fit is refused before it is allocated."""

import json
import random
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlgrade import wire
from dlgrade.outcome import Violation


@pytest.fixture
def pair():
    """Two connected sockets with a timeout, so that a bug fails instead of hanging."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    theirs.settimeout(10)
    yield ours, theirs
    ours.close()
    theirs.close()


def raw_frame(
    header: bytes, body: bytes = b"", *, magic=wire.MAGIC, header_size=None, body_size=None
) -> bytes:
    prefix = wire.PREFIX.pack(
        magic,
        len(header) if header_size is None else header_size,
        len(body) if body_size is None else body_size,
    )
    return prefix + header + body


def refusal(pair, data: bytes, caps=wire.ANSWER) -> str:
    """The sentence with which these bytes are refused."""
    ours, theirs = pair
    ours.sendall(data)
    with pytest.raises(Violation) as caught:
        wire.receive(theirs, caps)
    return caught.value.message


def test_a_frame_arrives_as_it_was_sent(pair):
    """Header and buffers come out as they went in, empty buffers included."""
    ours, theirs = pair
    wire.send(ours, {"id": 7, "ok": {"t": [1, "ä"]}}, [b"abc", b"", bytearray(range(256))])
    header, buffers = wire.receive(theirs, wire.ANSWER)
    assert header == {"id": 7, "ok": {"t": [1, "ä"]}}
    assert [bytes(buffer) for buffer in buffers] == [b"abc", b"", bytes(range(256))]


def test_a_frame_larger_than_the_sockets_buffer_arrives_whole(pair):
    """Sending and receiving go on in pieces until all of it is through."""
    ours, theirs = pair
    data = random.Random(0).randbytes(5 << 20)
    sender = threading.Thread(target=wire.send, args=(ours, {"id": 1}, [data]))
    sender.start()
    _, buffers = wire.receive(theirs, wire.ANSWER)
    sender.join()
    assert bytes(buffers[0]) == data


class Enough(Exception):
    """A deadline has passed."""


def test_whoever_sends_in_pieces_meets_the_deadline_at_each(pair):
    """Bytes that are always there by the time they are read put off no deadline."""
    ours, theirs = pair
    theirs.setblocking(False)
    data = raw_frame(b'{"id":1,"buffers":[1000]}', b"x" * 1000)
    left, waits = iter(data), []

    def wait(writing):
        waits.append(writing)
        if len(waits) == 100:
            raise Enough
        ours.send(bytes([next(left)]))

    with pytest.raises(Enough):
        wire.receive(theirs, wire.ANSWER, wait)
    assert waits == [False] * 100


def test_whoever_takes_in_pieces_meets_the_deadline_at_each(pair):
    """So does a frame that the other end makes room for bit by bit."""
    ours, theirs = pair
    ours.setblocking(False)
    waits = []

    def wait(writing):
        waits.append(writing)
        if len(waits) == 10:
            raise Enough
        theirs.recv(1 << 16)

    with pytest.raises(Enough):
        wire.send(ours, {"id": 1}, [bytes(64 << 20)], wait)
    assert waits == [True] * 10


def test_a_closed_socket_is_told_apart_from_a_bad_frame(pair):
    """The end of the stream, between or inside frames, is `Closed`."""
    ours, theirs = pair
    ours.sendall(raw_frame(b'{"id":1,"buffers":[]}')[:10])
    ours.close()
    with pytest.raises(wire.Closed):
        wire.receive(theirs, wire.ANSWER)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (raw_frame(b"{}", magic=b"evil"), "a frame began with b'evil'"),
        (raw_frame(b"", header_size=2**32 - 1), "a header of 4294967295 bytes"),
        (raw_frame(b"", body_size=2**63), "a reply of 9223372036854775808 bytes"),
        (raw_frame(b"[]"), "not a JSON object"),
        (raw_frame(b'{"buffers":[3]}', b"ab"), "add up to 3 bytes, its prefix says 2"),
        (raw_frame(b'{"buffers":[-1,1]}'), "does not list its buffers"),
        (raw_frame(b'{"buffers":[true]}', b"a"), "does not list its buffers"),
        (raw_frame(b'{"buffers":[1.0]}', b"a"), "not strict JSON"),
        (raw_frame(b"{}"), "does not list its buffers"),
        (raw_frame(b'{"a":1,"a":2,"buffers":[]}'), "not strict JSON"),
        (raw_frame(b'{"a":NaN,"buffers":[]}'), "not strict JSON"),
        (raw_frame(b'{"a":Infinity,"buffers":[]}'), "not strict JSON"),
        (raw_frame(b'{"a":"\\ud800","buffers":[]}'), "not strict JSON"),
        (raw_frame(b'{"a":' + b"[" * 30000 + b"]" * 30000 + b',"buffers":[]}'), "not strict JSON"),
        (raw_frame(b'{"a":' + b"9" * 10000 + b',"buffers":[]}'), "not strict JSON"),
        (raw_frame(b'{"a":"\xff","buffers":[]}'), "not strict JSON"),
        (raw_frame(json.dumps({"buffers": [0] * 65}).encode()), "65 tensors came in one reply"),
    ],
)
def test_what_is_no_frame_is_refused_in_a_sentence(pair, data, sentence):
    """Wrong magic, sizes beyond the caps, loose JSON and inconsistent buffers are violations."""
    assert sentence in refusal(pair, data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_random_headers_never_raise_anything_else(data):
    """Whatever bytes a header holds, it is parsed or a violation."""
    try:
        header = wire.parse_header(data)
    except Violation:
        return
    assert isinstance(header, dict)
