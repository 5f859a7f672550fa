"""Records, at the one published seed, what the reference answers and what known mistakes look like.

A student's `check` has neither reference nor mistakes: it replays these outputs. Only visible checks
are recorded, and only mistakes that are named for one. The file is text, so that a change can be read;
numbers that differ by float error alone do not count as a change.
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from dlgrade import checks, diagnosis, formula, oracle
from dlgrade.build import generate
from dlgrade.checks import Check
from dlgrade.errors import CourseError
from dlgrade.exercise import FINGERPRINTS, Exercise, load_mistakes
from dlgrade.layouts import Layouts
from dlgrade.observation import Seen
from dlgrade.oracle import Oracle, RecordingPeer
from dlgrade.outcome import PASSED
from dlgrade.peer import LocalPeer
from dlgrade.runsettings import PUBLISHED_SEED
from dlgrade.submitted import local_answer

RTOL: Final = 1e-3  # of a recorded number, between machines and versions
ATOL: Final = 1e-4
NOT_COMPARED: Final = frozenset({"drift", "tolerance", "said"})  # float error; torch's words of a version


def fingerprints(exercise: Exercise) -> dict[str, str]:
    """The generated fingerprint file, by its path relative to the course; the old text where it still holds.

    Raises:
        CourseError: the reference does not pass one of the visible checks.
    """
    path = f"assignments/{exercise.id}/{FINGERPRINTS}"
    fresh = record(exercise)
    file = exercise.root / path
    if file.is_file():
        old = file.read_text(encoding="utf-8")
        if agree(json.loads(old), fresh):
            return {path: old}
    return {path: _text(fresh)}


def _text(values: dict[str, Any]) -> str:
    """JSON with a line for each check, so that a change shows which check it is about."""
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in values["checks"].items()]
    return f'{{"seed": {values["seed"]}, "checks": {{\n' + ",\n".join(lines) + "\n}}\n"


def record(exercise: Exercise) -> dict[str, Any]:
    """Fingerprints as JSON values: for each visible check the oracle's replies and every run seen."""
    answer = generate(exercise)[f"solutions/{exercise.id}/{exercise.id}.py"]
    loaded = [pair for pair in load_checks(exercise.visible_checks) if pair[0].data is None]
    names = {check.id for check, _ in loaded}
    mistakes = [mistake for mistake in load_mistakes(exercise) if mistake.caught_by in names]
    entries = {}
    for check, function in loaded:
        reference, replies = _watch(check, function, answer, answer, exercise.layouts)
        if reference.ending != PASSED:
            raise CourseError(f"the reference itself does not pass check {check.id}: {reference.ending}")
        known = []
        for mistake in mistakes:
            if check.part != mistake.part and check.id != mistake.caught_by:
                continue
            seen, _ = _watch(check, function, mistake.source(answer), answer, exercise.layouts)
            if seen.ending != PASSED:
                known.append(
                    {"name": mistake.name, "sentence": mistake.sentence, "seen": oracle.seen_to_json(seen)}
                )
        entries[check.id] = {
            "record": replies,
            "reference": oracle.seen_to_json(reference),
            "mistakes": known,
        }
    return {"seed": PUBLISHED_SEED, "checks": entries}


def _watch(
    check: Check,
    function: Callable[..., Any],
    text: str,
    answer: str,
    layouts: Mapping[str, Layouts],
) -> tuple[Seen, list[dict[str, Any]]]:
    """Run a check on a known answer; what it saw, and the replies of the oracle beside it."""
    peer = RecordingPeer(LocalPeer("reference_answer", answer))
    beside = Oracle(peer, seed=PUBLISHED_SEED, check=check.id)
    known = local_answer(LocalPeer("known_answer", text), seed=formula.mix(PUBLISHED_SEED, check.id))
    fixtures = {"submission": known.with_layouts(layouts), "oracle": beside}
    return diagnosis.run_check(function, fixtures), peer.record


def load_checks(folder: Path) -> Iterator[tuple[Check, Callable[..., Any]]]:
    """Every check in a folder of trusted files, in order of file and definition."""
    for file in sorted(folder.rglob("*.py")):
        spec = importlib.util.spec_from_file_location(f"dlgrade_checks_{file.stem}", file)
        assert spec is not None  # the file exists and ends in .py
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for value in vars(module).values():
            if hasattr(value, checks.MARK):
                yield checks.of(value, file, hidden=False), value


def agree(old: Any, new: Any) -> bool:
    """Whether two recordings are the same but for float error."""
    if isinstance(new, bool | str) or new is None or isinstance(old, bool | str) or old is None:
        return type(old) is type(new) and bool(old == new)
    if isinstance(new, int | float) and isinstance(old, int | float):
        return math.isclose(old, new, rel_tol=RTOL, abs_tol=ATOL)
    if isinstance(new, list) and isinstance(old, list):
        return len(old) == len(new) and all(map(agree, old, new))
    if isinstance(new, dict) and isinstance(old, dict):
        if new.keys() == old.keys() == {"f"}:  # a float as the tree spells it
            return agree(float.fromhex(old["f"]), float.fromhex(new["f"]))
        return old.keys() == new.keys() and all(
            key in NOT_COMPARED or agree(old[key], new[key]) for key in new
        )
    return False
