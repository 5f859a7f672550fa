"""A source notebook as students receive it: nbgrader's own generate_assignment, without its database."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any, Final

from dlgrade.errors import CourseError

CUTTING: Final = "dlgrade.classroom.cutting.CutSolutions"


def released(source: str, name: str) -> str:
    """The release notebook of a source notebook, byte for byte what `nbgrader generate_assignment` writes.

    Raises:
        CourseError: nbgrader is not installed, or refuses the notebook.
    """
    converter_class = _generate_assignment()
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "source", name, f"{name}.ipynb")
        file.parent.mkdir(parents=True)
        file.write_text(source, encoding="utf-8")
        config = Config({"SaveCells": {"enabled": False}})  # it writes into the database
        place = CourseDirectory(root=folder, assignment_id=name, config=config)
        converter = converter_class(coursedir=place, no_database=True, config=config, log=_quiet_log())
        converter.preprocessors = generate_preprocessors()
        try:
            converter.start()
        except NbGraderException as error:
            raise CourseError(f"nbgrader cannot release '{name}': {error}") from None
        return Path(folder, "release", name, f"{name}.ipynb").read_text(encoding="utf-8")


def generate_preprocessors() -> list[str]:
    """nbgrader's own steps of generate_assignment, but answers are cut by our rule."""
    steps = (step.__name__ for step in _generate_assignment().preprocessors.default())
    return [CUTTING if step == "ClearSolutions" else f"nbgrader.preprocessors.{step}" for step in steps]


def _generate_assignment() -> Any:
    try:
        from nbgrader.converters import GenerateAssignment
    except ImportError:
        raise CourseError(
            "nbgrader makes the students' notebooks and is not installed; pip install 'dlgrade[nbgrader]'"
        ) from None
    return GenerateAssignment


def _quiet_log() -> logging.Logger:
    log = logging.getLogger(__name__)
    log.setLevel(logging.ERROR)
    return log
