"""What the trusted side knows of right and wrong answers, and how the forks of one run share it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dlgrade import diagnosis, drawn, formula, oracle, remembered
from dlgrade.checks import Check
from dlgrade.diagnosis import Suspect
from dlgrade.drawn import Draws
from dlgrade.errors import GraderFault
from dlgrade.exercise import Exercise, Mistake, load_mistakes
from dlgrade.observation import Seen
from dlgrade.oracle import Oracle, ReplayPeer
from dlgrade.outcome import PASSED
from dlgrade.peer import LocalPeer
from dlgrade.remembered import Remembered, RememberingPeer
from dlgrade.runsettings import PUBLISHED_SEED
from dlgrade.submitted import local_answer

GATHERED: Final = (".draws", ".replies", ".json")  # other names are those of drafts
MOST_BYTES: Final = 64 << 20  # of a file that is read


class Knowledge:
    """What the trusted side knows of right and wrong answers: live for staff, recorded for students."""

    def __init__(self, exercise: Exercise, seed: int, folder: Path | None = None) -> None:
        """`folder` is where forks of one run leave what they have learned, for those that come later."""
        self.seed = seed
        self._folder = folder
        self._layouts = exercise.layouts
        self._fingerprints: Mapping[str, Any] = {}
        self._answer = _full_answer(exercise)
        self._mistakes: tuple[Mistake, ...] = ()
        if self._answer is not None:
            self._mistakes = load_mistakes(exercise)
        else:
            self._fingerprints = _recorded(exercise)
        self._cache: dict[str, tuple[Seen, list[Suspect]]] = {}
        self._replies: dict[str, list[Remembered]] = {}
        self._draws = Draws()
        self._asked: dict[str, tuple[RememberingPeer, Oracle]] = {}
        self._gathered: dict[str, int] = {}  # a file's inode, by its name

    @property
    def live(self) -> bool:
        return self._answer is not None

    def oracle(self, check: Check) -> Oracle:
        """The right answer as this check may ask for it."""
        if self._answer is None:
            record = self._fingerprints.get(check.id, {}).get("record", [])
            return Oracle(ReplayPeer(record), seed=PUBLISHED_SEED, check=check.id)
        answer = self._answer
        peer = RememberingPeer(lambda: oracle.reference(answer), self._remembered(check))
        asked = Oracle(peer, seed=self.seed, check=check.id, draws=self._draws)
        self._asked[check.id] = peer, asked
        return asked

    def _remembered(self, check: Check) -> list[Remembered]:
        """What the reference was asked when an answer passed this check, in this fork or an earlier one."""
        if check.id not in self._replies:
            self._take_in(check.id, ".replies")
        return self._replies.get(check.id, [])

    def remember(self, check: Check) -> None:
        """An answer went the whole way through this check: what it asked for will be asked again."""
        peer, asked = self._asked.pop(check.id, (None, None))
        if peer is None or asked is None or peer.replies == self._replies.get(check.id):
            return
        self._replies[check.id] = peer.replies
        self._leave(check, ".draws", lambda: drawn.to_bytes(asked.drawn))
        self._leave(check, ".replies", lambda: remembered.to_bytes(peer.replies))

    def gather(self) -> bool:
        """Read what forks have left since the last time, for the forks to come; whether there was any."""
        new = {name: inode for name, inode in self._left().items() if self._gathered.get(name) != inode}
        for file in map(Path, new):
            self._take_in(file.stem, file.suffix)
        self._gathered |= new
        return bool(new)

    def _left(self) -> dict[str, int]:
        """Names of the files that forks have left, without drafts, and which file each one is now."""
        with suppress(OSError):  # then nothing could be left there either
            if self._folder is not None:
                files = os.scandir(self._folder)
                return {file.name: file.inode() for file in files if file.name.endswith(GATHERED)}
        return {}

    def _take_in(self, check: str, kind: str) -> None:
        """Read what was left of one check; what is not there or cannot be read is found out anew."""
        with suppress(Exception):  # whatever a file holds, no submission and no run may end by it
            file = Path(self._folder or os.devnull, check + kind)
            if file.stat().st_size > MOST_BYTES:
                return
            data = file.read_bytes()
            if kind == ".replies":
                self._replies[check] = remembered.from_bytes(data)
            elif kind == ".draws":
                self._draws.hold(check, drawn.from_bytes(data))
            else:
                self._cache[check] = _known_endings(json.loads(data))

    def _leave(self, check: Check, kind: str, data: Callable[[], bytes]) -> None:
        """Write a file that another fork may read at any moment."""
        if self._folder is None:
            return
        draft = self._folder / f"{check.id}.{os.getpid()}"
        try:
            draft.write_bytes(data())
            draft.rename(self._folder / (check.id + kind))
        except Exception:  # no space, or what cannot be written down: the next one finds it out anew
            with suppress(OSError):
                draft.unlink()

    def forget(self, check: Check) -> None:
        """Drop the reference that a check talked to, and all that it holds; the check has ended."""
        self._asked.pop(check.id, None)

    def diagnose(self, check: Check, function: Callable[..., Any], seen: Seen) -> Suspect | None:
        """The known mistake that this run of a check looks like."""
        if check.data is not None:  # what a training leads to is no fingerprint
            return None
        if check.id not in self._cache:
            self._take_in(check.id, ".json")
        if check.id not in self._cache:
            self._cache[check.id] = self._suspects(check, function)
        reference, suspects = self._cache[check.id]
        return diagnosis.diagnose(seen, reference, suspects)

    def _suspects(self, check: Check, function: Callable[..., Any]) -> tuple[Seen, list[Suspect]]:
        if self._answer is None:
            return _known_endings(self._fingerprints.get(check.id) or {})
        learned = self._learn(check, function)
        # what this fork's limits kept the reference from is not for the next one to believe
        if learned["reference"]["ending"] == PASSED:
            self._leave(check, ".json", lambda: json.dumps(learned).encode())
        return _known_endings(learned)

    def _learn(self, check: Check, function: Callable[..., Any]) -> Mapping[str, Any]:
        """Run the check on the reference and on every mistake it may meet."""
        assert self._answer is not None  # _suspects
        mistakes = [m for m in self._mistakes if m.part == check.part or m.caught_by == check.id]
        right = self.watch(check, function, self._answer)
        if right.ending == PASSED:
            self.remember(check)
        learned = {
            "reference": oracle.seen_to_json(right, digits=17),
            "mistakes": [
                {
                    "name": mistake.name,
                    "sentence": mistake.sentence,
                    "seen": oracle.seen_to_json(
                        self.watch(check, function, mistake.source(self._answer)), digits=17
                    ),
                }
                for mistake in mistakes
            ],
        }
        self.forget(check)
        return learned

    def watch(self, check: Check, function: Callable[..., Any], text: str) -> Seen:
        """Run a check on a known answer in this process."""
        answer = local_answer(LocalPeer("known_answer", text), seed=formula.mix(self.seed, check.id))
        answer = answer.with_layouts(self._layouts)
        return diagnosis.run_check(function, {"submission": answer, "oracle": self.oracle(check)})


def _known_endings(known: Mapping[str, Any]) -> tuple[Seen, list[Suspect]]:
    """What a check sees of the right answer and of each mistake, from JSON."""
    return oracle.seen_from_json(known.get("reference")), [
        Suspect(entry["name"], entry["sentence"], oracle.seen_from_json(entry["seen"]))
        for entry in known.get("mistakes", ())
    ]


def _full_answer(exercise: Exercise) -> str | None:
    """The generated full answer beside the staff's exercise.toml, or None in a student's course."""
    if exercise.hidden_checks is None:
        return None
    file = exercise.folder / f"{exercise.id}.py"
    if not file.is_file():
        raise GraderFault(f"{file} is missing; run 'dlgrade build' first")
    return file.read_text(encoding="utf-8")


def _recorded(exercise: Exercise) -> Mapping[str, Any]:
    if exercise.fingerprints is None:
        return {}
    return oracle.load_fingerprints(exercise.fingerprints)
