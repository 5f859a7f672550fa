"""What the author of an exercise runs: `dlgrade build` and `dlgrade verify`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from dlgrade import build, planning, probing, progress
from dlgrade.course import Course
from dlgrade.errors import UsageError
from dlgrade.exercise import load_mistakes, load_variants

if TYPE_CHECKING:
    from dlgrade.verify import Proof


def rebuild(course: Course, names: Sequence[str], *, only_check: bool) -> int:
    """Print the files that change, and write them unless only asked; 1 if asked and there are any."""
    _require_staff(course)
    from dlgrade.fingerprints import fingerprints  # needs torch

    recorded: dict[str, str] = {}
    for name in names or course.exercises():
        recorded |= fingerprints(course.exercise(name))
    changed = (build.drift if only_check else build.build)(course, names, extra=recorded)
    for path in changed:
        print(path)
    return 1 if only_check and changed else 0


def prove(course: Course, names: Sequence[str], *, tier: str, format: str) -> int:
    """Prove each exercise, by default all, and print it; 1 if a property of one does not hold."""
    _require_staff(course)
    from dlgrade.verify import verify  # needs torch

    mode, holds = probing.strongest("core"), True
    for name in names or course.exercises():
        with progress.shown() as display:
            watch = _watcher(course, name, display)
            proof = verify(course, name, tier=tier, mode=mode, jobs=planning.cores(), watch=watch)
        _show(proof, format)
        holds = holds and proof.holds
    return 0 if holds else 1


def _require_staff(course: Course) -> None:
    if not course.staff:
        raise UsageError(
            f"{course.root} has no solutions/; run this in the staff's course, or name it with --course"
        )


def _watcher(course: Course, name: str, display: progress.Progress) -> Callable[[str], None]:
    """Counts what `verify` tries: answer, stub, mistakes, variants, and the student's view."""
    exercise = course.exercise(name)
    total = 3 + len(load_mistakes(exercise)) + len(load_variants(exercise))
    display.loading()
    opened = False

    def watch(tried: str) -> None:
        nonlocal opened
        if not opened:
            display.opened((), total)
            opened = True
        display.watch(tried, {"event": "done"})

    return watch


def _show(proof: Proof, format: str) -> None:
    if format == "json":
        print(json.dumps(asdict(proof), allow_nan=False), flush=True)
        return
    from dlgrade import text_report, text_tables

    text_tables.show_proof(proof, text_report.console(sys.stdout))
