"""Comparisons that cannot be fooled, and sentences that do not give the values away."""

import math
from fractions import Fraction
from math import comb

import numpy as np
import pytest
import torch

from dlgrade import compare, observation
from dlgrade.outcome import CheckFailed


def sentence(function, *args, **kwargs) -> str:
    with pytest.raises(CheckFailed) as caught:
        function(*args, **kwargs)
    return caught.value.message


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (torch.zeros(1), torch.zeros(5, 5)),  # broadcasting would call them equal
        (torch.zeros(5, 5, 1), torch.zeros(5, 5)),
        (torch.full((3,), math.nan), torch.zeros(3)),  # not (nan > tol) is True
        (torch.tensor([math.inf]), torch.tensor([math.inf])),
        (torch.zeros(0), torch.zeros(0)),  # all() of nothing is True
        (torch.tensor([250], dtype=torch.uint8), torch.tensor([255], dtype=torch.uint8)),  # wraps to 251
        (torch.zeros(2, dtype=torch.float16), torch.zeros(2)),
        (torch.zeros(2, dtype=torch.int64), torch.zeros(2)),
        (torch.tensor([1.0 + 1e-3]), torch.tensor([1.0])),
        ([0.0, 0.0], torch.zeros(2)),
        (None, torch.zeros(2)),
        ("0", torch.zeros(1)),
    ],
)
def test_close_refuses_what_allclose_lets_through(actual, expected):
    """Broadcasts, NaN, infinities, nothing, integer wrap, other dtypes and other types all fail."""
    sentence(compare.close, actual, expected, what="x")


def test_close_accepts_float_error_and_no_more():
    """The default tolerance is torch.testing's for the dtype, on the scale of the expected value."""
    expected = torch.tensor([1.0, 1000.0])
    compare.close(expected * (1 + 1e-6), expected, what="x")
    assert "all of 2 values" in sentence(compare.close, expected * (1 + 1e-4), expected, what="x")


def test_the_references_own_float_error_widens_the_tolerance():
    """Ten times the reference's fp32-fp64 distance is allowed, where that is larger."""
    expected = torch.tensor([1.0])
    sentence(compare.close, torch.tensor([1.0005]), expected, what="x")
    expected.drift = 1e-4
    compare.close(torch.tensor([1.0005]), expected, what="x")
    sentence(compare.close, torch.tensor([1.002]), expected, what="x")


def test_a_difference_is_described_without_the_values():
    """Count, first index and size are told; neither the expected nor the actual number is."""
    expected = torch.tensor([[0.123456, 2.0], [3.0, 4.0]])
    actual = expected.clone()
    actual[1, 0] = 3.5
    message = sentence(compare.close, actual, expected, what="output")
    counted = "output: 1 of 4 values differ from the reference, first at [1, 0], "
    assert message == counted + "by up to 0.5 where 1e-05 is allowed"


def test_numbers_are_compared_whether_python_or_tensor():
    """A loss may be a float or a tensor of one element; text, None and NaN are named."""
    compare.close(torch.tensor(0.5, dtype=torch.float64), 0.5, what="loss")
    compare.close(np.array([0.5]), 0.5, what="loss")
    assert "None (is a return missing?)" in sentence(compare.close, None, 0.5, what="loss")
    assert "expected a number" in sentence(compare.close, True, 0.5, what="loss")
    assert "finite" in sentence(compare.close, math.nan, 0.5, what="loss")
    assert "one number" in sentence(compare.close, torch.zeros(2), 0.5, what="loss")


def test_frequency_states_and_keeps_its_chance():
    """Refused counts together are one in a million at most, and one count more on a side is too many."""
    assert "heads happened in 3 of 400 trials" in sentence(compare.frequency, 3, 400, 0.5, what="heads")
    with observation.recording() as seen:
        compare.frequency(200, 400, 0.5, what="heads")
    assert seen.chance == pytest.approx(1e-6)
    for trials, probability in ((400, Fraction(1, 2)), (180, Fraction(1, 5))):
        law = [
            comb(trials, count) * probability**count * (1 - probability) ** (trials - count)
            for count in range(trials + 1)
        ]
        accepted = [n for n in range(trials + 1) if accepts(n, trials, float(probability))]
        least, most = accepted[0], accepted[-1]
        assert accepted == list(range(least, most + 1))
        assert sum(law[:least]) <= 0.5e-6 < sum(law[: least + 1])
        assert sum(law[most + 1 :]) <= 0.5e-6 < sum(law[most:])


def accepts(successes: int, trials: int, probability: float) -> bool:
    try:
        compare.frequency(successes, trials, probability, what="heads")
    except CheckFailed:
        return False
    return True


def test_a_check_that_fails_correct_answers_too_often_is_refused():
    """A declared chance above one in a million is the author's error, not the student's."""
    with pytest.raises(ValueError, match="1e-06"):
        compare.chance(1e-5)


def test_same_wants_equal_values_of_one_type():
    """1, 1.0 and True are three things."""
    compare.same([1, "a"], [1, "a"], what="x")
    for other in (1.0, True, "1", None):
        sentence(compare.same, other, 1, what="x")
