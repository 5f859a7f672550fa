"""Scores in nbgrader's database, through its own API: what is expected there, and what a report gives."""

from __future__ import annotations

import os
import sysconfig
import warnings
from collections.abc import Mapping

from nbgrader.api import Grade, Gradebook, MissingEntry
from sqlalchemy.exc import SAWarning, SQLAlchemyError

from dlgrade.classroom.restore import ReleasedCell
from dlgrade.errors import UsageError
from dlgrade.exercise import Exercise
from dlgrade.notebook_release import check_cells
from dlgrade.report import Report
from dlgrade.worth import points_by_part


def released_cells(book: Gradebook, notebook: str, assignment: str) -> list[ReleasedCell]:
    """The structure that `nbgrader generate_assignment` saved.

    Raises:
        MissingEntry: it never ran for this notebook.
    """
    found = book.find_notebook(notebook, assignment)
    points = {cell.name: cell.max_score for cell in [*found.grade_cells, *found.task_cells]}
    graded = {cell.name for cell in found.grade_cells}
    solutions = {cell.name for cell in found.solution_cells}
    tasks = {cell.name for cell in found.task_cells}
    return [
        ReleasedCell(
            name=cell.name,
            cell_type=cell.cell_type,
            source=cell.source,
            checksum=cell.checksum,
            locked=cell.locked,
            grade=cell.name in graded,
            solution=cell.name in solutions,
            task=cell.name in tasks,
            points=float(points.get(cell.name, 0)),
        )
        for cell in found.source_cells
    ]


def points_of(report: Report) -> dict[str, float]:
    """What each part got."""
    points: dict[str, float] = {}
    for check in report.counted:
        points[check.part] = points.get(check.part, 0.0) + check.points
    return points


def set_auto_score(grade: Grade, points: float | None) -> None:
    """As nbgrader does it: a grader's own score stays and is asked to be looked at again."""
    grade.auto_score = points
    grade.needs_manual_grade = grade.manual_score is not None or points is None


def open_gradebook(url: str) -> Gradebook:
    """nbgrader's database; made where there is none."""
    scripts = sysconfig.get_path("scripts")
    if scripts not in os.environ["PATH"].split(os.pathsep):  # nbgrader calls `alembic` by its bare name
        os.environ["PATH"] = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    return Gradebook(url)


class Ledger:
    """Records `dlgrade grade`'s reports of one exercise in nbgrader's database, as autograde would.

    Raises:
        UsageError: the database cannot be used, or counts the exercise's points in another way.
    """

    def __init__(self, url: str, exercise: Exercise, tier: str) -> None:
        if tier != exercise.graded_tier:
            raise UsageError(
                f"a gradebook holds the points of tier '{exercise.graded_tier}', and this run is of tier"
                f" '{tier}'; leave out --tier or --gradebook"
            )
        self._exercise = exercise
        self._cells = check_cells(exercise)
        try:
            self._book = open_gradebook(url)
            self._expect()
        except (SQLAlchemyError, ImportError) as error:
            reason = str(error).partition("\n")[0]
            raise UsageError(
                f"--gradebook cannot be used: {reason}; expected an address as in nbgrader's"
                " CourseDirectory.db_url, such as sqlite:///gradebook.db"
            ) from None

    def close(self) -> None:
        self._book.close()

    def record(self, report: Report) -> None:
        """Save one student's points; one that is not complete is left for the next run."""
        if not report.complete:
            return
        name, points = self._exercise.id, points_of(report)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # nbgrader's own way to add a submission
            self._book.update_or_create_student(report.student)
            self._book.update_or_create_submission(name, report.student)
        for cell, part in self._cells.items():
            grade = self._book.find_grade(cell, name, name, report.student)
            set_auto_score(grade, points.get(part, 0.0))
        self._book.db.commit()

    def _expect(self) -> None:
        """The assignment with a cell for each part: as generate_assignment saved it, else made now."""
        name, worth = self._exercise.id, points_by_part(self._exercise)
        try:
            notebook = self._book.find_notebook(name, name)
        except MissingEntry:
            self._book.update_or_create_assignment(name)
            self._book.add_notebook(name, name)
            for cell, part in self._cells.items():
                self._book.add_grade_cell(cell, name, name, max_score=worth[part], cell_type="code")
            return
        expected = {cell: worth[part] for cell, part in self._cells.items()}
        _refuse_other_points({cell.name: cell.max_score for cell in notebook.grade_cells}, expected, name)


def _refuse_other_points(there: Mapping[str, float], expected: Mapping[str, float], name: str) -> None:
    for cell, points in expected.items():
        if there.get(cell) != points:
            raise UsageError(
                f"the gradebook has {_shown(there.get(cell))} for '{cell}' of {name}, and its checks are"
                f" worth {points:g}; run 'nbgrader generate_assignment {name} --force' after 'dlgrade build'"
            )


def _shown(points: float | None) -> str:
    return "no cell" if points is None else f"{points:g} points"
