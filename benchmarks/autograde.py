"""`nbgrader autograde` with this kit's preprocessors, and with nbgrader's own execution of the same checks.

    python benchmarks/autograde.py [--submissions 8]

Both courses are graded in one run, one after the other, so that a busy machine slows both alike. The time is
that of the command from start to end, loading included. Each submission has to get all points in both.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import cohort
import nbformat
import six_checks
from nbgrader.api import Gradebook

from dlgrade.build import build
from dlgrade.course import Course


def measure_ours(folder: Path, submissions: int) -> float:
    """Seconds a submission with this kit's preprocessors, hidden checks' sandbox and all."""
    six_checks.write_course(folder / "staff")
    build(Course(folder / "staff"), ["cnn"])
    course = folder / "course"
    cohort.timed([cohort.SCRIPTS / "dlgrade", "course", "init", course, "--course", folder / "staff"], folder)
    cohort.timed([cohort.SCRIPTS / "nbgrader", "generate_assignment", "cnn"], course)
    release = json.loads((course / "release/cnn/cnn.ipynb").read_text(encoding="utf-8"))
    for number in range(submissions):
        place = course / "submitted" / f"student{number}" / "cnn"
        place.mkdir(parents=True)
        answer = nbformat.v4.new_code_cell(six_checks.submission_text(number), id="answer")
        notebook = {**release, "cells": [*release["cells"], answer]}
        (place / "cnn.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return autograde(course, submissions)


def autograde(course: Path, submissions: int) -> float:
    """Seconds a submission of `nbgrader autograde` for what is in a course's submitted/."""
    seconds = cohort.timed([cohort.SCRIPTS / "nbgrader", "autograde", "cnn"], course)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        scores = {(found.score, found.max_score) for found in book.assignment_submissions("cnn")}
        graded = len(book.assignment_submissions("cnn"))
    if graded != submissions or any(score < most or not most for score, most in scores):
        raise SystemExit(f"{graded} of {submissions} were graded, with scores {sorted(scores)}")
    return seconds / submissions


def main() -> None:
    """Parse, measure both, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--submissions", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ours").mkdir()
        ours = measure_ours(folder / "ours", options.submissions)
        theirs = cohort.measure_nbgrader(folder / "theirs", options.submissions)
    print(f"nbgrader autograde, {options.submissions} submissions, six checks each, one run:")
    print(f"    with this kit's preprocessors    {ours:.2f} s a submission")
    print(f"    with nbgrader's own execution    {theirs:.2f} s a submission")
    print(f"    ratio                            {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
