"""The reference's replies to one check, kept for the next submission that is asked the same.

All submissions of a run are checked at one seed, so a check that goes its whole way asks the reference the
same each time. What it replied is looked up by the digest of everything that was asked up to there; from the
first question that differs on, the reference itself answers, after it was told what it had missed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Final

from dlgrade import wire
from dlgrade.peer import Header, Peer
from dlgrade.process import Deadline
from dlgrade.tree import Buffers

VARYING: Final = frozenset({"id", "drop"})  # differ from run to run, and no reply depends on them


@dataclass(frozen=True)
class Remembered:
    """One reply, and the digest of the questions that led to it."""

    digest: str
    reply: Header
    buffers: tuple[bytes, ...]


class RememberingPeer:
    """Answers from memory as long as it is asked what is remembered, then by a peer that it has made.

    A reply from memory leaves the random numbers of this process as they are, a live one does not: a check
    takes its random numbers from the oracle, which draws them from a formula.

    Attributes:
        replies: all that was answered here so far, to be remembered.
    """

    def __init__(self, make: Callable[[], Peer], known: Sequence[Remembered] = ()) -> None:
        self.replies: list[Remembered] = []
        self._make = make
        self._known = known
        self._live: Peer | None = None
        self._missed: list[tuple[Header, Buffers]] = []
        self._digest = hashlib.blake2b(digest_size=16)
        self._numbers: dict[tuple[str, int], int] = {}

    def exchange(
        self, header: Header, buffers: Buffers, caps: wire.Caps, deadline: Deadline
    ) -> tuple[Header, Buffers]:
        digest = self._digest_of(header, buffers)
        found = self._looked_up(digest)
        if found is None:
            reply, out = self._told(caps, deadline).exchange(header, buffers, caps, deadline)
            kept = {key: value for key, value in reply.items() if key != "id"}
            found = Remembered(digest, kept, tuple(bytes(buffer) for buffer in out))
        else:
            self._missed.append((header, [bytes(buffer) for buffer in buffers]))
        self.replies.append(found)
        return {**found.reply, "id": header["id"]}, [bytearray(buffer) for buffer in found.buffers]

    def _looked_up(self, digest: str) -> Remembered | None:
        """What is remembered of this question, unless another one came before it."""
        place = len(self.replies)
        if self._live is not None or place >= len(self._known):
            return None
        return self._known[place] if self._known[place].digest == digest else None

    def _told(self, caps: wire.Caps, deadline: Deadline) -> Peer:
        """The live peer, which has heard everything that was asked so far."""
        if self._live is None:
            self._live = self._make()
            for header, buffers in self._missed:
                self._live.exchange(header, buffers, caps, deadline)
            self._missed.clear()
        return self._live

    def _digest_of(self, header: Header, buffers: Buffers) -> str:
        """A digest of this request and of all before it."""
        fixed = {key: self._numbered(value) for key, value in header.items() if key not in VARYING}
        if "graph" in fixed:  # the id of an earlier request
            fixed["graph"] = self._number("request", header["graph"])
        self._number("request", header["id"])
        self._digest.update(json.dumps([fixed, [len(buffer) for buffer in buffers]]).encode())
        for buffer in buffers:
            self._digest.update(buffer)
        return self._digest.hexdigest()

    def _numbered(self, node: Any) -> Any:
        """The node with specs numbered in the order in which this check named them."""
        if isinstance(node, list):
            return [self._numbered(item) for item in node]
        if not isinstance(node, dict):
            return node
        numbered = {key: self._numbered(value) for key, value in node.items()}
        if "spec" in node:
            numbered["spec"] = self._number("spec", node["spec"])
        return numbered

    def _number(self, kind: str, key: int) -> int:
        return self._numbers.setdefault((kind, key), len(self._numbers))


def to_bytes(replies: Sequence[Remembered]) -> bytes:
    """Replies as one line of JSON with the buffers' bytes behind it."""
    index = [[r.digest, r.reply, [len(buffer) for buffer in r.buffers]] for r in replies]
    return json.dumps(index).encode() + b"\n" + b"".join(b for r in replies for b in r.buffers)


def from_bytes(data: bytes) -> list[Remembered]:
    """The inverse of `to_bytes`."""
    line, _, body = data.partition(b"\n")
    replies, start = [], 0
    for digest, reply, sizes in json.loads(line):
        bounds = list(accumulate(sizes, initial=start))
        replies.append(Remembered(digest, reply, tuple(body[a:b] for a, b in pairwise(bounds))))
        start = bounds[-1]
    return replies
