"""`dlgrade verify`: prove exercises and show what was found."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from dlgrade import planning, sandbox
from dlgrade.course import Course
from dlgrade.verify import Proof, verify


def prove(course: Course, names: Sequence[str], *, tier: str, format: str) -> int:
    """Prove each exercise, by default all, and print it; 1 if a property of one does not hold."""
    tier, mode, jobs = planning.choose_tier(tier), sandbox.strongest("core"), planning.cores()
    holds = True
    for name in names or course.exercises():
        proof = verify(course, name, tier=tier, mode=mode, jobs=jobs)
        _show(proof, format)
        holds = holds and proof.holds
    return 0 if holds else 1


def _show(proof: Proof, format: str) -> None:
    if format == "json":
        print(json.dumps(asdict(proof), allow_nan=False), flush=True)
        return
    from dlgrade import text_report, text_tables

    text_tables.show_proof(proof, text_report.console(sys.stdout))
