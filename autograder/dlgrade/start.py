"""Give a student their own copy of an exercise's files, and say what to do next."""

from pathlib import Path

from dlgrade import hints
from dlgrade.course import Course
from dlgrade.errors import UsageError

_LEFT_OUT = frozenset({"__pycache__", ".ipynb_checkpoints", ".pytest_cache", hints.FILE})


def start(course: Course, name: str, directory: Path, *, notebook: bool = False) -> str:
    """Copy an exercise into `directory`, as a notebook or as a .py file; files already there and equal stay.

    Returns:
        What to do next, for the terminal.

    Raises:
        UsageError: no such exercise, it was never built, or a file there differs; then nothing is written.
    """
    exercise = course.exercise(name)
    files = _released_files(exercise.release, unwanted=f"{name}.py" if notebook else f"{name}.ipynb")
    answer = f"{name}.ipynb" if notebook else f"{name}.py"
    if answer not in files:
        raise UsageError(f"{exercise.release / answer} not found; 'dlgrade build {name}' writes it")
    for relative, content in files.items():
        there = directory / relative
        if there.exists() and not (there.is_file() and there.read_bytes() == content):
            raise UsageError(
                f"{there} already exists and differs from the release; nothing was copied."
                f" Start in another folder: dlgrade start {name} DIR"
            )
    for relative, content in files.items():
        (directory / relative).parent.mkdir(parents=True, exist_ok=True)
        (directory / relative).write_bytes(content)
    return _next_step(directory / answer, first_part=exercise.parts[0].name)


def _released_files(release: Path, unwanted: str) -> dict[str, bytes]:
    relatives = sorted(file.relative_to(release) for file in release.rglob("*") if file.is_file())
    kept = (r for r in relatives if r.as_posix() != unwanted and not _LEFT_OUT.intersection(r.parts))
    return {relative.as_posix(): (release / relative).read_bytes() for relative in kept}


def _next_step(answer: Path, first_part: str) -> str:
    if answer.suffix == ".ipynb":
        work = f"Open {answer} in Jupyter, read README.md beside it, and start with {first_part}."
    else:
        work = f"Open {answer}, read README.md beside it, and start with {first_part}."
    return f"{work}\nThen: dlgrade check {answer}\nStuck: dlgrade hint {first_part} {answer}"
