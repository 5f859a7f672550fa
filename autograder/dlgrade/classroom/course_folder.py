"""`dlgrade course init`: an nbgrader course folder whose assignments are this course's exercises."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from dlgrade import planning
from dlgrade.classroom.release import generate_preprocessors
from dlgrade.course import Course
from dlgrade.errors import CourseError, UsageError
from dlgrade.exercise import Exercise

CONFIG: Final = "nbgrader_config.py"

_TEMPLATE: Final = """\
# An nbgrader course of auto-graded exercises. Everything nbgrader can configure can be added here.
c = get_config()  # noqa: F821  # traitlets defines it for the file

c.CourseDirectory.course_id = {course_id!r}
c.CourseDirectory.root = {root!r}
# c.Exchange.root = "/usr/local/share/nbgrader/exchange"
# c.CourseDirectory.db_url = "postgresql://user@host/gradebook"

# Hidden checks and reference solutions stay here; nothing in it is ever copied to where students can read.
c.StaffFolder.staff_folder = {staff!r}
# Secret: what every grading of this course draws its inputs from. The same number repeats a grading.
c.StaffFolder.seed = {seed!r}
# Every report as it was graded, a folder for each assignment: 'dlgrade report' and 'dlgrade rescore' take it.
c.StaffFolder.results_folder = {results!r}

c.GenerateAssignment.preprocessors = {generate}
c.Autograde.exporter_class = "dlgrade.classroom.reading.ToleratingExporter"
c.Autograde.sanitize_preprocessors = {sanitize}
c.Autograde.autograde_preprocessors = {autograde}
"""

_OURS: Final = "dlgrade.classroom.preprocessors."
_THEIRS: Final = "nbgrader.preprocessors."
SANITIZE: Final = (
    _OURS + "RestoreRelease",
    _THEIRS + "ClearOutput",
    _THEIRS + "DeduplicateIds",
    _THEIRS + "OverwriteKernelspec",
    _THEIRS + "OverwriteCells",
    _THEIRS + "CheckCellMetadata",
)
AUTOGRADE: Final = (
    _OURS + "GradeParts",
    _THEIRS + "IgnorePattern",
    _THEIRS + "LimitOutput",
    _OURS + "SaveScores",
    _THEIRS + "AssignLatePenalties",
    _THEIRS + "CheckCellMetadata",
)


def init(folder: Path, course: Course, names: Sequence[str] = ()) -> str:
    """Write the course folder; return what the instructor runs next.

    Raises:
        UsageError: there is one already, it lies where students or builds would meet it, or an exercise
            does not exist or was never built.
    """
    if not course.staff:
        raise UsageError(f"{course.root} has no solutions/; name the staff's course with --course")
    folder = folder.resolve()
    if (folder / CONFIG).exists():
        raise UsageError(f"{folder / CONFIG} already exists; nothing was written. Name a new folder")
    exercises = [course.exercise(name) for name in names or course.exercises()]
    sources = {exercise.id: _source_files(exercise) for exercise in exercises}
    for name, files in sources.items():
        _copy(files, folder / "source" / name)
    (folder / CONFIG).write_text(_config(folder, course), encoding="utf-8")
    (folder / CONFIG).chmod(0o600)  # it holds the seed
    return _next_steps(folder, [exercise.id for exercise in exercises])


def _source_files(exercise: Exercise) -> dict[str, Path]:
    """What becomes the source: the notebook with the answers, and what students get beside it."""
    notebook = exercise.folder / f"{exercise.id}.ipynb"
    if not exercise.staff or not notebook.is_file():
        raise CourseError(f"{notebook} not found; run 'dlgrade build {exercise.id}' first")
    files = {notebook.name: notebook}
    for file in sorted(exercise.release.rglob("*")):
        relative = file.relative_to(exercise.release)
        answers = relative.as_posix() in (f"{exercise.id}.py", f"{exercise.id}.ipynb")
        if file.is_file() and not answers and "__pycache__" not in relative.parts:
            files[relative.as_posix()] = file
    return files


def _copy(files: dict[str, Path], target: Path) -> None:
    for relative, file in files.items():
        (target / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / relative)


def _config(folder: Path, course: Course) -> str:
    return _TEMPLATE.format(
        course_id=re.sub(r"[^A-Za-z0-9_-]+", "-", folder.name).strip("-") or "course",
        root=str(folder),
        staff=str(course.root),
        seed=planning.secret_seed(),
        results=str(folder / "results"),
        generate=_listed(generate_preprocessors()),
        sanitize=_listed(SANITIZE),
        autograde=_listed(AUTOGRADE),
    )


def _listed(names: Iterable[str]) -> str:
    lines = "".join(f'    "{name}",\n' for name in names)
    return f"[\n{lines}]"


def _next_steps(folder: Path, names: Sequence[str]) -> str:
    one = names[0]
    return (
        f"{folder} is an nbgrader course with {len(names)} assignment{'s' * (len(names) != 1)}:"
        f" {', '.join(names)}.\nNext, in that folder, for each of them:\n"
        f"    nbgrader generate_assignment {one}\n"
        f"    nbgrader release_assignment {one}\n"
        "when it is due:\n"
        f"    nbgrader collect {one}\n"
        f"    nbgrader autograde {one}\n"
        f"    nbgrader generate_feedback {one}\n"
        f"    nbgrader release_feedback {one}\n"
        "    nbgrader export"
    )
