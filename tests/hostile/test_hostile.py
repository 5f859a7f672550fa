"""Every attack of the suite, in the strongest isolation: no points gained, nothing touched, nothing left."""

from functools import cache

import pytest

from tests.hostile import attack_files, suite

NAMES = attack_files.names()
FULL_SCORE = {"quick": 13.0, "cpu": 17.0}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return suite.Places(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def outcome(places):
    """All attacks of a tier, graded in one run; `outcome(tier)`."""

    @cache
    def run(tier):
        attacks = suite.all_attacks(places, tier)
        return suite.grade(places, attacks, mode=suite.strongest(), tier=tier)

    return run


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_gains_nothing(places, outcome, name):
    """Each check ends with the verdict and the sentence that the attack's file states."""
    attack = attack_files.load(name, places.texts)
    report = outcome(attack.tier).reports[name]
    for check in report.counted:
        verdict, sentence = attack.expected(check.id, check.part)
        told = f"{check.id}: {check.verdict}, {check.message!r}"
        if verdict != "*":
            assert check.verdict != "passed" if verdict == "" else check.verdict == verdict, told
        assert check.hidden or sentence in check.message, told
    assert report.fault is None
    if attack.part:
        assert report.score <= outcome(attack.tier).reports[attack.counterpart].score
    assert places.token not in report.to_json()


@pytest.mark.parametrize("tier", ["quick", "cpu"])
def test_controls_are_graded_as_if_nothing_happened(outcome, tier):
    """Honest and broken answers between the attacks get what each gets alone, and none is incomplete."""
    reports = outcome(tier).reports
    controls = {name: report for name, report in reports.items() if name.startswith(("honest", "broken"))}
    assert len(controls) >= 2
    for name, report in controls.items():
        assert report.complete
        lost = 0.0 if name.startswith("honest") else 4.0
        assert report.score == FULL_SCORE[tier] - lost, name


@pytest.mark.parametrize("tier", ["quick", "cpu"])
def test_nothing_is_touched_and_nothing_is_left(outcome, tier):
    """Course, bait and other work are as before; no process, shared memory or scratch folder remains."""
    assert not outcome(tier).touched
    assert outcome(tier).left == []


def test_the_suite_is_large_and_of_all_kinds():
    """At least eighty attacks, from every group of the threat model."""
    assert len(NAMES) >= 80
    assert {name[0] for name in NAMES} >= set("abcdef")
