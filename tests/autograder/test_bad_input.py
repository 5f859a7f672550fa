"""What students hand in by accident: a verdict and a sentence each, and the other parts keep their points."""

import pytest

from dlgrade import planning
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.runsettings import RunSettings
from dlgrade.submission import find_submissions
from tests.autograder import tiny_course

RIGHT = "def double(x):\n    return 2 * x\n"

# name: source in front of a right answer, source of `double`, verdict of its first check, part of its message
ACCIDENTS = {
    "recursion": (
        "",
        "def double(x):\n    return double(x)\n",
        "raised",
        "RecursionError: maximum recursion",
    ),
    "class_for_function": (
        "",
        "class double:\n    pass\n",
        "raised",
        "TypeError: double() takes no arguments",
    ),
    "arity": (
        "",
        "def double():\n    return 0\n",
        "raised",
        "TypeError: double() takes 0 positional arguments",
    ),
    "no_return": ("", "def double(x):\n    2 * x\n", "failed", "expected a tensor"),
    "workers": (
        "from torch.utils.data import DataLoader\n",
        "def double(x):\n    list(DataLoader(x, num_workers=2))\n    return 2 * x\n",
        "raised",
        "the grader's sandbox allows no processes: use num_workers=0",
    ),
    "subprocess": (
        "import subprocess\n",
        "def double(x):\n    subprocess.run(['true'])\n",
        "raised",
        "the grader's sandbox allows no processes of your own",
    ),
    "network": (
        "import urllib.request\n",
        "def double(x):\n    return urllib.request.urlopen('http://127.0.0.1:9/')\n",
        "raised",
        "the grader's sandbox has no network: use the files and data that the exercise gives you",
    ),
    "mps": (
        "",
        "def double(x):\n    return 2 * x.to('mps')\n",
        "raised",
        "there is no MPS device here: use the",
    ),
    "twice": ("", f"{RIGHT}\n\nTWICE = None\n\n\ndef double(x):\n    return x\n", "passed", ""),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Every accident in a student's folder of its own, checked in one run of the visible checks."""
    root = tmp_path_factory.mktemp("course")
    course = tiny_course.make(root)
    for name, (before, body, _, _) in ACCIDENTS.items():
        whole = tiny_course.answer_with(course, double=RIGHT)
        (root / "submitted" / name).mkdir(parents=True)
        text = before + whole.replace(RIGHT.rstrip(), body.rstrip())
        (root / "submitted" / name / "tiny.py").write_text(text)
    exercise = course.exercise("tiny")
    mode, _ = planning.practice_isolation(None)
    plan = RunPlan(exercise, RunSettings("quick", 5, mode=mode), hidden=False)
    with Zygote(exercise.preload) as zygote, Run(zygote, plan) as run:
        found = run.grade(find_submissions(root / "submitted", exercise))
        return {report.student: report for report in found}


@pytest.mark.parametrize("name", ACCIDENTS)
def test_an_accident_costs_its_part_only_and_is_told(reports, name):
    """The verdict and the sentence; the other parts keep their points, and nothing is our fault."""
    _, _, verdict, sentence = ACCIDENTS[name]
    by_id = {check.id: check for check in reports[name].checks}
    assert by_id["double_keeps_the_shape"].verdict == verdict
    assert sentence in by_id["double_keeps_the_shape"].message
    assert by_id["affine_is_affine"].verdict == "passed"
    assert (reports[name].complete, reports[name].exit_code) == (True, 1)


def test_a_name_defined_twice_is_advice(reports):
    """With its lines, and which of them counts; it costs nothing by itself."""
    [advice] = reports["twice"].advice
    assert advice.startswith("double is defined on lines ")
    assert advice.endswith(", and Python uses the last")
    assert reports["arity"].advice == ()
