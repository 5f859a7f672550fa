"""Proves an exercise: every check catches what it is for, and no correct answer is failed.

Each property is tried by grading real text through the real workers, at a fresh secret seed.
"""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dlgrade import calibration
from dlgrade.build import drift
from dlgrade.course import Course
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.errors import CourseError
from dlgrade.exercise import Exercise, Mistake, Variant, load_mistakes, load_variants
from dlgrade.fingerprints import fingerprints
from dlgrade.outcome import BLOCKED, FAILED, INTERNAL, MISSING, PASSED
from dlgrade.report import CheckResult, Report
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission


@dataclass
class Proof:
    """What was tried for one exercise, and every property that does not hold, one sentence each.

    `notes` are no problems: variants that keep every rule and miss a threshold, which holds for the
    reference's recipe.
    """

    exercise: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    matrix: dict[str, dict[str, str]] = field(default_factory=dict)  # mistake -> check -> verdict
    mistakes: int = 0
    caught: int = 0
    diagnosed: int = 0
    variants: int = 0
    variants_passed: int = 0
    checks: int = 0
    chance: float = 0.0

    @property
    def holds(self) -> bool:
        return not self.problems


def verify(
    course: Course,
    name: str,
    *,
    tier: str = "quick",
    mode: str = "core",
    threads: int = 1,
    jobs: int = 1,
    seed: int | None = None,
    watch: Callable[[str], None] = lambda _: None,
) -> Proof:
    """Try every property of one exercise; problems are listed, not raised."""
    exercise = course.exercise(name)
    if not exercise.staff:
        raise CourseError(f"exercise '{name}' has no staff folder here; verify needs solutions/{name}")
    if not (exercise.folder / f"{name}.py").is_file():
        raise CourseError(f"{exercise.folder}/{name}.py is missing; run 'dlgrade build {name}' first")
    answer = (exercise.folder / f"{name}.py").read_text(encoding="utf-8")
    proof = Proof(name)
    mistakes, variants = load_mistakes(exercise), load_variants(exercise)
    settings = RunSettings(tier, secrets.randbits(62) if seed is None else seed, threads=threads, mode=mode)
    with Zygote(exercise.preload) as zygote, Run(zygote, RunPlan(exercise, settings, hidden=True)) as run:
        proof.checks = len(run.checks)
        tries = list(_tries(exercise, answer, mistakes, variants))
        reports: dict[str, Report] = {}
        for report in run.grade(tries, jobs=jobs):
            watch(report.submission)
            reports[report.submission] = report
        checks = {check.id: check for check in run.checks if check.runs_at(tier)}
        watch("as a student, without staff files")
        proof.problems += _as_student(zygote, exercise, answer, mistakes, settings)
    _judge_answer(proof, reports["answer"])
    _judge_stub(proof, reports["stub"])
    for mistake in mistakes:
        if mistake.caught_by not in {check.id for check in run.checks}:
            proof.problems.append(
                f"mistake '{mistake.name}' names check {mistake.caught_by}, which does not exist"
            )
        elif mistake.caught_by in checks:
            _judge_mistake(proof, mistake, reports[f"mistake {mistake.name}"])
    for variant in variants:
        _judge_variant(proof, variant, reports[f"variant {variant.name}"])
    named = {mistake.caught_by for mistake in mistakes}
    proof.problems += [f"no mistake is named for check {check}" for check in checks if check not in named]
    proof.problems += _indistinguishable(proof, mistakes)
    proof.problems += calibration.problems(exercise, run.checks)
    proof.problems += _leaks(exercise, answer)
    recorded = fingerprints(exercise)
    proof.problems += [
        f"{path} is not what 'dlgrade build' writes; run it and commit the result"
        for path in drift(course, [name], extra=recorded)
    ]
    return proof


def _as_student(
    zygote: Zygote, exercise: Exercise, answer: str, mistakes: tuple[Mistake, ...], settings: RunSettings
) -> Iterator[str]:
    """Visible checks with the released folder alone: the answer passes, mistakes are named as for staff."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(exercise.release, Path(folder) / "assignments" / exercise.id)
        released = Course(Path(folder)).exercise(exercise.id)
        quick = dataclasses.replace(settings, tier="quick")
        with Run(zygote, RunPlan(released, quick, hidden=False)) as run:
            visible = {check.id for check in run.checks if check.runs_at("quick")}
            named = [mistake for mistake in mistakes if mistake.caught_by in visible]
            tries = [_submission("answer", answer)]
            tries += [_submission(mistake.name, mistake.source(answer)) for mistake in named]
            reports = {report.submission: report for report in run.grade(tries)}
    for check in reports["answer"].counted:
        if check.verdict != PASSED:
            yield f"without staff files the full answer: {_told(check)}"
    for mistake in named:
        told = _diagnoses(reports[mistake.name], mistake.part)
        if told != {mistake.name} and not mistake.near_miss:
            found = next(check for check in reports[mistake.name].checks if check.id == mistake.caught_by)
            read = f"is diagnosed as {_listed(told)}; {_told(found)}"
            yield f"without staff files mistake '{mistake.name}' {read}"


def _tries(
    exercise: Exercise, answer: str, mistakes: tuple[Mistake, ...], variants: tuple[Variant, ...]
) -> Iterator[Submission]:
    yield _submission("answer", answer)
    yield _submission("stub", exercise.released_source or "")
    for mistake in mistakes:
        yield _submission(f"mistake {mistake.name}", mistake.source(answer))
    for variant in variants:
        yield _submission(f"variant {variant.name}", variant.source(answer))


def _submission(name: str, text: str) -> Submission:
    return Submission(name, name, text, Path(name), "py")


def _judge_answer(proof: Proof, report: Report) -> None:
    proof.problems += [f"the full answer: {_told(c)}" for c in report.counted if c.verdict != PASSED]
    proof.chance = sum(check.chance for check in report.checks)


def _judge_stub(proof: Proof, report: Report) -> None:
    if report.score:
        proof.problems.append(f"the stub scores {report.score:g}, expected 0")
    proof.problems += [
        f"the stub: {_told(c)}, expected missing" for c in report.counted if c.verdict != MISSING
    ]


def _judge_mistake(proof: Proof, mistake: Mistake, report: Report) -> None:
    verdicts = {check.id: check.verdict for check in report.counted}
    proof.matrix[mistake.name] = verdicts
    proof.mistakes += 1
    result = next(check for check in report.checks if check.id == mistake.caught_by)
    if any(verdict == INTERNAL for verdict in verdicts.values()):
        proof.problems.append(f"mistake '{mistake.name}' breaks the grader: {_faults(report)}")
    if result.verdict in (PASSED, BLOCKED, MISSING):
        proof.problems.append(
            f"mistake '{mistake.name}' is not caught by {mistake.caught_by}: {result.verdict}"
        )
        return
    proof.caught += 1
    told = _diagnoses(report, mistake.part)
    if told == {mistake.name}:
        proof.diagnosed += 1
    elif not mistake.near_miss:
        proof.problems.append(f"mistake '{mistake.name}' is diagnosed as {_listed(told)}; {_told(result)}")


def _diagnoses(report: Report, part: str) -> set[str]:
    """Names given at the checks of one part.

    Elsewhere a mistake may rightly show as another's: `fit` with an `evaluate` that moves no batches to
    the device moves no validation batches.
    """
    return {check.diagnosis["mistake"] for check in report.checks if check.diagnosis and check.part == part}


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _judge_variant(proof: Proof, variant: Variant, report: Report) -> None:
    proof.variants += 1
    wrong = [check for check in report.counted if check.verdict != PASSED]
    short = [check for check in wrong if check.verdict == FAILED and check.measured is not None]
    proof.variants_passed += not wrong
    proof.notes += [f"correct variant '{variant.name}' misses the threshold: {_told(c)}" for c in short]
    proof.problems += [f"correct variant '{variant.name}': {_told(c)}" for c in wrong if c not in short]


def _told(check: CheckResult) -> str:
    return f"{check.id} is {check.verdict} ({check.message or 'no message'})"


def _faults(report: Report) -> str:
    return "; ".join(_told(check) for check in report.checks if check.verdict == INTERNAL)


def _indistinguishable(proof: Proof, mistakes: tuple[Mistake, ...]) -> Iterator[str]:
    """Mistakes of one part whose sentences are the same cannot be told apart by a student."""
    seen: dict[tuple[str, str], str] = {}
    for mistake in mistakes:
        other = seen.setdefault((mistake.part, mistake.sentence), mistake.name)
        if other != mistake.name:
            yield f"mistakes '{other}' and '{mistake.name}' read the same"


def _leaks(exercise: Exercise, answer: str) -> Iterator[str]:
    """Secrets that lie in the released folder: hidden checks, staff files, or bodies of the answer."""
    hidden = {file.read_bytes(): file.name for file in (exercise.hidden_checks or Path()).rglob("*.py")}
    for file in exercise.release.rglob("*"):
        if not file.is_file():
            continue
        if file.name in ("mistakes.toml", "calibration.json") or file.read_bytes() in hidden:
            yield f"{file} is for staff only, and lies in the released folder"
        if file.suffix in (".py", ".ipynb") and file.read_text(encoding="utf-8") == answer:
            yield f"{file} is the full answer, and lies in the released folder"
