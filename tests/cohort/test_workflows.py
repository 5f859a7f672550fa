"""The ready workflows call commands that exist, and keep what is secret apart."""

import re
from pathlib import Path

import pytest

from dlgrade.cli import dlgrade

yaml = pytest.importorskip("yaml")
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "workflows"


@pytest.mark.parametrize("name", ["student.yml", "staff.yml"])
def test_every_command_and_option_of_a_workflow_exists(name):
    """Each `dlgrade` call names a command with these options; the job has a time limit and a cache."""
    text = (FOLDER / name).read_text()
    [job] = yaml.safe_load(text)["jobs"].values()
    assert job["timeout-minutes"] > 0
    assert any(str(step.get("uses", "")).startswith("actions/cache@") for step in job["steps"])
    calls = re.findall(r"bin/dlgrade (\w+)([^\n|>]*)", text)
    assert calls
    for command, rest in calls:
        known = {option for parameter in dlgrade.commands[command].params for option in parameter.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= known


def test_a_students_workflow_holds_no_secret():
    """No token, no hidden checks, no grade command."""
    text = (FOLDER / "student.yml").read_text()
    assert "secrets." not in text
    assert "dlgrade grade" not in text


def test_a_failing_grader_and_a_failing_submission_end_differently():
    """Exit 1 of `grade` is a result; 2 and more fail the job."""
    [job] = yaml.safe_load((FOLDER / "staff.yml").read_text())["jobs"].values()
    [step] = [step for step in job["steps"] if step.get("name") == "Grade"]
    assert "-ge 2 ]" in step["run"]
    assert 'exit "$code"' in step["run"]
