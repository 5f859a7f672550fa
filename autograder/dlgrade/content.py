"""What a result depends on, as keys: with equal keys an earlier result still holds.

A check's key covers its own source, what else its file defines, other modules of its folder, the full
answer, the mistakes it is matched with, the exercise's settings for it, its data set's checksum, the
versions in use, tier and seed, and the keys of the checks it needs. Editing one check therefore leaves
the keys of all others as they are.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from dlgrade.checks import Check
from dlgrade.exercise import Exercise, Mistake, load_mistakes
from dlgrade.outcome import INTERNAL
from dlgrade.report import CheckResult, Report
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission

KEY_LENGTH: Final = 16  # hexadecimal digits; nobody gains by a collision that they cannot cause

Keys = Mapping[str, str]


def check_keys(
    exercise: Exercise, checks: Sequence[Check], settings: RunSettings, ready: Mapping[str, Any]
) -> dict[str, str]:
    """The key of each check of a run, by id; `ready` is what the checker said of versions and data."""
    shared = {
        "answer": _text(exercise.folder / f"{exercise.id}.py"),
        "layouts": exercise.layouts,
        "limits": asdict(exercise.limits),
        "versions": ready.get("versions"),
        "settings": [settings.tier, settings.seed, settings.device, settings.measure],
    }
    names = {check.id for check in checks}
    mistakes = load_mistakes(exercise)
    keys: dict[str, str] = {}
    for check in checks:  # in order: what a check needs comes before it
        own = {
            "record": asdict(check),
            "source": _source(check, exercise, names),
            "mistakes": [asdict(mistake) for mistake in mistakes if _concerns(mistake, check)],
            "threshold": exercise.thresholds.get(check.id),
            "data": ready.get("data") if check.data else None,
            "needs": [keys[name] for name in (*check.needs, *check.otherwise)],
        }
        keys[check.id] = _digest({**shared, **own})[:KEY_LENGTH]
    return keys


def text_key(submission: Submission) -> str:
    """The key of what a student handed in."""
    return _digest([submission.text, submission.problem])


def still_known(
    report: Report | None, submission: Submission, checks: Sequence[Check], keys: Keys, again: Collection[str]
) -> dict[str, CheckResult]:
    """The results of an earlier report that hold for this text and these keys.

    Checks named in `again` run again, and with them those that need one of them.
    """
    content = report.content if report is not None else None
    if report is None or content is None or content.get("submission") != text_key(submission):
        return {}
    before, had = {result.id: result for result in report.checks}, content["checks"]
    known: dict[str, CheckResult] = {}
    for check in checks:
        result = before.get(check.id)
        settled = all(name in known for name in (*check.needs, *check.otherwise))
        fresh = result is not None and result.verdict != INTERNAL and had.get(check.id) == keys[check.id]
        if result is not None and fresh and settled and check.id not in again:
            known[check.id] = result
    return known if report.fault is None else {}


def _concerns(mistake: Mistake, check: Check) -> bool:
    return mistake.part == check.part or mistake.caught_by == check.id


def _source(check: Check, exercise: Exercise, names: Collection[str]) -> dict[str, str]:
    """The check's file without the other checks in it, and the modules beside it that hold no checks."""
    folder = exercise.hidden_checks if check.hidden and exercise.hidden_checks else exercise.visible_checks
    files = {path.name: _text(path) for path in sorted(folder.glob("*.py"))}
    others = {name: text for name, text in files.items() if not _functions(text) & set(names)}
    return {**others, check.file: _without(files.get(check.file, ""), set(names) - {check.id})}


def _functions(text: str) -> set[str]:
    return {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


def _without(text: str, names: Collection[str]) -> str:
    """Source text less the top-level functions of these names, with their decorators."""
    lines: list[str | None] = list(text.split("\n"))
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name in names:
            first = min(node.lineno, *(decorator.lineno for decorator in node.decorator_list), node.lineno)
            lines[first - 1 : node.end_lineno] = [None] * ((node.end_lineno or first) - first + 1)
    kept = "\n".join(line for line in lines if line is not None)
    return "\n".join(line for line in kept.split("\n") if line.strip())


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
