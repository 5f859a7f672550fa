"""Everything that can go wrong outside a student's answer, as one tree.

    DlgradeError                 one clear sentence for a person; never a traceback
    ├── UsageError               exit 2: the command, a path or an exercise name is wrong
    │   ├── CourseError          an exercise or a course folder is not as it must be
    │   ├── SubmissionError      a submission cannot be read at all
    │   └── DatasetError         a data set is missing, damaged or not what it says
    └── GraderFault              exit 3: our fault, or isolation refused; nothing was scored

What goes wrong *inside* a student's answer is a verdict, not one of these: see `outcome.py`.
"""


class DlgradeError(Exception):
    """A sentence that names the thing, its value, what was expected and the next step."""

    exit_code = 3


class UsageError(DlgradeError):
    """The command line, a path or a name is wrong."""

    exit_code = 2


class CourseError(UsageError):
    """An exercise or course folder is incomplete or contradicts itself."""


class SubmissionError(UsageError):
    """A submission cannot be read: no such file, binary, too large, not a notebook."""


class DatasetError(UsageError):
    """A data set is missing, damaged, or not what it says."""


class GraderFault(DlgradeError):
    """The grader itself failed or refused to run; no score was given."""

    exit_code = 3
