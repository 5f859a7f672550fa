"""What a check asks for the right answer: the live reference, or its recorded outputs.

For staff the oracle runs the reference at the run's secret seed. A student has no reference: there
the same requests are answered from a record made at the one published seed. Weights and inputs come
from a formula in both cases, so only outputs need to be recorded.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from dlgrade import formula, recorded, wire
from dlgrade.drawn import Draw, Draws
from dlgrade.errors import GraderFault
from dlgrade.observation import Observation, Seen
from dlgrade.peer import Header, LocalPeer, Peer
from dlgrade.process import Deadline
from dlgrade.proxy import Channel, RemoteModule, Subject
from dlgrade.tree import Buffers

PATIENCE: Final = Deadline(3600.0)

Record = list[dict[str, Any]]


class Oracle(Subject):
    """The reference as a check sees it, and the check's source of inputs.

    Args:
        peer: where the reference, or its record, answers.
        seed: of the run; secret when grading.
        check: the check's id, so that no two checks see the same inputs.
        draws: numbers that are at hand.

    Attributes:
        drawn: what was asked of the formula so far.
    """

    def __init__(self, peer: Peer, *, seed: int, check: str, draws: Draws | None = None) -> None:
        super().__init__(Channel(peer, stream=formula.mix(seed, check), deadline=PATIENCE, drift=True))
        self.drawn: list[Draw] = []
        self._at_hand = draws or Draws()
        self._seed = seed
        self._check = check
        self._streams = itertools.count()

    def build(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """A part of the reference; a module gets weights from a formula, in train mode as built."""
        built = super().build(name, *args, **kwargs)
        if isinstance(built, RemoteModule):
            built.load_state_dict(self.weights(built))
        return built

    def weights(self, module: RemoteModule) -> dict[str, torch.Tensor]:
        """Values for all floating parameters and buffers of a module, from this check's formula."""
        stream = self._stream()
        return {
            entry.name: self._take("parameter", stream, entry.shape, entry.dtype, entry.name)
            for entry in (*module.layout.parameters, *module.layout.buffers)
            if entry.dtype.is_floating_point
        }

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Bell-shaped values of mean 0 and variance 1, within +-3.47."""
        return self._take("normal", self._stream(), shape, dtype)

    def uniform(
        self, *shape: int, low: float = 0.0, high: float = 1.0, dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        """Values in [low, high)."""
        return self._take("uniform", self._stream(), shape, dtype, float(low), float(high))

    def integers(self, *shape: int, low: int, high: int) -> torch.Tensor:
        """int64 values in [low, high)."""
        return self._take("integers", self._stream(), shape, torch.int64, int(low), int(high))

    def seed(self) -> int:
        """A number for a Toy's weights, of this check alone."""
        return self._stream()

    def _take(
        self, kind: str, stream: int, shape: tuple[int, ...], dtype: torch.dtype, *more: float | str
    ) -> torch.Tensor:
        sides = tuple(int(side) for side in shape)  # NumPy's integers too
        draw = Draw(kind, stream, sides, str(dtype).removeprefix("torch."), more)
        self.drawn.append(draw)
        return self._at_hand.take(draw)

    def _stream(self) -> int:
        return formula.mix(self._seed, self._check, next(self._streams))


def reference(answer: str) -> Peer:
    """The reference, live, from the text of the full answer."""
    return LocalPeer("reference_answer", answer)


class RecordingPeer:
    """Passes requests on and keeps the replies."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.record: Record = []

    def exchange(
        self, header: Header, buffers: Buffers, caps: wire.Caps, deadline: Deadline
    ) -> tuple[Header, Buffers]:
        reply, out = self._peer.exchange(header, buffers, caps, deadline)
        if header["op"] not in SILENT:
            kept = {key: value for key, value in reply.items() if key != "id"}
            data = recorded.to_json(kept, out)
            self.record.append({"op": header["op"], "reply": kept, "buffers": data})
        return reply, out


SILENT: Final = frozenset({"push", "mode"})  # their reply is empty, so it is not recorded


class ReplayPeer:
    """Answers from a record, in order."""

    def __init__(self, record: Sequence[dict[str, Any]]) -> None:
        self._left = iter(record)

    def exchange(
        self, header: Header, buffers: Buffers, caps: wire.Caps, deadline: Deadline
    ) -> tuple[Header, Buffers]:
        if header["op"] in SILENT:
            return {"id": header["id"], "ok": None}, []
        entry = next(self._left, None)
        if entry is None or entry["op"] != header["op"]:
            raise GraderFault(
                "the recorded answers do not fit this check; run 'dlgrade build', or install the "
                "version of the exercise that this folder came from"
            )
        buffers = [recorded.from_json(data) for data in entry["buffers"]]
        return {"id": header["id"], **entry["reply"]}, buffers


# --- fingerprints: what `build` records for students ----------------------------------------------


def seen_to_json(seen: Seen, *, digits: int = 9) -> dict[str, Any]:
    """A run's observations as JSON numbers of so many significant digits; 17 keep every bit."""
    return {
        "ending": seen.ending,
        "said": seen.said,
        "observations": [
            {
                "name": observation.name,
                "shape": list(observation.value.shape),
                "values": [_number(value, digits) for value in observation.value.reshape(-1).tolist()],
                "tolerance": observation.tolerance,
            }
            for observation in seen.observations
        ],
    }


def seen_from_json(values: Mapping[str, Any] | None) -> Seen:
    """The inverse of `seen_to_json`; nothing seen for None."""
    if values is None:
        return Seen()
    observations = [
        Observation(
            entry["name"],
            torch.tensor([float(v) for v in entry["values"]], dtype=torch.float64).reshape(entry["shape"]),
            entry["tolerance"],
        )
        for entry in values["observations"]
    ]
    return Seen(observations, values["ending"], values.get("said", ""))


def _number(value: float, digits: int) -> float | str:
    """A rounded number, or text for what JSON has no number for."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else str(value)


def load_fingerprints(file: Path) -> Mapping[str, Any]:
    """The recorded answers of an exercise's visible checks, by check."""
    try:
        fingerprints = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GraderFault(f"{file} cannot be read: {error}; run 'dlgrade start' again") from None
    checks: Mapping[str, Any] = fingerprints["checks"]
    return checks
