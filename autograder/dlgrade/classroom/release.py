"""A source notebook as students receive it: through nbgrader's own generate_assignment, without a database."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Final

from dlgrade.errors import CourseError

CUTTING: Final = "dlgrade.classroom.cutting.CutSolutions"


def released(source: str, name: str) -> str:
    """The release notebook of a source notebook, byte for byte what `nbgrader generate_assignment` writes.

    Raises:
        CourseError: nbgrader is not installed, or refuses the notebook.
    """
    try:
        from nbgrader.converters import GenerateAssignment
        from nbgrader.converters.base import NbGraderException
        from nbgrader.coursedir import CourseDirectory
        from traitlets.config import Config
    except ImportError:
        raise CourseError(
            "nbgrader writes the students' notebooks and is not installed; pip install 'dlgrade[nbgrader]'"
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "source", name, f"{name}.ipynb")
        file.parent.mkdir(parents=True)
        file.write_text(source, encoding="utf-8")
        config = Config({"SaveCells": {"enabled": False}})
        course = CourseDirectory(root=folder, assignment_id=name, config=config)
        log = logging.getLogger(__name__)
        log.setLevel(logging.ERROR)
        converter = GenerateAssignment(coursedir=course, no_database=True, config=config, log=log)
        converter.preprocessors = generate_preprocessors()
        try:
            converter.start()
        except NbGraderException as error:
            raise CourseError(f"nbgrader cannot release '{name}': {error}") from None
        return Path(folder, "release", name, f"{name}.ipynb").read_text(encoding="utf-8")


def generate_preprocessors() -> list[str]:
    """nbgrader's own steps of generate_assignment, the solutions cut by our rule."""
    from nbgrader.converters import GenerateAssignment

    steps = GenerateAssignment.preprocessors.default()
    return [CUTTING if step.__name__ == "ClearSolutions" else f"nbgrader.preprocessors.{step.__name__}" for step in steps]
