"""What a check saw: small named tensors, recorded while it runs, by which mistakes are told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch

from dlgrade.decision import HIGHER


@dataclass(frozen=True)
class Observation:
    """A named value of one check run, and the absolute tolerance it was compared with."""

    name: str
    value: torch.Tensor
    tolerance: float


@dataclass
class Seen:
    """Everything one run of a check observed, and how the run ended."""

    observations: list[Observation] = field(default_factory=list)
    ending: str = "passed"  # or a verdict, with the exception's type where the answer raised
    said: str = ""  # the exception's message without its numbers
    path: str | None = None  # by name, by layout, by property
    chance: float = 0.0  # that the check fails a correct answer, as it computed it
    note: str = ""  # a sentence worth showing with any verdict
    advice: list[str] = field(default_factory=list)  # what costs nothing and is worth knowing
    measured: float | None = None  # the figure that a threshold is about
    better: str = HIGHER  # which way that figure is good
    baseline: float | None = None  # what an answer that learned nothing reaches
    curve: tuple[float, ...] = ()  # mean loss of each epoch, as the worker reported it
    spent: Mapping[str, Any] | None = None  # what the training took, measured from outside


_running: ContextVar[Seen | None] = ContextVar("dlgrade_seen", default=None)

MAX_VALUES = 4096


@contextmanager
def recording() -> Iterator[Seen]:
    """Collect what `observe` is told inside the block."""
    seen = Seen()
    token = _running.set(seen)
    try:
        yield seen
    finally:
        _running.reset(token)


def observe(name: str, value: torch.Tensor, tolerance: float = 1e-6) -> None:
    """Record a value by which mistakes can be recognised; large ones keep their first values only."""
    seen = _running.get()
    if seen is not None:
        kept = value.detach().to(torch.float64)
        kept = kept.clone() if kept.numel() <= MAX_VALUES else kept.reshape(-1)[:MAX_VALUES].clone()
        seen.observations.append(Observation(name, kept, tolerance))


def took_path(path: str) -> None:
    """Record by which path the reference's weights came into the answer; of several, the least direct."""
    seen = _running.get()
    if seen is not None and seen.path in (None, "by name"):
        seen.path = path


def may_fail_by_chance(chance: float) -> None:
    """Add to the chance that this run fails a correct answer."""
    seen = _running.get()
    if seen is not None:
        seen.chance += chance


def advise(sentence: str) -> None:
    """Show a sentence with the report, whatever the verdict; it costs no point."""
    seen = _running.get()
    if seen is not None and sentence not in seen.advice:
        seen.advice.append(sentence)


def measured(value: float, text: str, *, better: str = HIGHER) -> None:
    """Record the figure that a threshold is about, and the sentence to show with any verdict."""
    seen = _running.get()
    if seen is not None:
        seen.measured, seen.note, seen.better = value, text, better


def trained(curve: tuple[float, ...], spent: Mapping[str, Any], baseline: float) -> None:
    """Record how a training went: losses to show, what it took, and what a figure is to be seen against."""
    seen = _running.get()
    if seen is not None:
        seen.curve, seen.spent, seen.baseline = curve, spent, baseline
