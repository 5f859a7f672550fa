"""The `dlgrade` command: it parses, and hands over. What a command needs is imported when it runs."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, Final

import click

from dlgrade import __version__
from dlgrade.classroom.commands import course as course_group
from dlgrade.datasets.commands import data
from dlgrade.errors import DlgradeError

INTERRUPTED: Final = 130
TERMINATED: Final = 143
FAULT: Final = 3

TIERS = click.Choice(["quick", "cpu", "gpu", "auto"])
CPU_TIERS = click.Choice(["quick", "cpu"])
FORMATS = click.Choice(["text", "json"])
REPORT_FORMATS = click.Choice(["text", "json", "junit", "github"])
CHECK_FORMATS = click.Choice(["text", "json", "junit", "github", "html"])
EXPORTS = click.Choice(["csv", "canvas", "gradescope", "gradescope-results"])
MODES = click.Choice(["full", "core", "none"])
FOLDER = click.Path(path_type=Path)


class _InOrder(click.Group):
    """Lists commands in the order in which people meet them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


_course_option = click.option("--course", type=FOLDER, help="The course folder. [default: the nearest]")
_exercise_option = click.option("--exercise", help="What PATH answers. [default: as its place or name says]")
_format_option = click.option(
    "--format", type=FORMATS, default="text", show_default=True, help="Of the results."
)
_report_format_option = click.option(
    "--format", type=REPORT_FORMATS, default="text", show_default=True, help="Of the results."
)
_check_format_option = click.option(
    "--format", type=CHECK_FORMATS, default="text", show_default=True, help="Of the results."
)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dlgrade")
def dlgrade() -> None:
    """Auto-graded deep learning exercises."""


@dlgrade.command("list")
@_course_option
def list_(course: Path | None) -> None:
    """Show the exercises of the course."""
    from dlgrade.course import find_course
    from dlgrade.listing import listing

    click.echo(listing(find_course(course)))


@dlgrade.command()
@click.argument("exercise")
@click.argument("directory", type=FOLDER, required=False, metavar="[DIR]")
@click.option("--notebook", is_flag=True, help="Work in a notebook instead of a .py file.")
@_course_option
def start(exercise: str, directory: Path | None, notebook: bool, course: Path | None) -> None:
    """Copy EXERCISE into DIR, by default a folder of its name."""
    from dlgrade.course import find_course
    from dlgrade.start import start as copy

    click.echo(copy(find_course(course), exercise, directory or Path(exercise), notebook=notebook))


@dlgrade.command()
@click.argument("part", required=False)
@click.argument("path", type=FOLDER, default=".")
@_exercise_option
@_course_option
def hint(**options: Any) -> int:
    """Show the next hint for PART, by default the first that is not done; PATH is your answer."""
    from dlgrade import hinting

    return hinting.hint(hinting.HintOptions(**options))


@dlgrade.command()
@click.argument("path", type=FOLDER, default=".")
@_exercise_option
@click.option("--part", help="Run the checks of this part only.")
@click.option("--tier", type=TIERS, default="quick", show_default=True, help="How much to run.")
@_check_format_option
@click.option(
    "--seed", type=click.IntRange(min=0), help="For staff of inputs and training, for students of training."
)
@_course_option
@click.option("--isolation", type=MODES, help="How your code is confined. [default: the strongest possible]")
@click.option("--watch", is_flag=True, help="Stay, and check again what each save touches.")
@click.option(
    "--spawn", is_flag=True, hidden=True, help="Start each process anew, as systems without fork must."
)
@click.option("--debug", is_flag=True, help="Run in one process without score, so that breakpoint() works.")
def check(**options: Any) -> int:
    """Check your answer at PATH: a .py file, a notebook or its folder."""
    from dlgrade import checking, spawned

    if options.pop("spawn"):
        os.environ[spawned.SWITCH] = "1"
    return checking.check(checking.CheckOptions(**options))


@dlgrade.command()
@click.argument("exercise")
@click.argument("submissions", type=FOLDER)
@click.option("--out", type=FOLDER, help="A folder for results; one with results is continued.")
@click.option("--jobs", type=click.IntRange(min=1), help="Submissions at a time. [default: what fits]")
@click.option("--scheduler", metavar="ADDRESS", help="Grade on the Dask cluster there, or in its .json file.")
@click.option("--tier", type=TIERS, help="How much to run. [default: the exercise's]")
@_report_format_option
@click.option("--seed", type=click.IntRange(min=0), help="Of inputs and training. [default: a new secret]")
@_course_option
@click.option("--regrade", is_flag=True, help="Run again what has changed since, and note whose score did.")
@click.option("--only", multiple=True, metavar="CHECK", help="With --regrade: run this check again anyway.")
@click.option("--isolation", type=MODES, help="How code is confined. [default: the strongest, at least core]")
@click.option("--one-student", is_flag=True, help="SUBMISSIONS is one student's, whatever lies in it.")
@click.option("--gradebook", metavar="URL", help="Of nbgrader's database, such as sqlite:///gradebook.db.")
def grade(**options: Any) -> int:
    """Grade all SUBMISSIONS of EXERCISE: a file, a folder, or a folder for each student."""
    from dlgrade import batch

    return batch.grade(batch.GradeOptions(**options))


@dlgrade.command()
@click.argument("directory", type=FOLDER, metavar="DIR")
@click.option("--output", "-o", type=FOLDER, help="The page. [default: DIR/report.html]")
def report(directory: Path, output: Path | None) -> None:
    """Write a page on the cohort in DIR, which 'grade --out' filled."""
    from dlgrade.cohort_page import write_report

    click.echo(write_report(directory, output))


@dlgrade.command()
@click.argument("directory", type=FOLDER, metavar="DIR")
@click.option("--void", multiple=True, metavar="CHECK", help="Take this check back: it counts in full.")
@click.option("--restore", multiple=True, metavar="CHECK", help="Let it count again as it was graded.")
@click.option("--gradebook", metavar="URL", help="Of nbgrader's database, to write the new points into.")
@_course_option
def rescore(**options: Any) -> int:
    """Score everyone in DIR again, without a check that turned out to be wrong; nothing is graded again."""
    from dlgrade import rescoring

    return rescoring.rescore(rescoring.RescoreOptions(**options))


@dlgrade.command()
@click.argument("source", type=FOLDER)
@click.option("--to", type=EXPORTS, default="csv", show_default=True, help="What for.")
@click.option("--output", "-o", type=FOLDER, help="Where a bundle is written.")
@_course_option
def export(source: Path, to: str, output: Path | None, course: Path | None) -> None:
    """Print the grades in SOURCE, which 'grade --out' filled; for gradescope bundle the exercise SOURCE."""
    from dlgrade import exports
    from dlgrade.course import find_course

    click.echo(
        exports.export(source, to, find_course(course) if to == "gradescope" else None, output), nl=False
    )


@dlgrade.command()
@click.argument("exercises", nargs=-1, metavar="[EXERCISE]...")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 if a file would change.")
@_course_option
def build(exercises: tuple[str, ...], only_check: bool, course: Path | None) -> int:
    """Write the students' files and the full answers of the course."""
    from dlgrade.authoring import rebuild
    from dlgrade.course import find_course

    return rebuild(find_course(course), exercises, only_check=only_check)


@dlgrade.command()
@click.argument("exercises", nargs=-1, metavar="[EXERCISE]...")
@click.option("--tier", type=CPU_TIERS, default="quick", show_default=True, help="How much to run.")
@_format_option
@_course_option
def verify(exercises: tuple[str, ...], tier: str, format: str, course: Path | None) -> int:
    """Prove the checks of EXERCISE: answers pass, stubs score 0, every mistake is caught and named."""
    from dlgrade.authoring import prove
    from dlgrade.course import find_course

    return prove(find_course(course), exercises, tier=tier, format=format)


@dlgrade.command()
@click.argument("exercise", required=False)
@click.option("--tier", type=TIERS, default="cpu", show_default=True, help="How much to run.")
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), help="Where to train. [default: as the tier says]"
)
@click.option(
    "--seeds", type=click.IntRange(min=2), default=12, show_default=True, help="Of the full answer."
)
@click.option(
    "--near-miss-seeds", type=click.IntRange(min=0), default=3, show_default=True, help="Of each near miss."
)
@click.option(
    "--variant-seeds", type=click.IntRange(min=0), default=5, show_default=True, help="Of each variant."
)
@click.option("--stand-in", is_flag=True, help="Measure on the generated stand-in, whatever is imported.")
@click.option("--jobs", type=click.IntRange(min=1), help="Trainings at a time. [default: what fits]")
@click.option("--only", multiple=True, metavar="CHECK", help="Measure this accuracy check only.")
@click.option("--fresh", is_flag=True, help="Forget the runs of a calibration that was broken off.")
@click.option("--table", type=FOLDER, metavar="FILE", help="Write all thresholds into the table in FILE.")
@_course_option
def calibrate(**options: Any) -> int:
    """Measure what the full answer of EXERCISE reaches, and set its thresholds by it."""
    from dlgrade import calibrating

    return calibrating.calibrate(calibrating.CalibrateOptions(**options))


dlgrade.add_command(course_group)
dlgrade.add_command(data)


def main() -> None:
    """Run the command; whatever goes wrong is a sentence on stderr and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIO here
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # contexts end what they started
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        return dlgrade.main(arguments, prog_name="dlgrade", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _told("interrupted", INTERRUPTED)
    except DlgradeError as error:
        return _told(str(error), error.exit_code)
    except Exception as error:
        return _told(_logged(error), FAULT)


def _told(sentence: str, code: int) -> int:
    print(f"dlgrade: {sentence}", file=sys.stderr)
    return code


def _logged(error: Exception) -> str:
    """A sentence on an error nobody foresaw; its traceback goes into a file."""
    handle, file = tempfile.mkstemp(prefix="dlgrade-fault-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as log:
        log.write("".join(traceback.format_exception(error)))
    return f"unexpected {type(error).__name__}, our own fault; the traceback is in {file}"
