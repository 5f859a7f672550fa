"""Accuracy decisions as grading makes them: how many correct answers fail, how many near misses pass.

    python benchmarks/decisions.py EXERCISE [--answers 20] [--near-misses 10] [--stand-in] [--jobs 2]

Correct answers are the full answer and, in turn, the exercise's variants of the graded part; they count
apart, since a threshold's bound is for the full answer. Each decision has a secret seed of its own and runs
the accuracy check with its stored threshold. Printed are the counts, the runs taken, and every answer that
was decided wrongly.
"""

from __future__ import annotations

import argparse
import os
import secrets
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

from dlgrade import planning, probing
from dlgrade.checks import Check
from dlgrade.course import Course
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.exercise import Exercise, load_mistakes, load_variants
from dlgrade.outcome import DEFERRED, PASSED
from dlgrade.report import CheckResult
from dlgrade.runsettings import RunSettings
from dlgrade.source import outline
from dlgrade.submission import Submission

Named = tuple[str, str]  # a name and the text of an answer


def correct(exercise: Exercise, part: str, answer: str) -> Iterator[Named]:
    """The full answer and the variants that define the part anew, in turn for ever."""
    variants = [variant for variant in load_variants(exercise) if outline(variant.text).find(part)]
    yield from cycle([("answer", answer), *((f"variant {v.name}", v.source(answer)) for v in variants)])


def near_misses(exercise: Exercise, check: str, answer: str) -> Iterator[Named]:
    """Mistakes that only this check is to catch, in turn for ever; none where there are none."""
    found = [m for m in load_mistakes(exercise) if m.near_miss and m.caught_by == check]
    yield from cycle([(f"mistake {mistake.name}", mistake.source(answer)) for mistake in found])


def decide(zygote: Zygote, exercise: Exercise, check: Check, named: Named, options: argparse.Namespace):
    """One decision: the result of the check, the others being taken as passed."""
    threads = planning.worker_threads(options.jobs, "cpu")
    settings = RunSettings("cpu", secrets.randbits(62), threads=threads, mode=probing.strongest("core"))
    with Run(zygote, RunPlan(exercise, settings, hidden=check.hidden)) as run:
        passed = {
            c.id: CheckResult(c.id, c.part, c.kind, c.title, c.hidden, PASSED, c.points, c.points)
            for c in run.checks
            if c.id != check.id
        }
        [report] = run.grade([Submission(named[0], "", named[1], Path(), "py")], known=lambda _: passed)
    return named[0], next(result for result in report.checks if result.id == check.id)


def accuracy_checks(zygote: Zygote, exercise: Exercise) -> list[Check]:
    """The checks that train, as a run collects them."""
    settings = RunSettings("quick", 0, mode=probing.strongest("core"))
    with Run(zygote, RunPlan(exercise, settings, hidden=True)) as run:
        return [check for check in run.checks if check.data is not None]


def measure(zygote: Zygote, exercise: Exercise, check: Check, options: argparse.Namespace) -> None:
    """Decide, and print what was decided wrongly and the counts."""
    answer = (exercise.folder / f"{exercise.id}.py").read_text(encoding="utf-8")
    groups = {
        "correct answers": islice(correct(exercise, check.part, answer), options.answers),
        "near misses": islice(near_misses(exercise, check.id, answer), options.near_misses),
    }
    for title, texts in groups.items():
        with ThreadPoolExecutor(options.jobs) as pool:
            found = list(pool.map(lambda named: decide(zygote, exercise, check, named, options), texts))
        wanted = title == "correct answers"
        for name, result in found:
            assert result.verdict != DEFERRED
            if (result.verdict == PASSED) != wanted:
                print(f"  {name}: {result.verdict}, {result.message[:150]}")
        for kind in dict.fromkeys(name.partition(" ")[0] for name, _ in found):
            results = [result for name, result in found if name.partition(" ")[0] == kind]
            passed = sum(result.verdict == PASSED for result in results)
            runs = sum(result.spent["runs"] for result in results if result.spent)
            print(f"{check.id}, {title} ({kind}): {passed} of {len(results)} passed, {runs} trainings")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("exercise")
    parser.add_argument("--answers", type=int, default=20)
    parser.add_argument("--near-misses", type=int, default=10)
    parser.add_argument("--stand-in", action="store_true")
    parser.add_argument("--jobs", type=int, default=planning.cores())
    options = parser.parse_args()
    exercise = Course(Path(__file__).resolve().parent.parent).exercise(options.exercise)
    with tempfile.TemporaryDirectory() as empty:
        if options.stand_in:
            os.environ["DLGRADE_DATA"] = empty
        with Zygote(exercise.preload) as zygote:
            for check in accuracy_checks(zygote, exercise):
                measure(zygote, exercise, check, options)


if __name__ == "__main__":
    main()
