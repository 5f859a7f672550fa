"""A course of one exercise that needs no torch, for tests of everything that only reads and writes files."""

from pathlib import Path

from dlgrade.course import Course
from dlgrade.exercise import Exercise

MATHS = '''\
"""Reference code of the small course."""

import functools
import math

SCALE = 2  # how much a shape grows


def _unused():
    return None


# Areas are in square metres.
@functools.cache
def area(radius, *, scale=SCALE):
    """Area of a circle.

    Second paragraph.
    """
    # The answer starts here.
    squared = radius**2
    return scale * math.pi * squared  # not 2 pi r
    # and a comment after it
'''

SHAPES = '''\
"""More of it."""

from dataclasses import dataclass

from reference.maths import area


class Shape:
    """What students build on."""

    name = "shape"


class Circle(Shape):
    """A circle."""

    name: str = "circle"

    def __init__(self, radius):
        """Remember the radius."""
        super().__init__()  # given
        self.radius = radius
        # explains the answer

    # About the next method.
    @property
    def area(self) -> float:
        return area(self.radius)

    def __len__(self):  # given
        return 1

    @dataclass
    class Corner:
        x: int = 0

        def moved(self, by):
            return Circle.Corner(self.x + by)
'''

DECLARATION = """\
id = "shapes"
title = "Draw shapes"
summary = "Circles and their areas."
preload = ["math"]

[limits]
quick_seconds = 30
memory_gb = 2

[[parts]]
name = "Circle"
source = "reference/shapes.py"
hints = ["round", "very round"]

[[parts]]
name = "area"
source = "reference/maths.py"
hints = ["pi", "pi r squared"]

[[given]]
name = "Shape"
source = "reference/shapes.py"

[[given]]
name = "SCALE"
source = "reference/maths.py"
"""

VISIBLE = '''\
from dlgrade import check


@check(points=2, kind="value", part="area")
def area_of_a_circle(submission, oracle):
    """area is scale times pi r squared"""
'''

HIDDEN = (
    VISIBLE.replace("points=2", "points=3") + VISIBLE.replace("points=2", "points=0.5").partition("\n\n\n")[2]
)

MISTAKES = """\
[[mistake]]
name = "no-square"
part = "area"
caught_by = "area_of_a_circle"
sentence = "The radius is not squared."
edits = [["radius**2", "radius"]]

[[mistake]]
name = "constant"
part = "area"
caught_by = "area_of_a_circle"
sentence = "The result does not depend on the radius."
near_miss = true
code = '''
from math import tau

def area(radius, *, scale=SCALE):
    return tau
'''
"""

VARIANT = '''\
"""Written as one expression, with a helper of its own."""

from __future__ import annotations

from math import pi


def square(x: float) -> float:
    return x * x


def area(radius: float, *, scale: float = SCALE) -> float:
    return scale * pi * square(radius)
'''

FILES = {
    "reference/maths.py": MATHS,
    "reference/shapes.py": SHAPES,
    "solutions/shapes/exercise.toml": DECLARATION,
    "solutions/shapes/README.md": "# Shapes\n\nDraw them.\n",
    "solutions/shapes/checks/visible/area_checks.py": VISIBLE,
    "solutions/shapes/checks/hidden/more_checks.py": HIDDEN,
    "solutions/shapes/mistakes.toml": MISTAKES,
    "solutions/shapes/variants/one_expression.py": VARIANT,
}


def write_course(root: Path, **changed: str) -> Course:
    """The small course in `root`; `changed` replaces texts by the file's stem."""
    for path, text in FILES.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(changed.get(file.stem, text), encoding="utf-8")
    return Course(root)


def load(root: Path, **changed: str) -> Exercise:
    return write_course(root, **changed).exercise("shapes")
