"""The `check` decorator: what makes a pytest function a graded check, and the record of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from dlgrade.errors import CourseError

Function = TypeVar("Function", bound=Callable[..., Any])

KINDS: Final = ("shape", "gradient", "value", "property", "training", "accuracy", "structure")
TIERS: Final = ("quick", "cpu", "gpu")
MARK: Final = "__dlgrade_check__"


@dataclass(frozen=True)
class Check:
    """What is graded, what it is worth and what a student reads of it.

    `needs` names checks that must pass first. `otherwise` names property checks that decide when the
    reference's weights cannot be given to the answer. `data` names the data set it trains on.
    """

    id: str
    title: str
    part: str
    points: float
    kind: str
    help: str
    needs: tuple[str, ...] = ()
    otherwise: tuple[str, ...] = ()
    tier: str = "quick"
    data: str | None = None
    hidden: bool = False
    file: str = ""

    def runs_at(self, tier: str) -> bool:
        return TIERS.index(self.tier) <= TIERS.index(tier)


def check(
    *,
    part: str,
    points: float,
    kind: str,
    help: str,
    needs: tuple[str, ...] = (),
    otherwise: tuple[str, ...] = (),
    tier: str = "quick",
    data: str | None = None,
) -> Callable[[Function], Function]:
    """Make a function a check; its name is the id, its docstring's first line the title.

    Args:
        part: the part it is about.
        points: what it is worth, positive.
        kind: one of KINDS.
        help: the next step for a student who fails it; shown for hidden checks too.
        needs: ids of checks that must pass first; otherwise this one is `blocked`.
        otherwise: ids of property checks that decide when weights cannot be matched.
        tier: the first tier that runs it: quick, cpu or gpu.
        data: the data set it trains on; "sst2+bert" is one with a pretrained encoder beside it.
    """
    if kind not in KINDS:
        raise CourseError(f"check kind {kind!r} is unknown; expected one of {', '.join(KINDS)}")
    if tier not in TIERS:
        raise CourseError(f"check tier {tier!r} is unknown; expected one of {', '.join(TIERS)}")
    if not points > 0:
        raise CourseError(f"a check of {part} has {points} points; expected a positive number")

    def mark(function: Function) -> Function:
        title = (function.__doc__ or "").strip().partition("\n")[0]
        if not title:
            raise CourseError(f"check {function.__name__} has no docstring; its first line is the title")
        record = Check(function.__name__, title, part, points, kind, help, needs, otherwise, tier, data)
        setattr(function, MARK, record)
        return function

    return mark


def of(function: Any, file: Path, hidden: bool) -> Check:
    """The record of a collected check, with where it was found."""
    record: Check = getattr(function, MARK)
    return replace(record, hidden=hidden, file=file.name)


def in_order(checks: list[Check]) -> list[Check]:
    """Checks with what each needs before it; file order otherwise.

    Raises:
        CourseError: two checks share an id, one needs an unknown check, or needs go in a circle.
    """
    by_id = {record.id: record for record in checks}
    if len(by_id) < len(checks):
        twice = next(c.id for i, c in enumerate(checks) if c.id in {d.id for d in checks[:i]})
        raise CourseError(f"two checks are called {twice}; rename one")
    ordered: dict[str, Check] = {}

    def place(record: Check, above: tuple[str, ...]) -> None:
        if record.id in above:
            raise CourseError(f"checks need each other in a circle: {' -> '.join((*above, record.id))}")
        for name in (*record.needs, *record.otherwise):
            if name not in by_id:
                raise CourseError(f"check {record.id} needs {name}, which does not exist")
            if name not in ordered:
                place(by_id[name], (*above, record.id))
        ordered.setdefault(record.id, record)

    for record in checks:
        place(record, ())
    return list(ordered.values())
