"""Comparisons that cannot be fooled: dtype, exact shape, size, finite values, then tolerance, in that order.

Each raises `CheckFailed` with a sentence for the student: what differs, where first and by how much,
never the expected values themselves.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch

from dlgrade.observation import may_fail_by_chance, observe
from dlgrade.outcome import CheckFailed, StudentRaised

# (rtol, atol) by dtype, as torch.testing.assert_close has them (torch 2.11 documentation)
DEFAULTS: Final[dict[torch.dtype, tuple[float, float]]] = {
    torch.float16: (1e-3, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
    torch.float32: (1.3e-6, 1e-5),
    torch.float64: (1e-7, 1e-7),
}
DRIFT_FACTOR: Final = 10.0
RARE: Final = 1e-6  # the most that a stochastic check may fail a correct answer


def tensor(
    value: Any,
    *,
    what: str,
    shape: tuple[int, ...] | None = None,
    dtype: torch.dtype | None = None,
    finite: bool = True,
) -> torch.Tensor:
    """`value` as a tensor, once it is one: of this shape and dtype, not empty, and finite."""
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    if not isinstance(value, torch.Tensor):
        raise CheckFailed(f"{what} is {_kind(value)}, expected a tensor{_of_shape(shape)}")
    if dtype is not None and value.dtype != dtype:
        raise CheckFailed(f"{what} has dtype {_name(value.dtype)}, expected {_name(dtype)}")
    if shape is not None and tuple(value.shape) != shape:
        observe(f"shape of {what}", torch.tensor(value.shape, dtype=torch.float64))
        raise CheckFailed(f"{what} has shape {tuple(value.shape)}, expected {shape}")
    if value.numel() == 0:
        raise CheckFailed(f"{what} is empty: its shape is {tuple(value.shape)}")
    if finite and value.is_floating_point() and not bool(torch.isfinite(value).all()):
        index = _first(~torch.isfinite(value))
        raise CheckFailed(f"{what} holds a value that is not finite (NaN or infinite), first at {index}")
    return value


def number(value: Any, *, what: str) -> float:
    """`value` as a finite float: a Python number or a tensor or array of one element."""
    if isinstance(value, torch.Tensor | np.ndarray):
        value = tensor(value, what=what)
        if value.numel() != 1:
            raise CheckFailed(f"{what} has shape {tuple(value.shape)}, expected one number")
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CheckFailed(f"{what} is {_kind(value)}, expected a number")
    if not math.isfinite(value):
        raise CheckFailed(f"{what} is {value}, expected a finite number")
    return float(value)


def close(
    actual: Any,
    expected: Any,
    *,
    what: str,
    rtol: float | None = None,
    atol: float | None = None,
    any_float: bool = False,
) -> None:
    """Require `actual` to equal `expected` up to float error.

    The tolerance is the larger of torch.testing's for the dtype and ten times the reference's own
    float32 error, which tensors from the oracle carry. `any_float` accepts every floating dtype.
    """
    if isinstance(expected, int | float):
        expected = torch.tensor(float(expected), dtype=torch.float64)
        actual = torch.tensor(number(actual, what=what), dtype=torch.float64)
    drift = float(getattr(expected, "drift", 0.0))
    expected = torch.from_numpy(expected) if isinstance(expected, np.ndarray) else expected.detach()
    if any_float:
        actual = tensor(actual, what=what, shape=tuple(expected.shape)).detach()
        if not actual.is_floating_point():
            raise CheckFailed(f"{what} has dtype {_name(actual.dtype)}, expected a floating dtype")
    else:
        actual = tensor(actual, what=what, shape=tuple(expected.shape), dtype=expected.dtype).detach()
    allowed = _allowed(actual, expected, rtol, atol, drift)
    observe(what, actual, float(allowed.max()))
    difference = (actual.to(torch.float64) - expected.to(torch.float64)).abs()
    wrong = ~(difference <= allowed)
    if bool(wrong.any()):
        raise CheckFailed(_difference(what, difference, wrong, allowed))


def _allowed(
    actual: torch.Tensor, expected: torch.Tensor, rtol: float | None, atol: float | None, drift: float
) -> torch.Tensor:
    wider = max(DEFAULTS.get(actual.dtype, (0.0, 0.0)), DEFAULTS.get(expected.dtype, (0.0, 0.0)))
    relative, absolute = wider[0] if rtol is None else rtol, wider[1] if atol is None else atol
    allowed = absolute + relative * expected.to(torch.float64).abs()
    return allowed.clamp(min=DRIFT_FACTOR * drift)


def _difference(what: str, difference: torch.Tensor, wrong: torch.Tensor, allowed: torch.Tensor) -> str:
    largest = float(difference.max())
    if difference.dim() == 0:
        return f"{what} differs from the reference by {largest:.2g}, where {float(allowed):.1g} is allowed"
    count = int(wrong.sum())
    share = "all" if count == wrong.numel() else str(count)
    return (
        f"{what}: {share} of {wrong.numel()} values differ from the reference, first at {_first(wrong)}, "
        f"by up to {largest:.2g} where {float(allowed.min()):.1g} is allowed"
    )


def same(actual: Any, expected: Any, *, what: str) -> None:
    """Require equality of plain values: numbers, text, lists of them; exact type, no tolerance."""
    if type(actual) is not type(expected) or actual != expected:
        raise CheckFailed(f"{what} is {_shown(actual)}, expected {_shown(expected)}")


def state(actual: Any, expected: Mapping[str, torch.Tensor], *, what: str) -> None:
    """Require every parameter and buffer of an end state to equal the reference's; extra state aside."""
    if not isinstance(actual, dict):
        raise CheckFailed(f"the state {what} is {_kind(actual)}, expected parameters and buffers by name")
    for name, value in expected.items():
        if not name.endswith("_extra_state"):
            close(actual.get(name), value, what=f"{name} {what}")


def raises(type_name: str, call: Callable[[], Any], *, what: str) -> None:
    """Require a call of the student's code to raise an exception of this name.

    The name is a claim of the worker: compare a value in the same check.
    """
    try:
        value = call()
    except StudentRaised as error:
        observe(f"{what} raises as it should", torch.tensor(float(error.type_name == type_name)))
        if error.type_name != type_name:
            raise CheckFailed(f"{what} raises {error.type_name}, expected {type_name}") from None
        return
    shape = list(value.shape) if isinstance(value, torch.Tensor | np.ndarray) else [-1]
    observe(f"shape of what {what} returns", torch.tensor(shape, dtype=torch.float64))
    raise CheckFailed(f"{what} returns, expected a {type_name}")


def require(condition: bool, message: str) -> None:
    """Fail with `message` unless the condition, computed in the checker, holds."""
    if not condition:
        raise CheckFailed(message)


def differs(first: torch.Tensor, second: torch.Tensor, *, by: float, message: str) -> None:
    """Fail with `message` unless two tensors of one shape differ by more than `by` somewhere."""
    if first.shape != second.shape:
        return
    gap = (first.detach().double() - second.detach().double()).abs()
    distance = float(gap.max()) if gap.numel() else 0.0
    if not distance > by:  # NaN is no difference
        raise CheckFailed(message)


def chance(probability: float) -> None:
    """Declare that a correct answer fails here with this probability; refused above one in a million."""
    if probability > RARE:
        raise ValueError(f"a check may fail a correct answer with chance {RARE}, this one has {probability}")
    may_fail_by_chance(probability)


def frequency(successes: int, trials: int, probability: float, *, what: str) -> None:
    """Require a count to fit a binomial law, at a chance of at most 1e-6 of failing a correct answer.

    Counts are accepted from the first to the last whose tail, added up exactly, is above half of that chance.
    """
    least, most = _binomial_bounds(trials, probability, RARE / 2)
    chance(RARE)
    if not least <= successes <= most:
        raise CheckFailed(
            f"{what} happened in {successes} of {trials} trials, expected {least} to {most} "
            f"at a probability of {probability:.3g}"
        )


def _binomial_bounds(trials: int, probability: float, tail: float) -> tuple[int, int]:
    """The smallest and the largest count with more than `tail` of a binomial law at or beyond them."""
    masses = [
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(count + 1)
            - math.lgamma(trials - count + 1)
            + count * math.log(probability)
            + (trials - count) * math.log1p(-probability)
        )
        for count in range(trials + 1)
    ]
    below, above = list(itertools.accumulate(masses)), list(itertools.accumulate(reversed(masses)))
    least = next(count for count, mass in enumerate(below) if mass > tail)
    most = trials - next(count for count, mass in enumerate(above) if mass > tail)
    return least, most


def _kind(value: Any) -> str:
    if value is None:
        return "None (is a return missing?)"
    if isinstance(value, tuple | list | dict):
        return f"a {type(value).__name__} of length {len(value)}"
    return f"a {type(value).__name__}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _of_shape(shape: tuple[int, ...] | None) -> str:
    return f" of shape {shape}" if shape is not None else ""


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _first(mask: torch.Tensor) -> list[int]:
    """Index of the first True."""
    return [int(i) for i in mask.nonzero()[0]]
