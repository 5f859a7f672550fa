"""`dlgrade course init DIR [EXERCISE]...`"""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path)


@click.group()
def course() -> None:
    """Run a course with nbgrader."""


@course.command()
@click.argument("directory", type=FOLDER, metavar="DIR")
@click.argument("exercises", nargs=-1, metavar="[EXERCISE]...")
@click.option("--course", "staff", type=FOLDER, help="The staff's course folder. [default: the nearest]")
def init(directory: Path, exercises: tuple[str, ...], staff: Path | None) -> None:
    """Make DIR an nbgrader course with EXERCISE, by default all of them, as assignments."""
    from dlgrade.classroom import course_folder
    from dlgrade.course import find_course

    click.echo(course_folder.init(directory, find_course(staff), exercises))
