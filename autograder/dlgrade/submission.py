"""Find submissions and read their source: one file, a folder, or a tree of students' folders.

File names, file types and contents are the students' own. Nothing here follows a symbolic link below the
path that was named, opens a device or a pipe, or lets one unreadable submission stop the others.
"""

import difflib
import errno
import os
import stat
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from dlgrade.archives import MAX_ARCHIVE_BYTES, is_archive, source_files
from dlgrade.changes import dependencies
from dlgrade.collected import FORMATS, NAME_LENGTH, Place, collected, owner_of
from dlgrade.course import Course
from dlgrade.display import printable
from dlgrade.errors import SubmissionError, UsageError
from dlgrade.exercise import Exercise
from dlgrade.notebook_source import MAX_NOTEBOOK_BYTES, notebook_text
from dlgrade.source import MAX_BYTES, decode_source, refuse_oversize


@dataclass(frozen=True)
class Submission:
    """One student's answer as text, ready for a worker.

    Attributes:
        name: path relative to what was searched, safe to show, different for each submission.
        student: whose it is, as far as the path tells.
        text: the module to import; empty where there is a `problem`.
        origin: the file it was read from, or the folder where none could be.
        format: "py" or "ipynb", "" where no file could be chosen.
        notes: what was left out of a notebook.
        problem: one sentence why it cannot be graded at all, or None.
    """

    name: str
    student: str
    text: str
    origin: Path
    format: str
    notes: tuple[str, ...] = ()
    problem: str | None = None


def exercise_of(path: Path, explicit: str | None, course: Course) -> Exercise:
    """The exercise that a path answers: `--exercise`, else the nearest exercise.toml, else the file's name.

    Raises:
        UsageError: none of them names an exercise of this course.
    """
    if explicit is not None:
        return course.exercise(explicit)
    if not path.exists():
        raise _not_found(path, course.exercises())
    place = path.absolute()
    for folder in (place, *place.parents):
        if name := _declared_id(folder / "exercise.toml"):
            return course.exercise(name)
    names = course.exercises()
    inside = (name for name in names for suffix in FORMATS if (place / f"{name}{suffix}").is_file())
    for name in (place.stem, place.name, *inside):
        if name in names:
            return course.exercise(name)
    raise UsageError(
        f"cannot tell which exercise '{printable(str(path), 200)}' answers; name it with --exercise"
        " ('dlgrade list' shows all)"
    )


def _not_found(path: Path, exercises: Iterable[str] = ()) -> UsageError:
    """What to say of a path that is not there, with the nearest name beside it that is, or how to get it."""
    try:
        beside = [file.name for file in path.parent.iterdir()]
    except OSError:
        beside = []
    near = difflib.get_close_matches(path.name, beside, n=1)
    started = difflib.get_close_matches(path.name, exercises, n=1)
    meant = ""
    if near:
        meant = f"; did you mean '{printable(str(path.with_name(near[0])), 200)}'?"
    elif started:
        meant = f"; 'dlgrade start {started[0]}' makes the folder '{started[0]}'"
    return UsageError(
        f"'{printable(str(path), 200)}' not found; expected a .py, an .ipynb or a folder{meant}"
    )


class Cohort:
    """Where the submissions of one exercise are; iterating reads them, one at a time, sorted by place.

    `path` is a .py, an .ipynb, an archive or a folder with one submission, a folder of student folders, an
    nbgrader `submitted/` tree (student/exercise/file), or, with `flat`, a folder with a file for each
    student. With `one` it is one student's, whatever lies in it. What cannot be read comes back with its
    `problem`. `left_out` names what lies among submissions and belongs to none.

    Raises:
        UsageError: nothing at `path` looks like a submission of this exercise.
    """

    def __init__(self, path: Path, exercise: Exercise, *, flat: bool = False, one: bool = False) -> None:
        self._exercise = exercise
        self.left_out: Sequence[str] = ()
        shown = printable(str(path), 200)
        if not path.exists():
            raise _not_found(path)
        self._root = path.resolve()  # a link that the user names is followed, one inside a submission never
        if not path.is_dir():
            owner = owner_of(self._root.parent, exercise.id)
            self._root, file = self._root.parent, self._root.name
            self._places: Sequence[Place] = [Place(Path(), owner, (file,))]
            return
        found = collected(self._root, exercise.id, flat=flat, one=one)
        self._places, self.left_out = found.places, found.left_out
        if not self._places:
            raise UsageError(
                f"no submission of {exercise.id} in '{shown}'; expected {exercise.id}.py or"
                f" {exercise.id}.ipynb in it, or in a folder for each student"
            )

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Submission]:
        return _with_distinct_names(_read_place(self._root, place, self._exercise) for place in self._places)


def find_submissions(path: Path, exercise: Exercise) -> list[Submission]:
    """All submissions at `path`, read; see `Cohort`."""
    return list(Cohort(path, exercise))


def _read_place(root: Path, place: Place, exercise: Exercise) -> Submission:
    """The answer at a place; of several files there the one that counts."""
    alone = place.folder == Path()  # then its own name says nothing
    shown = printable(place.student if alone else place.folder.as_posix(), NAME_LENGTH)
    empty = Submission(shown, place.student, "", root / place.folder, "", problem=place.problem)
    if not place.files:
        return empty
    candidates = [_read_one(root, place.folder / name, place.student, exercise) for name in place.files]
    return _the_changed_one(candidates, empty, exercise)


def _the_changed_one(candidates: list[Submission], empty: Submission, exercise: Exercise) -> Submission:
    """Of several formats of one answer the one that differs from the release; of equal ones the .py."""
    if len(candidates) == 1:
        return candidates[0]
    changed = [candidate for candidate in candidates if not _is_release(candidate, exercise)]
    if len(changed) > 1 and not _say_the_same(changed, exercise):
        both = " and ".join(sorted(candidate.name for candidate in changed))
        problem = f"{both} both differ from the release; keep one, or name the file to grade"
        return replace(empty, problem=problem)
    return next((c for c in changed or candidates if c.format == "py"), (changed or candidates)[0])


def _say_the_same(candidates: Sequence[Submission], exercise: Exercise) -> bool:
    """Whether all define every part with the same code: a notebook, and what was exported from it."""
    if any(candidate.problem is not None for candidate in candidates):
        return False
    parts = [part.name for part in exercise.parts]
    said = [dependencies(candidate.text, parts) for candidate in candidates]
    return all(code == said[0] for code in said)


def _read_one(root: Path, relative: Path, student: str, exercise: Exercise) -> Submission:
    name = printable(relative.as_posix(), NAME_LENGTH)
    suffix = relative.suffix.lower()
    empty = Submission(name, student, "", root / relative, suffix[1:])
    try:
        if is_archive(relative.name):
            return _from_archive(_read(root, relative, MAX_ARCHIVE_BYTES), empty, exercise)
        limit = MAX_NOTEBOOK_BYTES if suffix == ".ipynb" else MAX_BYTES
        return _from_source(_read(root, relative, limit), empty, exercise)
    except SubmissionError as error:
        return replace(empty, problem=str(error))


def _from_source(data: bytes, empty: Submission, exercise: Exercise) -> Submission:
    """The submission that a file of `empty.format` makes; SubmissionError for what is no answer."""
    if empty.format == "py":
        text = decode_source(data, empty.name)
        refuse_oversize(text, empty.name)
        return replace(empty, text=text)
    if empty.format == "ipynb":
        found = notebook_text(data, empty.name, [part.name for part in exercise.parts])
        return replace(empty, text=found.text, notes=found.notes)
    raise SubmissionError(
        f"{empty.name} is neither a .py nor an .ipynb file; expected one with your {exercise.id}"
    )


def _from_archive(data: bytes, empty: Submission, exercise: Exercise) -> Submission:
    """The answer in an archive: the files of the exercise's name nearest to its top, else its only source."""
    files = source_files(data, empty.name)
    named = [path for path in files if PurePosixPath(path).stem == exercise.id] or list(files)
    top = min((path.count("/") for path in named), default=0)
    chosen = [path for path in named if path.count("/") == top]
    if not chosen or (len(chosen) > 1 and len({PurePosixPath(path).stem for path in chosen}) > 1):
        raise SubmissionError(
            f"{empty.name} holds {len(files)} source files and no {exercise.id}.py or {exercise.id}.ipynb;"
            " if they are many students', unpack it and name the folder"
        )
    candidates = [
        _from_source(files[path], replace(empty, format=PurePosixPath(path).suffix[1:]), exercise)
        for path in chosen
    ]
    return _the_changed_one(candidates, empty, exercise)


def _is_release(submission: Submission, exercise: Exercise) -> bool:
    """The file as it was handed out; a notebook may have been run, which changes no code."""
    released = exercise.release / f"{exercise.id}.{submission.format}"
    if submission.problem is not None or not released.is_file():
        return False
    return _read_one(released.parent, Path(released.name), "", exercise).text == submission.text


def _read(root: Path, relative: Path, limit: int) -> bytes:
    """At most `limit` bytes of a regular file beneath `root`, no symbolic link followed on the way."""
    name = printable(relative.as_posix(), NAME_LENGTH)
    try:
        with os.fdopen(_open_beneath(root, relative), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SubmissionError(
                    f"{name} is no regular file; hand in the file itself, not a link or a device"
                )
            if status.st_size > limit:
                raise SubmissionError(f"{name} has {status.st_size} bytes, expected at most {limit}")
            return file.read(limit + 1)
    except OSError as error:
        reason = error.strerror
        if error.errno == errno.ELOOP:  # what O_NOFOLLOW says
            reason = "it is a symbolic link, which is not followed; hand in the file itself"
        raise SubmissionError(f"{name} cannot be read as a regular file: {reason}") from None


def _open_beneath(root: Path, relative: Path) -> int:
    """Open component by component, so that no folder can be swapped for a link between check and use."""
    flags = (
        os.O_RDONLY
        | getattr(os, "O_NOFOLLOW", 0)
        | getattr(os, "O_NONBLOCK", 0)
        | getattr(os, "O_CLOEXEC", 0)
    )
    if os.open not in os.supports_dir_fd:  # Windows, where only practice is possible
        return os.open(root / relative, flags | getattr(os, "O_BINARY", 0))
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for step in relative.parts[:-1]:
            inner = os.open(step, flags | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(relative.name, flags, dir_fd=folder)
    finally:
        os.close(folder)


def _declared_id(file: Path) -> str | None:
    """The id of an exercise.toml that lies near a submission; anything unreadable there is ignored."""
    try:
        values = tomllib.loads(_read(file.parent, Path(file.name), MAX_BYTES).decode())
    except (SubmissionError, ValueError, RecursionError):
        return None
    name = values.get("id")
    return name if isinstance(name, str) else None


def _with_distinct_names(submissions: Iterable[Submission]) -> Iterator[Submission]:
    """Number names that became equal when made safe to show: results are kept by name."""
    taken: set[str] = set()
    for submission in submissions:
        name, number = submission.name, 2
        while name in taken:
            name, number = f"{submission.name} ({number})", number + 1
        taken.add(name)
        yield replace(submission, name=name)
