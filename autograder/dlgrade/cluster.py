"""`grade --scheduler`: the driver's end of a run on a Dask cluster.

Nothing is decided here that an undisturbed run on one machine would decide otherwise: nodes get a
submission's text and give back its report, in any order, and who calls records each one once. A task whose
node is lost goes to another node; a submission that loses node after node is a fault, not a score.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from distributed import Client, Future, KilledWorker, wait

from dlgrade import __version__, hints, node, planning
from dlgrade.checks import Check
from dlgrade.engine import Flight, Known, RunPlan, Watch, report_of
from dlgrade.errors import GraderFault, UsageError
from dlgrade.report import CheckResult, Report
from dlgrade.sandbox import MODES
from dlgrade.submission import Submission

CONNECT_SECONDS: Final = 10
WORKER_SECONDS: Final = 300.0  # to wait for a first node, or for one after the last was lost
LOOK_SECONDS: Final = 5.0
MOST_LOST: Final = 12  # nodes with one submission; Dask itself gives up after four
IN_HAND: Final = 2  # tasks for each place: what is graded, and what comes next without a wait

_LOST: Final = (CancelledError, asyncio.CancelledError, OSError)  # what Dask raises without its scheduler


class Cluster:
    """The nodes behind a Dask scheduler; a context that holds the connection.

    Raises:
        UsageError: this is no address.
        GraderFault: nobody answers there, no node joins, or a node has other versions than this machine.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: Any = _connected(address)  # a distributed.Client, which has types for some of its words
        try:
            self._wait_for_a_node()
            self._refuse_other_versions()
        except BaseException:
            self._client.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(*_LOST):
            self._client.close(timeout=CONNECT_SECONDS)

    def choose_tier(self, wish: str) -> str:
        """The tier to run; `auto` is the largest that the nodes' resources permit.

        Raises:
            UsageError: gpu is asked for, and no node offers one.
        """
        gpus = self.places("GPU")
        if wish == "auto":
            return "gpu" if gpus else "cpu"
        if wish == "gpu" and not gpus:
            raise UsageError(
                f"tier 'gpu' needs Dask workers that were started with --resources 'GPU=1', and none at"
                f" '{self._address}' was; start some, or use --tier cpu"
            )
        return wish

    def isolation(self, wish: str | None) -> tuple[str, str | None]:
        """The mode asked for, which each node proves before it grades; else the strongest that all have.

        Raises:
            GraderFault: a node cannot confine submissions.
        """
        if wish is not None:
            return wish, planning.weakness(wish)
        with self._asking():
            found = self._client.run(node.strongest_isolation, on_error="return")
        for address, mode in found.items():
            if isinstance(mode, GraderFault):
                raise GraderFault(f"the Dask worker at {address}: {mode}")
        modes = [mode for mode in found.values() if mode in MODES]
        if not modes:
            raise self._lost("its workers were lost while they were asked how they confine submissions")
        return max(modes, key=MODES.index), None

    def threads(self, tier: str) -> int:
        """Each node sets its own, by its cores and places."""
        return 1

    @contextmanager
    def opened(self, plan: RunPlan) -> Iterator[ClusterRun]:
        """Send the run to all nodes, present and future; at the end each of them forgets it."""
        plugin = node.Node(node.Parcel.of(plan))
        try:
            with self._asking():
                self._client.register_plugin(plugin, name=plugin.name)
            run = ClusterRun(self, plan, plugin.name)
            try:
                yield run
            finally:
                self.cancel(run.under_way)
        finally:
            with contextlib.suppress(Exception):  # what is lost needs to forget nothing
                self._client.unregister_worker_plugin(plugin.name)

    # --- for ClusterRun -----------------------------------------------------------------------------

    def places(self, resource: str | None = None) -> int:
        """Submissions that the nodes can grade at a time now: by their threads, or by a resource."""
        nodes = self._nodes().values()
        if resource is not None:
            return sum(int(each["resources"].get(resource, 0)) for each in nodes)
        return sum(each["nthreads"] for each in nodes)

    def send(self, task: Any, *arguments: Any, resource: str | None) -> Future[Any]:
        """Have a task run on some node, and on another one if that is lost."""
        resources = {resource: 1} if resource is not None else None
        with self._asking():
            sent: Future[Any] = self._client.submit(task, *arguments, pure=False, resources=resources)
        return sent

    def finished(self, futures: Iterable[Future[Any]], resource: str | None) -> set[Future[Any]]:
        """Wait until one has ended; those that have.

        Raises:
            GraderFault: there has been no node for five minutes, or no scheduler.
        """
        waited_for, alone_since = list(futures), None
        while True:
            with self._asking(), contextlib.suppress(TimeoutError):
                states: Any = wait(waited_for, LOOK_SECONDS, "FIRST_COMPLETED")  # type: ignore[no-untyped-call]  # distributed is untyped
                done: set[Future[Any]] = states.done
                return done
            now = time.monotonic()
            alone_since = None if self.places(resource) else alone_since or now
            if alone_since is not None and now - alone_since > WORKER_SECONDS:
                raise self._lost(f"no worker has been there for {WORKER_SECONDS / 60:.0f} minutes")

    def cancel(self, futures: Iterable[Future[Any]]) -> None:
        """Stop caring; a node drops what it has not begun."""
        with contextlib.suppress(*_LOST):
            self._client.cancel(list(futures))

    def result(self, future: Future[Any]) -> Any:
        """What a task that ended gave.

        Raises:
            KilledWorker: node after node was lost with it.
            GraderFault: what the node raised; nothing else is expected of one.
        """
        try:
            with self._asking():
                return future.result()
        except (GraderFault, KilledWorker):
            raise
        except Exception as error:
            raise GraderFault(f"a Dask worker failed: {type(error).__name__}: {error}"[:500]) from None

    def _nodes(self) -> Mapping[str, Mapping[str, Any]]:
        with self._asking():
            known = self._client.sync(self._client.scheduler.identity)
        workers: Mapping[str, Mapping[str, Any]] = known["workers"]
        return workers

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Around each word with the scheduler: its loss is told in one sentence."""
        try:
            yield
        except _LOST:
            raise self._lost("the connection to it was lost") from None

    def _lost(self, reason: str) -> GraderFault:
        return GraderFault(
            f"the Dask scheduler at '{self._address}': {reason}; with --out what is finished is kept, and the"
            " same command goes on"
        )

    def _wait_for_a_node(self) -> None:
        if self._nodes():
            return
        print(f"dlgrade: waiting for a first Dask worker at '{self._address}'", file=sys.stderr, flush=True)
        try:
            self._client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except TimeoutError:
            raise GraderFault(
                f"no Dask worker joined '{self._address}' within {WORKER_SECONDS / 60:.0f} minutes; start"
                " some with 'dask worker'"
            ) from None

    def _refuse_other_versions(self) -> None:
        """Nodes run this package's code, so theirs must be the same; torch is compared among the nodes."""
        told = self._client.get_versions(packages=["dlgrade"])
        ours = {**told["client"]["packages"], "dlgrade": __version__}
        others = {"the scheduler": told["scheduler"]}
        others |= {f"the Dask worker at {address}": said for address, said in told["workers"].items()}
        for who, said in others.items():
            for package in ("dlgrade", "distributed"):
                theirs = said["packages"].get(package)
                if theirs != ours[package]:
                    raise GraderFault(
                        f"{who} has {package} {theirs or 'not installed'}, and this machine {ours[package]};"
                        " install the same versions everywhere"
                    )


def _connected(address: str) -> Any:
    """A client of the scheduler at an address, or of the one that a scheduler file names."""
    logging.disable(logging.CRITICAL)  # Dask's and tornado's; what matters comes as our sentence
    where: dict[str, Any] = {"address": address}
    if address.endswith(".json"):
        if not Path(address).is_file():
            raise UsageError(f"--scheduler '{address}' is no file; name the one that 'dask scheduler' wrote")
        where = {"scheduler_file": address}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other versions: see _refuse_other_versions
            return Client(**where, timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]  # distributed is untyped
    except OSError:
        raise GraderFault(
            f"no Dask scheduler answers at '{address}' within {CONNECT_SECONDS} s; is it running, and can"
            " this machine reach it?"
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"--scheduler '{address}' cannot be used ({error}); expected an address like tcp://host:8786, or"
            f" the scheduler's file, of a Dask scheduler of this machine's version {version('distributed')}"
        ) from None


@dataclass(frozen=True)
class _Sent:
    """A submission under way, what is known of it, and how many nodes were lost with it."""

    submission: Submission
    known: dict[str, CheckResult]
    lost: int = 0


class ClusterRun:
    """A run that is open on the nodes; `grade` sends submissions through them."""

    def __init__(self, cluster: Cluster, plan: RunPlan, name: str) -> None:
        self._cluster = cluster
        self._plan = plan
        self._name = name
        self._resource = "GPU" if plan.settings.device == "cuda" else None
        first = cluster.send(node.open_run, name, resource=self._resource)
        cluster.finished([first], self._resource)
        try:
            self._opened: node.Opened = cluster.result(first)
        except KilledWorker as error:
            raise GraderFault(
                f"{error.allowed_failures + 1} Dask workers were lost while they loaded the run; their logs"
                " may say why"
            ) from None
        self.checks: Sequence[Check] = self._opened.checks
        self.ready: Mapping[str, Any] = self._opened.ready
        self.under_way: dict[Future[Any], _Sent] = {}

    def grade(self, submissions: Iterable[Submission], *, watch: Watch, known: Known) -> Iterator[Report]:
        """A report for each submission, as it is finished; two for each place of the cluster are under way.

        Raises:
            GraderFault: a node cannot grade, or has other versions or data than the first one.
        """
        waiting, flying = iter(submissions), self.under_way
        while True:
            room = IN_HAND * max(1, self._cluster.places(self._resource))
            while len(flying) < room and (submission := next(waiting, None)) is not None:
                self._send(_Sent(submission, dict(known(submission))))
            if not flying:
                return
            for future in self._cluster.finished(flying, self._resource):
                outcome = self._outcome(future, flying.pop(future))
                if isinstance(outcome, _Sent):
                    self._send(outcome)
                    continue
                watch(outcome.submission, {"event": "done"})
                yield outcome

    def _send(self, sent: _Sent) -> None:
        # where it lay on this machine is nobody else's business
        submission = replace(sent.submission, origin=Path(sent.submission.name))
        future = self._cluster.send(node.grade, self._name, submission, sent.known, resource=self._resource)
        self.under_way[future] = sent

    def _outcome(self, future: Future[Any], sent: _Sent) -> Report | _Sent:
        """The report; or what to send again: Dask gave up, and the nodes' end was hardly its doing."""
        try:
            opened, report = self._cluster.result(future)
        except KilledWorker as error:
            lost = sent.lost + error.allowed_failures + 1
            if lost < MOST_LOST:
                return replace(sent, lost=lost)
            nothing = report_of(self._plan, self.checks, self.ready, Flight(sent.submission))
            return replace(nothing, fault=f"{lost} Dask workers were lost while they graded this submission")
        _refuse_differences(self._opened, opened)
        whole: Report = replace(report, hints=hints.used(sent.submission, self._plan.exercise))
        return whole


def _refuse_differences(first: node.Opened, other: node.Opened) -> None:
    """Results that came of other versions or data must not stand beside the others."""
    for what in ("versions", "data"):
        ours, theirs = first.ready[what], other.ready[what]
        for name in ours.keys() | theirs.keys():
            if ours.get(name) != theirs.get(name):
                raise GraderFault(
                    f"the Dask worker at {other.address} has {name} {theirs.get(name)}, and the one at"
                    f" {first.address} has {ours.get(name)}; results of both must not be mixed: make them"
                    " equal and run the same command again"
                )
