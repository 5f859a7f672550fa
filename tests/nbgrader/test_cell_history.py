"""The module that a kernel's inputs amount to."""

import pytest

from dlgrade.cell_history import current_module


def module(*inputs: str, parts=("f",)) -> dict:
    """The module's names, once it has run."""
    names: dict = {}
    exec(current_module(inputs, parts).text, names)
    return names


def test_last_version_of_a_cell_counts():
    """A part that was run twice is what it was the second time, also after being put back."""
    assert module("def f():\n    return 1", "def f():\n    return 2")["f"]() == 2
    assert module(*(f"def f():\n    return {n}" for n in (1, 2, 1)))["f"]() == 1


def test_a_later_version_stands_where_the_first_one_stood():
    """A base class or constant that was run again after its users is there before them."""
    inputs = ["class Base:\n    x = 1", "class f(Base):\n    pass", "class Base:\n    x = 2"]
    assert module(*inputs)["f"].x == 2
    assert module("A = 1", "B = A + 1", "def f():\n    return B", "A = 10")["f"]() == 11


def test_only_what_the_part_needs_is_there():
    """Training a model in another cell is no part of the module, nor are definitions nobody uses."""
    names = module("import math", "K = 2", "model = train()", "def f():\n    return K", "print(f())")
    assert "model" not in names
    assert names["f"]() == 2


def test_magics_checks_and_broken_cells_are_left_out():
    """What is no Python, calls of the kit itself and cells that did not parse do no harm."""
    inputs = ["%matplotlib inline", "def f(:", 'import dlgrade.notebook\ndlgrade.notebook.check("f")']
    assert module(*inputs, "def f():\n    return 3", "!ls")["f"]() == 3


@pytest.mark.parametrize("change", ["f.extra = 5", "setattr(f, 'extra', 5)"])
def test_changes_of_a_definition_follow_it(change):
    """An assignment to an attribute counts, once; a call does not."""
    f = module("def f():\n    pass", change, "def f():\n    return 1", change)["f"]
    assert getattr(f, "extra", None) == (5 if "=" in change else None)
    assert f() == 1
