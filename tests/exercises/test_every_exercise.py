"""What holds in all four exercises: the answer earns everything, at any seed, and each part stands alone."""

import pytest

from dlgrade.engine import Run, RunPlan
from dlgrade.runsettings import RunSettings
from dlgrade.units import free_names, split
from tests.exercises.grading import grade, lost

DEFERRED = {  # points of accuracy checks
    "cifar10_cnn": 8,
    "lstm_textgen": 8,
    "bert_finetune": 4,
    "cnn_vs_vit": 5,
}
ABOUT = {"freeze_encoder"}  # the model that build_classifier makes


@pytest.fixture(scope="module", params=DEFERRED)
def name(request) -> str:
    return request.param


def test_the_answer_earns_every_point(run, answer, name):
    """All quick checks pass; accuracy checks are left to their tier."""
    report = grade(run, answer)
    assert lost(report) == []
    assert report.score == report.max_score
    assert report.deferred_points == DEFERRED[name]


def test_one_part_alone_is_graded_on_its_own(run, exercise, answer):
    """A submission that defines one part earns that part's points, and the others are missing.

    A part that calls another is graded as well, and has to do without it. One that is only about what
    another part makes is not checked without it.
    """
    source, parts = split(answer, "answer"), {part.name for part in exercise.parts}
    shared = "".join(f"{unit.code}\n" for unit in source.units if not parts.intersection(unit.names))
    imports = "\n".join(line for line in answer.splitlines() if line.startswith(("import ", "from ")))
    for part in parts:
        unit = source.unit(part)
        report = grade(run, f"{imports}\n\n{shared}\n\n{unit.code}\n")
        own = {c.verdict for c in report.counted if c.part == part}
        if part in ABOUT:
            assert own == {"blocked"}
            continue
        stands_alone = not parts.intersection(used(source, part)) - {part}
        assert (own == {"passed"}) if stands_alone else ("missing" not in own), part
        assert {c.verdict for c in report.counted if c.part != part} == {"missing"}, part


def used(source, name):
    """Names that a definition uses, or that what it uses does."""
    found, todo = set(), {name}
    while todo:
        unit = source.unit(todo.pop())
        todo |= set(free_names(unit.code) if unit else ()) - found
        found |= todo
    return found


@pytest.mark.slow
def test_the_answer_passes_at_any_seed(exercise, zygote, answer):
    """Twenty secret seeds: no check fails the answer by bad luck or a tolerance that is too narrow."""
    for seed in range(1000, 1020):
        with Run(zygote, RunPlan(exercise, RunSettings("quick", seed), hidden=True)) as run:
            assert lost(grade(run, answer)) == [], seed
