"""A submission's workers as checks use them: started when first needed, replaced when they die."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from dlgrade import formula, layouts, sandbox
from dlgrade.children import Launcher, WorkerSettings
from dlgrade.errors import GraderFault
from dlgrade.outcome import CheckFailed, Outcome, PartMissing, Unmappable
from dlgrade.peer import Peer
from dlgrade.process import Budget, Deadline, Usage, WorkerProcess
from dlgrade.proxy import Channel, RemoteModule, RemoteObject, Subject
from dlgrade.specs import Spec


@dataclass(frozen=True)
class Job:
    """One submission as the checker receives it.

    `missing` maps each unfilled part to the reason, `known` a check to its result of an earlier run.
    """

    name: str
    student: str
    text: str
    missing: dict[str, str] = field(default_factory=dict)
    problem: str | None = None
    known: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """How a training went: losses by the worker's word, seconds and peak bytes by the system's."""

    losses: tuple[float, ...]
    seconds: float
    cpu_seconds: float
    peak_memory: int


class Answer(Subject):
    """A namespace to be graded: a submission in a worker, or a mistake in this process."""

    def __init__(
        self,
        channel: Channel,
        missing: dict[str, str],
        fresh: Callable[[], Answer] | None = None,
        usage: Callable[[], Usage] = Usage,
    ) -> None:
        super().__init__(channel)
        self._missing = missing
        self._fresh = fresh
        self._usage = usage
        self._layouts: Mapping[str, layouts.Layouts] = {}

    def with_layouts(self, by_part: Mapping[str, layouts.Layouts]) -> Answer:
        """The same answer, which may arrange its parameters as the exercise's author lists for each part."""
        self._layouts = by_part
        return self

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if name in self._missing:
            raise PartMissing(self._missing[name])
        return super().call(name, *args, **kwargs)

    def build(
        self,
        name: str,
        *args: Any,
        weights: RemoteModule | None = None,
        probe: tuple[Any, ...] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A part of the answer; with `weights`, a module that holds the reference's values.

        `probe` is what to call both with, in eval mode, where several ways to match parameters are to be
        told apart by what the answer then computes.

        Raises:
            Unmappable: the weights cannot be given to its parameters without guessing.
        """
        built = super().build(name, *args, **kwargs)
        if not isinstance(built, RemoteModule | RemoteObject):
            kind = "None (is a return missing?)" if built is None else f"a {type(built).__name__}"
            raise CheckFailed(f"{name}(...) gives {kind}, expected an object to work with")
        if weights is not None:
            if not isinstance(built, RemoteModule):
                raise Unmappable(f"{name} is no nn.Module, so it has no parameters to compare")
            layouts.transplant(
                weights.state_dict(),
                built,
                what=name,
                layouts=self._layouts.get(name, ()),
                probe=layouts.Probe.of(weights, probe) if probe is not None else None,
            )
        return built

    def fresh(self, name: str, *args: Any, state: dict[str, torch.Tensor], **kwargs: Any) -> RemoteModule:
        """The same class in a new worker that knows its arguments and these weights only."""
        if self._fresh is None:
            raise GraderFault("this answer runs in the checker's own process; it has no fresh worker")
        built = self._fresh().build(name, *args, **kwargs)
        if not isinstance(built, RemoteModule):
            raise Unmappable(f"{name} is no nn.Module")
        built.load_state_dict(state)
        return built

    def train(
        self, trainer: Spec, *, epochs: int, cpu_seconds: float, progress: Callable[[float], None]
    ) -> Training:
        """Run the kit's trainer in the worker, an epoch a request, and account for what it takes."""
        losses = []
        budget = self._channel.deadline.budget or Budget(float("inf"))
        start, before = time.monotonic(), self._usage()
        for epoch in range(epochs):
            deadline = Deadline(cpu_seconds / epochs, of_cpu=True, doing="training one epoch")
            with budget.excusing():
                losses.append(self._channel.call(trainer, (), {}, method="epoch", deadline=deadline))
            progress((epoch + 1) / epochs)
        after = self._usage()
        return Training(
            _plottable(losses),
            time.monotonic() - start,
            max(0.0, after.cpu_seconds - before.cpu_seconds),
            after.peak_memory,
        )


def _plottable(losses: list[Any]) -> tuple[float, ...]:
    """A worker's word on its losses, as finite numbers; nothing where one is something else."""
    told = tuple(loss if isinstance(loss, float) else math.nan for loss in losses)
    return told if all(map(math.isfinite, told)) else ()


class Workers:
    """Starts workers for the groups of checks of one submission, and ends them all.

    `waiting` is one that was started before the submission was known. The next group that is granted no
    files takes it, and another one is started for those that are expected after that.
    """

    def __init__(
        self,
        launch: Launcher,
        job: Job,
        settings: WorkerSettings,
        *,
        seed: int,
        request_seconds: float,
        budget: Budget,
        waiting: WorkerProcess | None = None,
    ) -> None:
        self._launch = launch
        self._job = job
        self._settings = settings
        self._seed = seed
        self._request_seconds = request_seconds
        self._budget = budget
        self._waiting = waiting
        self._expected: frozenset[str] = frozenset()
        self._groups: dict[str, tuple[WorkerProcess, Answer]] = {}
        self._all: list[WorkerProcess] = []
        self._folders = itertools.count()  # one more than workers, where a start failed
        self._unloadable: Outcome | None = None

    def expect(self, groups: Iterable[str]) -> None:
        """Which groups will ask for an answer and be granted no files, as far as is known."""
        if sandbox.may_wait(self._settings.policy["mode"]):
            self._expected = frozenset(groups)

    def answer(self, group: str, grants: tuple[str, ...] = ()) -> Answer:
        """The answer in the group's worker; a worker that died is replaced by a new one."""
        worker, answer = self._groups.get(group, (None, None))
        if answer is None or worker is None or worker.ended is not None:
            worker, answer = self._start(group, grants)
            self._groups[group] = worker, answer
        return answer

    def _start(self, group: str, grants: tuple[str, ...]) -> tuple[WorkerProcess, Answer]:
        if self._unloadable is not None:
            raise self._unloadable
        self._budget.check()
        deadline = Deadline(self._request_seconds, budget=self._budget)
        worker = self._waited(grants) or self._launched(grants)
        self._all.append(worker)
        self._expected -= {group}
        self._start_ahead()
        stream = formula.mix(self._seed, group, len(self._all))
        channel = Channel(worker, stream=stream, deadline=deadline, limits=worker.applied)
        try:
            encoder = channel.encoder()
            node = encoder.encode(self._job.text)
            channel.ask("load", encoder, source=node, deadline=replace(deadline, doing="importing your code"))
        except Outcome as outcome:
            self._unloadable = outcome  # it would fail the same way in every worker
            raise
        fresh = lambda: self._start(f"{group}/held-out", ())[1]  # noqa: E731  binds the group
        return worker, Answer(channel, self._job.missing, fresh, worker.usage)

    def _waited(self, grants: tuple[str, ...]) -> WorkerProcess | None:
        """The worker that waits, where it is of use; if it ended meanwhile, that was no student's doing."""
        if self._waiting is None or grants:
            return None
        worker, self._waiting = self._waiting, None
        with self._budget.excusing():
            return worker if worker.answers() else None

    def _launched(self, grants: tuple[str, ...]) -> WorkerProcess:
        with self._budget.excusing():  # a worker that starts anew imports torch first
            return WorkerProcess(self._launch, self._settings_of_one(grants))

    def _start_ahead(self) -> None:
        """Have a worker come for the next group while this one is asked; where that fails, it asks again."""
        if self._waiting is None and self._expected:
            with suppress(GraderFault, OSError):
                self._waiting = WorkerProcess(self._launch, self._settings_of_one(()), ahead=True)

    def _settings_of_one(self, grants: tuple[str, ...]) -> WorkerSettings:
        policy = {**self._settings.policy, "readable": grants, "scratch": self._new_scratch()}
        return replace(self._settings, policy=policy)

    def _new_scratch(self) -> str:
        """A folder for each worker: one that all shared would tell a later group what an earlier one saw."""
        folder = Path(self._settings.policy["scratch"], str(next(self._folders)))
        folder.mkdir()
        return str(folder)

    @property
    def output(self) -> str:
        """What the student's code printed in the workers of visible checks."""
        return "".join(worker.printed() for group, (worker, _) in self._groups.items() if group == "visible")

    @property
    def applied(self) -> dict[str, Any] | None:
        return self._all[0].applied if self._all else None

    def excusing(self) -> AbstractContextManager[None]:
        """What happens inside does not count against the submission's time."""
        return self._budget.excusing()

    def close(self) -> int:
        """End every worker; returns the largest peak memory of one, in bytes."""
        for worker in self._all:  # the system takes milliseconds for each, and for all of them at a time
            worker.kill()
        if self._waiting is not None:
            self._waiting.abandon()
            self._waiting = None
        for worker in self._all:
            worker.close()
        return max((worker.peak_memory for worker in self._all), default=0)


def local_answer(peer: Peer, *, seed: int, missing: dict[str, str] | None = None) -> Answer:
    """An answer that runs in this process: a mistake of the library, or the reference itself."""
    return Answer(Channel(peer, stream=seed, deadline=Deadline(3600.0)), missing or {})
