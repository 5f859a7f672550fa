"""Who answers a channel's requests: `Peer`, and the one that hosts trusted code in this process."""

from __future__ import annotations

from typing import Any, Protocol

from dlgrade import wire
from dlgrade.errors import GraderFault
from dlgrade.host import Host
from dlgrade.process import Deadline
from dlgrade.tree import Buffers

Header = dict[str, Any]


class Peer(Protocol):
    """Anything that answers one request with one reply."""

    def exchange(
        self, header: Header, buffers: Buffers, caps: wire.Caps, deadline: Deadline
    ) -> tuple[Header, Buffers]: ...


class LocalPeer:
    """A host in this process, for code that is trusted: the reference and the mistakes."""

    def __init__(self, name: str, source: str) -> None:
        self._host = Host(name)
        reply, _ = self._host.answer(
            {"id": 0, "seed": 0, "op": "load", "source": {"s": 0}}, [source.encode()]
        )
        if "error" in reply:
            raise GraderFault(f"{name} cannot be loaded: {reply['error']}")

    def exchange(
        self, header: Header, buffers: Buffers, caps: wire.Caps, deadline: Deadline
    ) -> tuple[Header, Buffers]:
        copies = [bytearray(buffer) for buffer in buffers]  # what the other side writes to is its own
        reply, out = self._host.answer(header, copies)
        return reply, [bytearray(buffer) for buffer in out]
