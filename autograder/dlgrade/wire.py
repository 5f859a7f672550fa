"""Frames: one JSON header and raw buffers over a stream socket, under caps, never pickle.

    frame  = prefix header body
    prefix = b"dlg1", header length (u32), body length (u64), little-endian
    header = strict JSON object; its "buffers" lists the byte length of each piece of the body

Everything read here may come from an attacker: lengths are checked as Python integers before a byte
is allocated, and whatever does not fit is a `Violation`.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from dlgrade.outcome import Violation

MAGIC: Final = b"dlg1"
PREFIX: Final = struct.Struct("<4sIQ")
SMALL: Final = 64 << 10  # bytes: what costs less to copy than to send by itself


@dataclass(frozen=True)
class Caps:
    """The most that one frame may hold."""

    header_bytes: int = 64 << 10
    buffers: int = 64
    body_bytes: int = 256 << 20


ANSWER: Final = Caps()
STATE: Final = Caps(header_bytes=1 << 20, buffers=4096, body_bytes=1 << 30)


class Closed(Exception):
    """The other end closed the socket between or inside frames."""


# Blocks until the socket is readable (or writable, as asked), or raises on a deadline. It is called where a
# piece of a frame does not come or go whole at once, since it costs more than reading a small piece does.
Wait = Callable[[bool], None]


def _no_wait(_writing: bool) -> None:
    """For a blocking socket, which waits by itself."""


def send(sock: socket.socket, header: dict[str, Any], buffers: Sequence[Any], wait: Wait = _no_wait) -> None:
    """Write one frame; each buffer is an object with the buffer protocol."""
    views = [
        memoryview(buffer).cast("B") if len(memoryview(buffer)) else memoryview(b"") for buffer in buffers
    ]
    text = json.dumps(
        {**header, "buffers": [view.nbytes for view in views]},
        separators=(",", ":"),
        ensure_ascii=True,
        allow_nan=False,
    ).encode()
    size = sum(view.nbytes for view in views)
    start = memoryview(PREFIX.pack(MAGIC, len(text), size) + text)
    # A small frame goes in one piece: each piece may wake the other end, which then waits for the next.
    pieces = [memoryview(b"".join((start, *views)))] if size <= SMALL else [start, *views]
    for piece in pieces:
        _send_all(sock, piece, wait)


def _send_all(sock: socket.socket, piece: memoryview, wait: Wait) -> None:
    while piece.nbytes:
        try:
            piece = piece[sock.send(piece) :]
        except (BlockingIOError, InterruptedError):
            pass
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error
        if piece.nbytes:
            wait(True)


def receive(sock: socket.socket, caps: Caps, wait: Wait = _no_wait) -> tuple[dict[str, Any], list[bytearray]]:
    """Read one frame within `caps`.

    Raises:
        Closed: the other end is gone.
        Violation: the bytes are not a frame, or one beyond the caps.
    """
    magic, header_size, body_size = PREFIX.unpack(_exactly(sock, PREFIX.size, wait))
    if magic != MAGIC:
        raise Violation(f"a frame began with {magic!r}, expected {MAGIC!r}")
    if header_size > caps.header_bytes:
        raise Violation(f"a header of {header_size} bytes came, at most {caps.header_bytes} are allowed")
    if body_size > caps.body_bytes:
        raise Violation(f"a reply of {body_size} bytes came, at most {caps.body_bytes} are allowed")
    header = parse_header(bytes(_exactly(sock, header_size, wait)))
    sizes = _buffer_sizes(header.pop("buffers", None), body_size, caps)
    return header, [_exactly(sock, size, wait) for size in sizes]


def _exactly(sock: socket.socket, size: int, wait: Wait) -> bytearray:
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        try:
            count = sock.recv_into(view[got:])  # plain recv: descriptors sent along are never accepted
        except (BlockingIOError, InterruptedError):
            pass
        except ConnectionResetError as error:
            raise Closed from error
        else:
            if count == 0:
                raise Closed
            got += count
        if got < size:
            wait(False)
    return data


def _buffer_sizes(sizes: Any, body_size: int, caps: Caps) -> list[int]:
    if not isinstance(sizes, list) or any(type(size) is not int or size < 0 for size in sizes):
        raise Violation("a header does not list its buffers as sizes in bytes")
    if len(sizes) > caps.buffers:
        raise Violation(f"{len(sizes)} tensors came in one reply, at most {caps.buffers} are allowed")
    if sum(sizes) != body_size:
        raise Violation(f"the buffers of a frame add up to {sum(sizes)} bytes, its prefix says {body_size}")
    return sizes


def parse_header(data: bytes) -> dict[str, Any]:
    """Parse a header strictly: no floats, no NaN, no duplicate keys, no lone surrogates, no deep nesting."""
    try:
        header = json.loads(
            data.decode("utf-8"),
            parse_constant=_refuse,
            parse_float=_refuse,
            object_pairs_hook=_unique,
        )
        if b"\\u" in data:  # lone surrogates are not text, and come by such an escape only
            json.dumps(header, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise Violation(f"a header is not strict JSON: {type(error).__name__}") from None
    if not isinstance(header, dict):
        raise Violation("a header is not a JSON object")
    return header


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"number {text[:20]} in a header")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result
