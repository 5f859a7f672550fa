"""What a module of the submission consists of, by the worker's word: parsed under caps before it is used."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final

import torch

from dlgrade import wire
from dlgrade.outcome import Violation
from dlgrade.tree import DTYPES, checked_shape

NAME: Final = re.compile(r"[A-Za-z0-9_.]{1,128}")


@dataclass(frozen=True)
class Entry:
    """One parameter or buffer of a module, as the other side lists it."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    requires_grad: bool = False

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @classmethod
    def parse(cls, name: Any, dtype: Any, shape: Any, requires_grad: Any = False) -> Entry:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise Violation("a parameter's name may hold letters, digits, '_' and '.' only, 128 at most")
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise Violation(f"parameter {name} has a dtype that cannot be graded")
        return cls(name, DTYPES[dtype], checked_shape(shape), requires_grad is True)


@dataclass(frozen=True)
class Layout:
    """Names, dtypes and shapes of a module's parameters and buffers, as the other side lists them."""

    parameters: tuple[Entry, ...]
    buffers: tuple[Entry, ...]
    training: bool

    @classmethod
    def parse(cls, node: Any) -> Layout:
        try:
            parameters = tuple(Entry.parse(*values) for values in node["parameters"])
            buffers = tuple(Entry.parse(*values) for values in node["buffers"])
            training = node["training"] is True
        except (TypeError, ValueError, KeyError):
            raise Violation("a module's list of parameters is malformed") from None
        entries = (*parameters, *buffers)
        if len(entries) > wire.STATE.buffers:
            raise Violation(f"a module lists more than {wire.STATE.buffers} parameters and buffers")
        if len({entry.name for entry in entries}) < len(entries):
            raise Violation("a module lists two parameters under one name")
        if (size := sum(entry.nbytes for entry in entries)) > wire.STATE.body_bytes:
            raise Violation(
                f"a module lists parameters of {size} bytes, at most {wire.STATE.body_bytes} are allowed"
            )
        return cls(parameters, buffers, training)
