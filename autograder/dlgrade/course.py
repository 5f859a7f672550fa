"""Find the course folder and the exercises in it."""

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from dlgrade.declaration import load_public, load_staff
from dlgrade.errors import UsageError
from dlgrade.exercise import Exercise

ENVIRONMENT = "DLGRADE_COURSE"
_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Course:
    """A folder with `assignments/`, and for staff `solutions/` and `reference/`."""

    root: Path

    @property
    def staff(self) -> bool:
        return (self.root / "solutions").is_dir()

    def exercises(self) -> tuple[str, ...]:
        """Names of all exercises, sorted."""
        return tuple(sorted({file.parent.name for file in _declarations(self.root)}))

    def exercise(self, name: str) -> Exercise:
        """Load one exercise, from the staff's declaration where there is one.

        Raises:
            UsageError: no such exercise.
            CourseError: its exercise.toml is wrong.
        """
        names = self.exercises()
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else "."
            raise UsageError(f"exercise '{name}' not found{hint} 'dlgrade list' shows all.")
        if (self.root / "solutions" / name / "exercise.toml").is_file():
            return load_staff(self.root, name)
        return load_public(self.root, name)


def find_course(explicit: Path | None, start: Path | None = None) -> Course:
    """The course to work in: what the user named, else the nearest, else the one that came with dlgrade.

    Args:
        explicit: the value of --course.
        start: where to look upwards from, by default the working directory. Never a folder that a
            submission can fill: a course holds checks, and checks are code that the grader runs.

    Raises:
        UsageError: a folder was named and is no course, or there is none at all.
    """
    if explicit is not None:
        return _named(explicit, "--course")
    if value := os.environ.get(ENVIRONMENT):
        return _named(Path(value), ENVIRONMENT)
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "assignments").is_dir() and _declarations(folder):
            return Course(folder)
    for folder in (_PACKAGE.parent.parent, _PACKAGE):
        if _declarations(folder):
            return Course(folder)
    raise UsageError(f"no course found from {here} upwards; name its folder with --course or {ENVIRONMENT}")


def _named(folder: Path, by: str) -> Course:
    if not any((folder / name).is_dir() for name in ("assignments", "solutions")):
        state = "has no assignments/ or solutions/ in it" if folder.is_dir() else "is not a folder"
        raise UsageError(
            f"{by} '{folder}' {state}; expected a course folder ('dlgrade course init' makes one)"
        )
    return Course(folder.resolve())


def _declarations(root: Path) -> list[Path]:
    found = [root.glob(f"{kind}/*/exercise.toml") for kind in ("assignments", "solutions")]
    return [file for files in found for file in files]
