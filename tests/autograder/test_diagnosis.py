"""Naming a mistake: what must agree, what must differ from the reference, and when nobody is named."""

import torch

from dlgrade import compare, diagnosis
from dlgrade.diagnosis import Suspect
from dlgrade.observation import Seen, observe
from dlgrade.outcome import CheckFailed, StudentRaised


def seen(answer, expected=None) -> Seen:
    """What a check of `answer` sees: its value at 2, and whether that is what it should be."""

    def check():
        compare.close(answer(), torch.tensor(4.0) if expected is None else expected, what="the value")

    return diagnosis.run_check(check, {})


def value(number):
    return lambda: torch.tensor(number)


def raised(message, type_name="RuntimeError"):
    def answer():
        raise StudentRaised(type_name, message)

    return answer


def named(answer, *suspects) -> str | None:
    known = [Suspect(name, f"sentence of {name}", seen(wrong)) for name, wrong in suspects]
    found = diagnosis.diagnose(seen(answer), seen(value(4.0)), known)
    return found.name if found else None


def test_the_mistake_with_the_same_value_is_named():
    """Among several, the one whose value this is."""
    assert named(value(2.0), ("halved", value(2.0)), ("doubled", value(8.0))) == "halved"


def test_nobody_is_named_by_a_value_of_its_own():
    """A value that no known mistake gives is told, and not explained."""
    assert named(value(3.0), ("halved", value(2.0)), ("doubled", value(8.0))) is None


def test_two_mistakes_that_look_alike_name_nobody():
    """A guess between two would be wrong half of the time."""
    assert named(value(2.0), ("halved", value(2.0)), ("squared too little", value(2.0))) is None


def test_a_value_near_the_right_one_is_no_evidence():
    """What the reference shows too, up to a hundred tolerances, says nothing about a mistake."""

    def failing(number):
        observe("the value", torch.tensor(number), tolerance=1e-3)
        raise CheckFailed("it did not pass for another reason")

    known = Suspect("close", "You are close.", diagnosis.run_check(failing, {"number": 4.01}))
    reference = diagnosis.run_check(lambda: observe("the value", torch.tensor(4.0), tolerance=1e-3), {})
    assert diagnosis.diagnose(diagnosis.run_check(failing, {"number": 4.01}), reference, [known]) is None
    far = Suspect("far", "You are far.", diagnosis.run_check(failing, {"number": 5.0}))
    assert diagnosis.diagnose(diagnosis.run_check(failing, {"number": 5.0}), reference, [far]) is far


DEVICE = "Tensor on device meta is not on the expected device cpu!"
SHAPES = "mat1 and mat2 shapes cannot be multiplied (96x4 and 64x10)"


def test_exceptions_are_told_apart_by_their_words():
    """Before anything was observed only the exception speaks: its type and what it says, without numbers."""
    assert named(raised(DEVICE), ("not moved", raised(DEVICE))) == "not moved"
    assert named(raised("element 0 of tensors does not require grad"), ("not moved", raised(DEVICE))) is None
    known = ("not flattened", raised(SHAPES))
    assert named(raised(SHAPES.replace("96x4", "24x8")), known) == "not flattened"
    assert named(raised(SHAPES, "TypeError"), known) is None
