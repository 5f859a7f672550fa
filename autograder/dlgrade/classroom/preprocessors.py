"""What `nbgrader autograde` runs for this kit's exercises; any other notebook is left to nbgrader's steps.

    sanitize    RestoreRelease, then nbgrader's own
    autograde   GradeParts in place of Execute, SaveScores in place of SaveAutoGrades, the rest nbgrader's

The exercise's answer is graded by the engine of `dlgrade grade`; no kernel runs it, and no output of one is
ever read as a score.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, Final

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import Execute, NbGraderPreprocessor, SaveAutoGrades
from nbgrader.utils import is_solution, is_task
from traitlets import Integer, Unicode

from dlgrade import notebook_page, planning
from dlgrade.classroom.reading import OURS, PROBLEM
from dlgrade.classroom.restore import restore
from dlgrade.classroom.scores import released_cells, set_auto_score
from dlgrade.course import Course
from dlgrade.engine import RunPlan
from dlgrade.errors import GraderFault, SubmissionError, UsageError
from dlgrade.exercise import Exercise
from dlgrade.grader_thread import GraderThread
from dlgrade.notebook_release import check_cells
from dlgrade.notebook_source import notebook_text
from dlgrade.report import Report
from dlgrade.results import write_report
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission
from dlgrade.voiding import read_voided, standing

Resources = dict[str, Any]
FINDINGS: Final = "findings"
IDLE_SECONDS: Final = 60.0  # formgrader's server lives on after the last submission
_SCORES: Final = "dlgrade_scores"

# nbgrader makes new preprocessors for every notebook; what takes seconds to start is kept here.
_graders: dict[tuple[str, ...], GraderThread] = {}


@functools.cache
def _secret_seed() -> int:
    """One for all submissions of this run."""
    return planning.secret_seed()


class StaffFolder(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader ships no types
    """What our preprocessors share: where the staff's course is, and which notebooks are its exercises."""

    staff_folder = Unicode(help="The folder with solutions/, where the hidden checks lie.").tag(config=True)
    seed = Integer(
        None, allow_none=True, help="The secret seed of a course's grading; the same for everyone."
    ).tag(config=True)

    results_folder = Unicode(
        help="Where a folder of reports for each assignment is kept, for 'dlgrade report' and 'rescore'."
    ).tag(config=True)

    def exercise(self, resources: Resources) -> Exercise | None:
        """The exercise that a notebook of this name answers, or None for a notebook of another kind."""
        if not self.staff_folder:
            raise UsageError(
                "nbgrader_config.py does not set StaffFolder.staff_folder; 'dlgrade course init' does"
            )
        course, name = Course(Path(self.staff_folder)), resources["nbgrader"]["notebook"]
        if not course.staff:
            raise UsageError(
                f"StaffFolder.staff_folder is '{self.staff_folder}', which has no solutions/ in it"
            )
        return course.exercise(name) if name in course.exercises() else None


class RestoreRelease(StaffFolder):
    """Gives a submitted notebook the release's structure back, before anything of nbgrader's looks at it."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        if self.exercise(resources) is None:
            return nb, resources
        where = resources["nbgrader"]
        with Gradebook(where["db_url"]) as book:
            released = released_cells(book, where["notebook"], where["assignment"])
        problem = _problem_in(nb)
        restored = restore(nb.cells, released)
        findings = [problem] if problem else list(restored.findings)
        nb.cells = list(restored.cells)
        nb.metadata = nbformat.from_dict({OURS: {FINDINGS: findings, PROBLEM: problem}})  # type: ignore[no-untyped-call]  # nbformat is untyped
        for finding in findings:
            self.log.warning("%s: %s", where["student"], finding)
        return nb, resources


class GradeParts(StaffFolder, Execute):  # type: ignore[misc]  # nbgrader ships no types
    """Grades the parts and shows each one's results below its check cell; executes nothing.

    Raises:
        GraderFault: something could not be judged. nbgrader then takes this submission as not done, goes on
            with the next, and tries it again when it is run again.
    """

    def preprocess(
        self, nb: NotebookNode, resources: Resources, km: Any = None
    ) -> tuple[NotebookNode, Resources]:
        exercise = self.exercise(resources)
        if exercise is None:
            nb, resources = Execute.preprocess(self, nb, resources, km)
            return nb, resources
        submission = _submission(nb, resources, exercise)
        report = self._kept(self._grade(exercise, submission), resources)
        if not report.complete:
            raise GraderFault(f"not every check of {submission.name} could be judged; run autograde again")
        self.log.info("%s: %g of %g points", submission.name, report.score, report.max_score)
        resources[_SCORES] = points = {}
        parts = check_cells(exercise)
        for cell in nb.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in parts:
                points[name] = _points(report, parts[name], expected=cell.metadata.nbgrader["points"])
                cell.outputs = [_shown(report, parts[name])]
        findings = [*nb.metadata.get(OURS, {}).get(FINDINGS, ()), *submission.notes]
        if findings:
            nb.cells.insert(0, _about(findings))
        return nb, resources

    def _grade(self, exercise: Exercise, submission: Submission) -> Report:
        grader = _graders.get(exercise.preload)
        if grader is None:
            grader = _graders[exercise.preload] = GraderThread(exercise.preload, idle_seconds=IDLE_SECONDS)
        plan = RunPlan(exercise, self._settings(exercise), hidden=True)
        return grader.grade(plan, submission, lambda *_event: None).report

    def _kept(self, report: Report, resources: Resources) -> Report:
        """The report as it counts; as it was graded it is kept, so that a check can be taken back later."""
        if not self.results_folder:
            return report
        folder = Path(self.results_folder) / resources["nbgrader"]["assignment"]
        write_report(folder, report)
        return standing(report, read_voided(folder))

    def _settings(self, exercise: Exercise) -> RunSettings:
        seed = _secret_seed() if self.seed is None else self.seed
        self.log.info("seed %d (c.StaffFolder.seed repeats this run)", seed)
        tier = planning.choose_tier(exercise.graded_tier)
        mode, _warning = planning.graded_isolation(None)
        return RunSettings(
            tier=tier,
            seed=seed,
            threads=planning.worker_threads(1, tier),
            mode=mode,
            device=planning.device_of(tier),
        )


class SaveScores(SaveAutoGrades):  # type: ignore[misc]  # nbgrader ships no types
    """Saves the report's points for check cells; what is graded by hand stays nbgrader's."""

    def _add_score(self, cell: NotebookNode, resources: Resources) -> None:
        scores: dict[str, float] | None = resources.get(_SCORES)
        if scores is None or is_solution(cell) or is_task(cell):
            super()._add_score(cell, resources)
            return
        name = cell.metadata.nbgrader["grade_id"]
        grade = self.gradebook.find_grade(name, self.notebook_id, self.assignment_id, self.student_id)
        # A test cell that the instructor added to an exercise was not run: a person has to score it.
        set_auto_score(grade, scores.get(name))
        self.gradebook.db.commit()


def _points(report: Report, part: str, *, expected: float) -> float:
    """What the part got.

    Raises:
        GraderFault: it could get more or less than the release promised.
    """
    results = notebook_page.of_part(report, part)
    most = sum(result.max_points for result in results)
    if most != expected:
        raise GraderFault(
            f"the checks of {part} are worth {most:g} points and its cell {expected:g};"
            f" run 'nbgrader generate_assignment {report.exercise} --force'"
        )
    return sum(result.points for result in results)


def _submission(nb: NotebookNode, resources: Resources, exercise: Exercise) -> Submission:
    where = resources["nbgrader"]
    name = f"{where['student']}/{where['notebook']}.ipynb"
    origin = Path(name)
    problem = _problem_in(nb)
    if problem is None:
        try:
            found = notebook_text(json.dumps(nb).encode(), name, [part.name for part in exercise.parts])
            return Submission(name, where["student"], found.text, origin, "ipynb", notes=found.notes)
        except SubmissionError as error:
            problem = str(error)
    return Submission(name, where["student"], "", origin, "ipynb", problem=problem)


def _problem_in(nb: NotebookNode) -> str | None:
    ours = nb.metadata.get(OURS)
    problem = ours.get(PROBLEM) if isinstance(ours, dict) else None
    return problem if isinstance(problem, str) else None


def _shown(report: Report, part: str) -> NotebookNode:
    data = {
        "text/html": notebook_page.part_html(report, part),
        "text/plain": notebook_page.part_text(report, part),
    }
    output: NotebookNode = nbformat.v4.new_output("display_data", data=data)  # type: ignore[no-untyped-call]  # nbformat is untyped
    return output


def _about(findings: list[str]) -> NotebookNode:
    source = notebook_page.list_html("About this notebook", findings)
    cell: NotebookNode = nbformat.v4.new_markdown_cell(source)  # type: ignore[no-untyped-call]  # nbformat is untyped
    cell.id = "about-this-notebook"
    return cell
