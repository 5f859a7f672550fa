"""Grades for other systems: a table, Canvas's gradebook, and a bundle for Gradescope."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dlgrade import planning
from dlgrade.collected import canvas_student
from dlgrade.course import Course
from dlgrade.display import printable
from dlgrade.errors import UsageError
from dlgrade.exercise import Exercise
from dlgrade.outcome import DEFERRED, PASSED
from dlgrade.printers import told
from dlgrade.report import CheckResult, Report
from dlgrade.results import csv_line, grades_csv, reports_in

CANVAS_COLUMNS: Final = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")

SETUP: Final = """\
#!/usr/bin/env bash
# Gradescope runs this once, when the image is built.
set -euo pipefail
apt-get update
apt-get install -y python3 python3-venv
python3 -m venv /autograder/venv
/autograder/venv/bin/pip install 'dlgrade{version}' --extra-index-url https://download.pytorch.org/whl/cpu
"""

RUN: Final = """\
#!/usr/bin/env bash
# Gradescope runs this for each submission. A grader's fault leaves no results.json, so no score is given.
set -uo pipefail
root="${{AUTOGRADER_ROOT:-/autograder}}"
export PATH="$root/venv/bin:$PATH"
dlgrade grade {exercise} "$root/submission" --course "$root/source/course" --seed {seed} --jobs 1 \\
    --one-student --format json > "$root/report.json"
if [ $? -ge 2 ]; then
    echo "the grader could not judge this submission" >&2
    exit 1
fi
dlgrade export "$root/report.json" --to gradescope-results > "$root/results/results.json"
"""


def export(source: Path, to: str, course: Course | None, out: Path | None) -> str:
    """What to print: the table, or where the bundle was written.

    Args:
        source: a results folder; for gradescope an exercise's name, for gradescope-results a report's file.
        to: csv, canvas, gradescope or gradescope-results.
        course: holds the exercise of a bundle; None for the others.
        out: where a bundle is written.

    Raises:
        UsageError: there are no results at `source`.
    """
    if to == "gradescope":
        assert course is not None  # the command looked it up
        file = out or Path(f"{source}-gradescope.zip")
        bundle(course.exercise(str(source)), file, planning.secret_seed())
        return f"{file} is ready to upload as a Gradescope autograder; keep it secret, it holds the answers\n"
    if to == "gradescope-results":
        return json.dumps(gradescope_results(_single(source)), indent=1) + "\n"
    reports = list(_of_folder(source))
    return canvas_csv(reports) if to == "canvas" else grades_csv(reports)


def canvas_csv(reports: list[Report]) -> str:
    """A file for Canvas's gradebook import.

    Students are found by their number where the submission has the name that Canvas's download gave it, else
    by their login, which names their folder. A report that is not complete has an empty cell, which Canvas
    leaves as it was.
    """
    exercise = reports[0].exercise
    most = max(report.max_score for report in reports)
    lines = [csv_line([*CANVAS_COLUMNS, exercise]), csv_line(["    Points Possible", "", "", "", "", most])]
    for report in sorted(reports, key=lambda report: report.student):
        score = report.score if report.complete else ""
        name, number = canvas_student(report.submission) or (report.student, "")
        login = "" if number else report.student
        lines.append(csv_line([name, number, "", login, "", score]))
    return "".join(lines)


def gradescope_results(report: Report) -> dict[str, Any]:
    """A report as Gradescope's results.json.

    Raises:
        UsageError: the report is not complete; Gradescope must not get a score from it.
    """
    if not report.complete:
        raise UsageError(f"{report.submission} was not judged ({report.fault}); there is no score to export")
    counted = [check for check in report.checks if check.verdict != DEFERRED]
    return {
        "score": report.score,
        "execution_time": round(report.seconds),
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "output": "\n".join(printable(note, 500) for note in report.advice),
        "output_format": "text",
        "tests": [_gradescope_test(number, check) for number, check in enumerate(counted, 1)],
        "extra_data": {"exercise": report.exercise, "tier": report.tier, "isolation": report.isolation},
    }


def _gradescope_test(number: int, check: CheckResult) -> dict[str, Any]:
    passed = check.verdict == PASSED
    return {
        "score": check.points,
        "max_score": check.max_points,
        "status": "passed" if passed else "failed",
        "name": f"{check.part}: {check.title}",
        "name_format": "text",
        "number": str(number),
        "output": "" if passed else "\n".join([check.verdict, *told(check)]),
        "output_format": "text",
        "visibility": "visible",
    }


def bundle(exercise: Exercise, file: Path, seed: int) -> None:
    """Write a Gradescope autograder: set-up, the script for each submission, and the staff's course."""
    from dlgrade import __version__

    run = RUN.format(exercise=exercise.id, seed=seed)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        _add_script(archive, "setup.sh", SETUP.format(version=f">={__version__}"))
        _add_script(archive, "run_autograder", run)
        for path in _files_of(exercise):
            archive.write(path, Path("course") / path.relative_to(exercise.root))


def _files_of(exercise: Exercise) -> Iterator[Path]:
    """The exercise's own folders, and the reference it was built from."""
    folders = [exercise.folder, exercise.release, exercise.root / "reference"]
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _add_script(archive: zipfile.ZipFile, name: str, text: str) -> None:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o100755 << 16
    archive.writestr(entry, text)


def _single(file: Path) -> Report:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        if len(lines) != 1:
            raise ValueError(f"{len(lines)} lines")
        return Report.from_json(lines[0])
    except (OSError, ValueError) as error:
        raise UsageError(f"'{file}' is not one report: {error}; write it with --format json") from None


def _of_folder(folder: Path) -> Iterator[Report]:
    found = False
    for report in reports_in(folder):
        found = True
        yield report
    if not found:
        raise UsageError(f"no reports in '{folder}'; expected what 'dlgrade grade --out {folder}' writes")
