"""What a training took, measured from outside of the worker, and what an exercise allows it to take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Spending:
    """One training, as the checker and the system saw it; nothing here is the student's word.

    Attributes:
        parameters: numbers in the state that the training left, buffers included.
        cpu_seconds: of the worker's process and its children, by the system's accounting.
        gpu_seconds: wall clock of a training on a GPU, which bounds its GPU time; 0 on the CPU.
        peak_memory: largest resident bytes of the worker's process until the training ended.
    """

    parameters: int
    cpu_seconds: float
    gpu_seconds: float
    peak_memory: int

    def record(self) -> dict[str, Any]:
        """For the report, with seconds rounded to what they mean."""
        values = asdict(self)
        return values | {name: round(values[name], 2) for name in ("cpu_seconds", "gpu_seconds")}


def told(spent: Mapping[str, Any]) -> str:
    """A line on what the best training took, from a report's record of it."""
    seconds = f"{spent['gpu_seconds']:.1f} s on the GPU" if spent["gpu_seconds"] else ""
    seconds = seconds or f"{spent['cpu_seconds']:.1f} s of processor time"
    size = f"{spent['parameters']:,} parameters, {spent['peak_memory'] >> 20} MB"
    return f"trained {'once' if spent['runs'] == 1 else str(spent['runs']) + ' times'}: {seconds}, {size}"


@dataclass(frozen=True)
class Allowance:
    """What a check allows one training to take; None is no limit of its own.

    The exercise's limits hold besides: they end a training, these fail it afterwards.
    """

    parameters: int | None = None
    cpu_seconds: float | None = None
    gpu_seconds: float | None = None
    memory_mb: int | None = None

    def exceeded(self, spent: Spending) -> Iterator[str]:
        """A sentence's end for each limit that was not kept."""
        if self.parameters is not None and spent.parameters > self.parameters:
            yield f"has {spent.parameters:,} parameters, {self.parameters:,} are allowed"
        if self.cpu_seconds is not None and spent.cpu_seconds > self.cpu_seconds:
            yield f"took {spent.cpu_seconds:.0f} s of CPU time to train, {self.cpu_seconds:g} s are allowed"
        if self.gpu_seconds is not None and spent.gpu_seconds > self.gpu_seconds:
            yield f"took {spent.gpu_seconds:.0f} s on the GPU to train, {self.gpu_seconds:g} s are allowed"
        if self.memory_mb is not None and spent.peak_memory > self.memory_mb << 20:
            yield f"took {spent.peak_memory >> 20} MB of memory to train, {self.memory_mb} MB are allowed"
