"""A course from `dlgrade course init` to the exported grades, by nbgrader's own commands."""

import html
import json
import shutil
from html.parser import HTMLParser

import pytest
from nbgrader.api import Gradebook

from tests.autograder.command_line import dlgrade
from tests.nbgrader import hostile
from tests.nbgrader.conftest import PARTS, STUDENTS, staff_runs


class Active(HTMLParser):
    """Collects what a browser would run of a page: scripts' texts, handlers, links that are code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self._in_script = tag == "script"
        for name, value in attributes:
            if name.startswith("on") or "javascript:" in (value or "").lower():
                self.found.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, text):
        if self._in_script and "stolen" in text:
            self.found.append(text)


def scores_in(cycle, student: str) -> dict[str, float]:
    """What the gradebook has for each check cell."""
    with Gradebook(cycle.url) as book:
        notebook = book.find_submission_notebook("tiny", "tiny", student)
        return {grade.name: grade.auto_score for grade in notebook.grades}


def test_every_command_ends_well(cycle):
    """Not one of the instructor's and the students' commands fails, whatever was handed in."""
    assert {name: done.output for name, done in cycle.done.items() if done.code} == {}


def test_release_is_the_built_notebook(cycle):
    """What `dlgrade build` writes for students is, byte for byte, nbgrader's own generate_assignment."""
    released = (cycle.folder / "built" / "tiny" / "tiny.ipynb").read_bytes()
    assert released == (cycle.staff.root / "assignments" / "tiny" / "tiny.ipynb").read_bytes()


def test_scores_are_those_of_dlgrade_grade(cycle, tmp_path):
    """For the five students each part has the points that `dlgrade grade` gives the same files."""
    submitted = tmp_path / "submitted"
    for student in STUDENTS:
        (submitted / student / "tiny").mkdir(parents=True)
        content = (cycle.folder / "submitted" / student / "tiny" / "tiny.ipynb").read_bytes()
        (submitted / student / "tiny" / "tiny.ipynb").write_bytes(content)
    done = dlgrade("grade", "tiny", submitted, "--seed", cycle.seed, "--format", "json", cwd=cycle.staff.root)
    reports = {report["student"]: report for report in map(json.loads, done.stdout.splitlines())}
    assert set(reports) == set(STUDENTS)
    for student, report in reports.items():
        expected = dict.fromkeys(PARTS, 0.0)
        for check in report["checks"]:
            expected[check["part"]] += check["points"]
        scores = scores_in(cycle, student)
        assert {part: scores[f"{part}-check"] for part in PARTS} == expected, student
        assert float(cycle.grades[student]["raw_score"]) == report["score"]
    assert {student: report["score"] for student, report in reports.items()} == {
        "anna": 11, "bert": 4, "carl": 0, "dora": 8, "emil": 7,
    }  # fmt: skip


@pytest.mark.parametrize("name", hostile.ATTACKS)
def test_hostile_notebook_gains_nothing(cycle, name):
    """A hostile notebook has the points of its honest parts, and a grade at all: no submission is lost."""
    scores = scores_in(cycle, name)
    assert {scores[f"{part}-check"] is None for part in PARTS} == {False}
    assert float(cycle.grades[name]["score"]) == hostile.EARNED.get(name, 0.0)
    assert float(cycle.grades[name]["max_score"]) == 16


def test_hidden_checks_reach_no_student(cycle):
    """No file of the release, the exchange, the feedback or a student's folder has a secret in it."""
    places = [
        cycle.folder / "release",
        cycle.folder / "source",
        cycle.folder / "feedback",
        cycle.exchange,
        cycle.homes,
    ]
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    assert len(files) > 100
    secrets = [hostile.CANARY, "descend_ends_where_the_reference_does", "oracle.descend", str(cycle.seed)]
    found = [(file, s) for file in files for s in secrets if s.encode() in file.read_bytes()]
    assert [hit for hit in found if not hit[0].match("submitted/**")] == []


def test_answers_are_in_no_release(cycle):
    """The full answer stays in source/: the release and what students fetched have the stubs only."""
    for place in (cycle.folder / "release", cycle.exchange / "dl101" / "outbound"):
        files = [file for file in place.rglob("*") if file.is_file()]
        assert files
        assert [file for file in files if b"return 2 * x" in file.read_bytes()] == []


def test_no_hostile_code_ran_outside_of_the_sandbox(cycle):
    """Shell commands in cells were not run, and the gradebook has no score above its maximum."""
    assert not (cycle.folder / "pwned").exists()
    assert all(float(row["score"]) <= 11 for row in cycle.grades.values())
    assert "leak: yes" not in cycle.feedback("reads_the_grader")
    assert "RuntimeError: leak:" in cycle.feedback("reads_the_grader")


def test_feedback_names_the_mistake_and_the_next_step(cycle):
    """dora's page has verdict, reason, diagnosis and help of the failed check, and each part's score."""
    page = cycle.feedback("dora")
    assert "You add the input three times." in page
    assert "add it to itself" in page
    assert "each value is doubled" in page
    assert "8.0 / 16.0" in page
    assert "secret title (hidden)" in page


def test_feedback_of_a_hidden_check_has_no_values(cycle):
    """Of a hidden check that failed the page has title, verdict and help, and no reason."""
    page = cycle.feedback("dora")
    hidden = page[page.index("secret title (hidden)") :]
    assert "large numbers too" in hidden
    assert "<pre" not in hidden[: hidden.index("large numbers too")]


@pytest.mark.parametrize("name", [*hostile.ATTACKS, *STUDENTS])
def test_feedback_page_is_inert(cycle, name):
    """Nothing that a student wrote becomes an element, a handler or a script link of a page."""
    assert Active(f"{cycle.feedback(name)}<b onclick='x'>").found == ["b onclick=x"]


def test_feedback_shows_no_stored_output(cycle):
    """Outputs that a student stored in the file are on no page: only the grader's own are."""
    for name in ("forged_outputs", "active_content", "duplicated_checks"):
        assert "1000.0" not in cycle.feedback(name)
        assert "forged" not in cycle.feedback(name).replace("forged_outputs", "")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("stripped", "cell 'double-check' was missing and was put back"),
        ("duplicated_checks", "repeats 'double-check'"),
        ("edited_checks", "'double-check' was edited; its text is the release"),
        ("retyped", "'double' was changed from code to markdown"),
        ("moved_answer", "cell 'double' was missing"),
        ("magics", "left out !touch"),
        ("no_json", "tiny.ipynb is not"),
        ("too_many_cells", "expected at most 2000"),
    ],
)
def test_feedback_says_what_was_wrong_with_the_notebook(cycle, name, sentence):
    """Missing, repeated, edited and retyped cells, and a file that cannot be read, are named on the page."""
    assert sentence in html.unescape(cycle.feedback(name))


def test_students_get_their_own_page(cycle):
    """`nbgrader fetch_feedback` brings each student the page with their score."""
    for student, score in {"anna": "11.0", "dora": "8.0"}.items():
        [page] = (cycle.homes / student / "tiny" / "feedback").rglob("tiny.html")
        assert f"(Score: {score} / 16.0)" in page.read_text(encoding="utf-8")


def test_a_check_is_taken_back_without_grading_again(cycle, tmp_path):
    """From the reports that autograde kept: everyone gets its points in the gradebook, but not for a stub."""
    shutil.copytree(cycle.folder / "results" / "tiny", tmp_path / "tiny")
    shutil.copy(cycle.folder / "gradebook.db", tmp_path)
    url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    void = ("rescore", tmp_path / "tiny", "--void", "double_doubles", "--gradebook", url)
    done = dlgrade(*void, cwd=cycle.staff.root)
    assert "dora/tiny.ipynb: 8 -> 10 of 11" in done.stdout, done.stderr
    with Gradebook(url) as book:
        scores = {student: book.find_grade("double-check", "tiny", "tiny", student) for student in STUDENTS}
        assert {student: grade.auto_score for student, grade in scores.items()} == {
            "anna": 4, "bert": 4, "carl": 0, "dora": 3, "emil": 2,
        }  # fmt: skip


def test_written_answers_wait_for_a_person(cycle):
    """An instructor's own manually graded cell has no automatic score, keeps its text and asks for one."""
    with Gradebook(cycle.url) as book:
        grade = book.find_grade("essay", "tiny", "tiny", "anna")
        assert grade.auto_score is None
        assert grade.needs_manual_grade
    assert "slides" in cycle.feedback("anna")


def test_regrading_keeps_what_people_decided(cycle):
    """With --force the automatic score is made again, a person's stays for review, and lateness counts."""
    with Gradebook(cycle.url) as book:
        book.find_grade("essay", "tiny", "tiny", "anna").manual_score = 3
        book.find_grade("double-check", "tiny", "tiny", "anna").manual_score = 1
        book.update_or_create_assignment("tiny", duedate="2020-01-01 00:00:00 UTC")
        book.db.commit()
    late = "--LateSubmissionPlugin.penalty_method=zero"
    [done] = staff_runs(cycle, f"autograde tiny --force --student=anna {late}")
    assert done.code == 0, done.output
    with Gradebook(cycle.url) as book:
        grade = book.find_grade("double-check", "tiny", "tiny", "anna")
        assert (grade.auto_score, grade.manual_score, grade.needs_manual_grade) == (4, 1, True)
        assert book.find_grade("essay", "tiny", "tiny", "anna").manual_score == 3
        notebook = book.find_submission_notebook("tiny", "tiny", "anna")
        assert notebook.score == 11  # 1 + 3 by hand, 4 + 3 by the grader
        assert notebook.late_submission_penalty == 11


def test_autograde_again_skips_what_is_done(cycle):
    """A second run without --force grades nothing again."""
    [done] = staff_runs(cycle, "autograde tiny --student=bert")
    assert done.code == 0
    assert "Skipping existing assignment" in done.output
