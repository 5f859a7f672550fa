"""Where each student's files are in what was collected: folders, trees, or files side by side.

Only names are looked at here, nothing is opened, and no symbolic link is followed. Whoever cannot be graded
is still in the list, with a reason: a student who is silently left out gets no score and never hears why.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dlgrade.archives import SOURCES, SUFFIXES
from dlgrade.display import printable
from dlgrade.errors import UsageError

FORMATS: Final = (*SOURCES, *SUFFIXES)
NAME_LENGTH: Final = 120
MOST_LEVELS: Final = 3  # of folders in a student's folder in which an answer is looked for
MOST_FOLDERS: Final = 200
_SKIPPED: Final = frozenset({"__pycache__", "checks", "__MACOSX"})

# What Canvas and Moodle make of names in a download of all submissions: student, number, then their own name.
_CANVAS: Final = re.compile(r"(?P<who>[^/]+?)(_LATE)?_(?P<number>\d+)_\d+_(?P<file>.+)")
_MOODLE: Final = re.compile(r"(?P<who>.+?)_(?P<number>\d+)_assignsubmission_[a-z]+_?(?P<file>.*)")


@dataclass(frozen=True)
class Place:
    """Where one submission lies.

    Attributes:
        folder: relative to what was searched.
        student: whose it is, as far as names tell.
        files: names in the folder that may be the answer, in several formats; none where there is a problem.
        problem: one sentence why there is nothing to read.
    """

    folder: Path
    student: str
    files: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Collected:
    """The places of all submissions, sorted, and what lies among them and belongs to none."""

    places: Sequence[Place]
    left_out: Sequence[str] = ()


def collected(root: Path, exercise: str, *, flat: bool = False, one: bool = False) -> Collected:
    """The submissions of an exercise below `root`.

    Args:
        flat: files side by side that are not called as the exercise are several students', if these are more
            than the folders with an answer.
        one: everything is one student's.

    Raises:
        UsageError: the folder cannot be listed, or is one student's and many students' at once.
    """
    try:
        os.scandir(root).close()
    except OSError as error:
        raise UsageError(f"'{printable(str(root), 200)}' cannot be listed: {error.strerror}") from None
    named, loose = files_in(root, exercise), files_in(root, links=flat)
    students = [] if one else _students(root, exercise)
    answers = [place for place in students if place.files]
    if named and flat and len(answers) > 1:
        raise UsageError(
            f"'{printable(str(root), 200)}' holds {named[0]} and also students' folders"
            f" ('{answers[0].student}', '{answers[1].student}'); move {named[0]} away, or name it to grade it"
        )
    by_owner = {} if named or one else _by_owner(loose, exercise)
    if flat and len(by_owner) > max(1, len(answers)):
        places = [Place(Path(), owner, tuple(files)) for owner, files in sorted(by_owner.items())]
        return Collected(places, [place.folder.as_posix() for place in answers])
    if answers and not named:
        return Collected(sorted(students, key=_by_folder), loose)
    own = _own(root, Path(), owner_of(root, exercise), exercise)
    return Collected([own] if own.files or one else [])


def owner_of(folder: Path, exercise: str) -> str:
    """The student whose folder this is: its name, or in nbgrader's student/exercise tree the one above."""
    name = folder.parent.name if folder.name == exercise else folder.name
    found = _MOODLE.fullmatch(name)
    return printable(f"{found['who']}_{found['number']}" if found else name, NAME_LENGTH)


def canvas_student(file: str) -> tuple[str, str] | None:
    """The student's name and number in Canvas, from a file as its download calls it."""
    found = _CANVAS.fullmatch(file)
    return (found["who"], found["number"]) if found else None


def files_in(folder: Path, stem: str | None = None, *, links: bool = True) -> list[str]:
    """Names of notebooks, Python files and archives in a folder; with a stem those called so.

    Upper and lower case count as one. Pipes count with a stem only, links where they are asked for: reading
    them says what is wrong.
    """
    found = []
    for entry in _entries(folder):
        suffix = _suffix(entry.name)
        if not suffix:
            continue
        if stem is not None:
            wanted = entry.name[: -len(suffix)].casefold() == stem.casefold()
        else:
            wanted = entry.is_file(follow_symlinks=False) or (links and _is_file_link(entry))
        if wanted:
            found.append(entry.name)
    return found


def _students(root: Path, exercise: str) -> list[Place]:
    """A place for each folder, also for one without an answer."""
    places = []
    for entry in _entries(root):
        if entry.name in _SKIPPED:
            continue
        student = owner_of(Path(entry.name), "")
        if entry.is_dir(follow_symlinks=False):
            inner = Path(entry.name)
            if exercise in _folders(root / inner):  # nbgrader's have one for each exercise
                inner /= exercise
            places.append(_own(root, inner, student, exercise))
        elif entry.is_symlink() and not entry.is_file():  # to a folder, or to nothing
            problem = f"'{student}' is a symbolic link, which is not followed; put the folder itself there"
            places.append(Place(Path(entry.name), student, problem=problem))
    return places


def _own(root: Path, folder: Path, student: str, exercise: str) -> Place:
    """One student's folder: the answer in it, or in the nearest folder below that has one."""
    shown = printable(folder.as_posix(), NAME_LENGTH)
    named, every = files_in(root / folder, exercise), files_in(root / folder, links=False)
    if named or every:
        return Place(folder, student, tuple(named or every))
    for stem in (exercise, None):
        for level in _levels(root, folder):
            found = {inner: names for inner in level if (names := files_in(root / inner, stem, links=False))}
            if len(found) == 1:
                [(inner, names)] = found.items()
                return Place(inner, student, tuple(names))
            if found:
                both = " and ".join(printable(inner.as_posix(), NAME_LENGTH) for inner in sorted(found)[:2])
                return Place(folder, student, problem=f"{both} both hold an answer; keep one of them")
    if (refused := _refused(root / folder)) is not None:
        return Place(folder, student, problem=f"'{shown}' cannot be listed: {refused}")
    holds = _contents(root / folder)
    return Place(folder, student, problem=f"no {exercise}.py or {exercise}.ipynb in '{shown}', {holds}")


def _contents(folder: Path) -> str:
    """What a folder without an answer has instead, so that nobody needs to look."""
    names = [printable(entry.name, 60) for entry in _entries(folder) if entry.name not in _SKIPPED]
    if not names:
        return "which is empty"
    return f"which holds {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _levels(root: Path, folder: Path) -> Iterator[list[Path]]:
    """The folders below one, level by level, as deep and as many as an honest answer has."""
    level, seen = [folder], 0
    for _ in range(MOST_LEVELS):
        level = [inner / name for inner in level for name in _folders(root / inner)]
        seen += len(level)
        if not level or seen > MOST_FOLDERS:
            return
        yield level


def _by_owner(files: Sequence[str], exercise: str) -> dict[str, list[str]]:
    """Files side by side, by the student in their name; of one student's those called as the exercise."""
    own_names: dict[str, list[tuple[str, str]]] = {}
    for file in files:
        owner, own = _told_by_name(file, exercise)
        own_names.setdefault(owner, []).append((file, own))
    return {
        owner: [file for file, own in pairs if _is_called(own, exercise)] or [file for file, _ in pairs]
        for owner, pairs in own_names.items()
    }


def _told_by_name(file: str, exercise: str) -> tuple[str, str]:
    """The student, and the name that the file had before it was collected."""
    if found := _MOODLE.fullmatch(file) or _CANVAS.fullmatch(file):
        return printable(f"{found['who']}_{found['number']}", NAME_LENGTH), found["file"]
    stem = file[: -len(_suffix(file))]
    apart = rf"{re.escape(exercise)}[-_. ]+|[-_. ]+{re.escape(exercise)}"
    student = re.sub(rf"^(?:{apart})|(?:{apart})$", "", stem, flags=re.IGNORECASE)
    return printable(student or stem, NAME_LENGTH), file


def _is_called(file: str, exercise: str) -> bool:
    """Whether a file has the exercise's name, or that with the number of a repeated upload."""
    stem = file[: -len(_suffix(file))] if _suffix(file) else file
    return re.fullmatch(rf"{re.escape(exercise)}(-\d+| \(\d+\))?", stem, re.IGNORECASE) is not None


def _by_folder(place: Place) -> str:
    return place.folder.as_posix()


def _suffix(name: str) -> str:
    return next((suffix for suffix in FORMATS if name.lower().endswith(suffix)), "")


def _is_file_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not entry.is_dir()


def _folders(folder: Path) -> list[str]:
    return [e.name for e in _entries(folder) if e.is_dir(follow_symlinks=False) and e.name not in _SKIPPED]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name, hidden entries apart; nothing where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except OSError:
        return []


def _refused(folder: Path) -> str | None:
    try:
        os.scandir(folder).close()
    except OSError as error:
        return error.strerror
    return None
