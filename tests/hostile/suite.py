"""Grades all attacks, controls among them, in one run, and keeps what they left behind."""

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dlgrade import probing, sandbox
from dlgrade.course import Course
from dlgrade.engine import Run, RunPlan, Zygote
from dlgrade.report import Report
from dlgrade.runsettings import RunSettings
from dlgrade.submission import Submission, find_submissions
from tests.hostile import attack_files, hostile_course
from tests.hostile.attack_files import Attack

SEED = 20_406
CONTROL_EVERY = 12
KEY = f"{0x646C} "  # of the attacks' System V objects
WRONG = {  # of each part, what a student without any mechanism might hand in instead
    "double": """
def double(x):
    return 1.5 * x
""",
    "Affine": """
class Affine(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, x):
        return x.new_zeros(len(x), self.width)
""",
    "descend": """
def descend(model, batches, optimizer):
    pass
""",
    "Classifier": """
class Classifier(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, x):
        return self.bias.expand(len(x), -1)
""",
}


@dataclass
class Places:
    """What attackers are after: a course with secrets, another student's work, a file anybody may write."""

    root: Path
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    def __post_init__(self) -> None:
        self.course: Course = hostile_course.make(self.root / "course", self.token)
        self.answer = hostile_course.answer(self.course)
        self.bait = self.root / "bait"
        self.bait.mkdir()
        self.bait.chmod(0o777)
        for name in ("secret", "other.py"):
            (self.bait / name).write_text(self.token)
            (self.bait / name).chmod(0o666)

    @property
    def texts(self) -> dict[str, str]:
        return {
            "@COURSE@": str(self.course.root),
            "@BAIT@": str(self.bait / "secret"),
            "@OTHER@": str(self.bait / "other.py"),
            "@ANSWER@": self.answer,
        }

    def digest(self) -> str:
        """Changes when any file of the course or of the bait does."""
        found = hashlib.sha256()
        for path in sorted([*self.course.root.rglob("*"), *self.bait.rglob("*")]):
            status = path.lstat()
            found.update(f"{path} {status.st_mode} {status.st_size} {status.st_mtime_ns}".encode())
            if path.is_file():
                found.update(path.read_bytes())
        return found.hexdigest()


@dataclass
class Outcome:
    """Everything a suite's run showed."""

    reports: dict[str, Report]
    touched: bool
    left: list[str]
    longest: float


def submissions(places: Places, attacks: list[Attack]) -> list[Submission]:
    """The attacks as files read by the real intake, honest and broken answers between them."""
    exercise, folder = places.course.exercise("target"), places.root / "submitted"
    for attack in attacks:
        _put(folder / attack.id / f"target{attack.suffix}", attack.data)
        if attack.without is not None:
            _put(folder / attack.counterpart / "target.py", attack.without)
    for number in range(0, len(attacks) + 1, CONTROL_EVERY):
        _put(folder / f"honest-{number}" / "target.py", places.answer.encode())
        _put(folder / f"broken-{number}" / "target.py", f"{places.answer}\n\n{WRONG['double']}".encode())
    for part, text in WRONG.items():
        _put(folder / f"without-{part}" / "target.py", f"{places.answer}\n\nimport torch\n\n{text}".encode())
    found = {submission.name.split("/")[0]: submission for submission in find_submissions(folder, exercise)}
    controls = iter([found[name] for name in found if name.startswith(("honest", "broken"))])
    ordered = [found[name] for name in found if name.startswith("without")]
    for number, attack in enumerate(attacks):
        ordered += [next(controls), next(controls)] if number % CONTROL_EVERY == 0 else []
        ordered.append(found[attack.id])
    return [*ordered, *controls]


def _put(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def grade(places: Places, attacks: list[Attack], *, mode: str, tier: str, jobs: int = 2) -> Outcome:
    """Grade them all in one run and look at what is left before it ends."""
    handed_in = submissions(places, attacks)
    untouched = places.digest()
    shared = _shared_memory()
    reports: dict[str, Report] = {}
    with Zygote(["torch"]) as zygote, _no_data(places.root):
        plan = RunPlan(places.course.exercise("target"), RunSettings(tier, SEED, mode=mode), hidden=True)
        with Run(zygote, plan) as run:
            for report in run.grade(handed_in, jobs=jobs):
                reports[report.submission.split("/")[0]] = report
            left = [*_processes(zygote, at_rest(mode)), *_shared_memory().difference(shared)]
            left += litter(run._folder.path)
        left += _processes(zygote, 0)
    longest = max(report.seconds for report in reports.values())
    return Outcome(reports, places.digest() != untouched, left, longest)


@contextmanager
def _no_data(root: Path) -> Iterator[None]:
    """No imported data set: the generated stand-in is the same everywhere."""
    before = os.environ.get("DLGRADE_DATA")
    os.environ["DLGRADE_DATA"] = str(root / "no-data")
    try:
        yield
    finally:
        if before is None:
            del os.environ["DLGRADE_DATA"]
        else:
            os.environ["DLGRADE_DATA"] = before


def at_rest(mode: str) -> int:
    """Processes of a run that grades nothing: the checker, its fork for the next one, that one's worker."""
    watched = mode == "full" and os.geteuid() != 0  # an ordinary user's worker has a process that watches it
    return 2 + int(sandbox.may_wait(mode)) + watched


def litter(folder: Path) -> list[str]:
    """What lies in a run's scratch folders. One may wait, empty, with a folder for the worker that waits."""
    folders = sorted(folder.glob("scratch-*"))
    inside = [path for folder in folders for path in folder.rglob("*") if path != folder / "first"]
    return [str(path) for path in (*inside, *folders[1:])]


def _processes(zygote: Zygote, expected: int, patience: float = 15.0) -> list[str]:
    """All processes below the zygote where they do not become as few as expected."""
    deadline = time.monotonic() + patience
    while len(below := _descendants(zygote._process.pid)) > expected:
        if time.monotonic() > deadline:
            return [f"process {pid}: {_state(pid)}" for pid in below]
        time.sleep(0.05)
    return []


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(further for child in children for further in _descendants(child))]


def _state(pid: int) -> str:
    """Name, state and parent of a process."""
    try:
        return " ".join(Path(f"/proc/{pid}/stat").read_text().split()[1:4])
    except OSError:
        return "gone"


def _shared_memory() -> set[str]:
    """Names of POSIX and System V shared memory, semaphores and queues of the kinds that the attacks make."""
    posix = {
        path.name for path in Path("/dev/shm").iterdir() if path.name.startswith(("hostile", "psm_", "sem."))
    }
    kinds = ("shm", "sem", "msg")
    system_v = {line for kind in kinds for line in _lines(f"/proc/sysvipc/{kind}") if line.startswith(KEY)}
    return posix | system_v


def _lines(path: str) -> list[str]:
    return [" ".join(line.split()[:2]) for line in Path(path).read_text().splitlines()[1:]]


def strongest() -> str:
    """The mode that the suite runs in by default."""
    return probing.strongest("core")


def all_attacks(places: Places, tier: str) -> list[Attack]:
    """The attacks of one tier."""
    loaded = [attack_files.load(name, places.texts) for name in attack_files.names()]
    return [attack for attack in loaded if attack.tier == tier]
