"""Runs a batch: what is missing is found in the ledger, given to workers, and noted as it comes back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from hsikit.batch.cluster import Cluster, connected
from hsikit.batch.crew import COMMAND, environment_of
from hsikit.batch.executor import LEAST_MEMORY, TOLERANCE, Assignment, Executor, Limits
from hsikit.batch.file_states import State, state_of, states_in
from hsikit.batch.filling import parts_folder
from hsikit.batch.ledger import LEDGER, BatchLedger, read_rows
from hsikit.batch.lock import require_local
from hsikit.batch.missing import Found, arrived, find_missing, take_over
from hsikit.batch.orders import METHODS, TASKS, Order
from hsikit.batch.supervisor import Supervisor
from hsikit.errors import MethodError, OptionError
from hsikit.geo.remote import RemotePath, place_of
from hsikit.writers.failures import writing


class Watcher(Protocol):
    """Told of a batch's progress; the command line draws from it."""

    def begin(self, total: int, done: int, failed: int, jobs: int) -> None:
        """A batch starts: scenes in all, how many an earlier run had done, and how many failed and are left so."""
        ...

    def begun(self, worker: int, order: Order) -> None:
        """A worker was given a scene."""
        ...

    def stepped(self, worker: int, steps: int, total: int) -> None:
        """So many of its tile steps are done."""
        ...

    def ended(self, worker: int, order: Order, state: str, seconds: float, error: str) -> None:
        """A scene is done, has failed, or waits again."""
        ...

    def note(self, message: str) -> None:
        """Something worth a line."""
        ...


class Silent:
    """A `Watcher` that says nothing."""

    def begin(self, total: int, done: int, failed: int, jobs: int) -> None:
        """Says nothing."""

    def begun(self, worker: int, order: Order) -> None:
        """Says nothing."""

    def stepped(self, worker: int, steps: int, total: int) -> None:
        """Says nothing."""

    def ended(self, worker: int, order: Order, state: str, seconds: float, error: str) -> None:
        """Says nothing."""

    def note(self, message: str) -> None:
        """Says nothing."""


@dataclass
class Outcome:
    """What a batch came to.

    Attributes:
        ledger: the ledger's file.
        done: outputs that this run made.
        kept: outputs that were done before.
        failed: outputs that could not be made, each with the reason; those that failed before and were left so are among them.
        finished: whether the list was gone through; False after Ctrl-C.
    """

    ledger: Path
    done: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    finished: bool = True


def run_batch(orders: Sequence[Order], *, ledger: str | Path | None = None, jobs: int = 1, threads: int = 1, memory: int | str | None = None,
              timeout: float | None = None, split_above: int | None = None, retry_failed: bool = False, overwrite: bool = False, cluster: Cluster | None = None,
              watcher: Watcher | None = None, command: Sequence[str] = COMMAND) -> Outcome:  # fmt: skip
    """Fills orders with worker processes; what the ledger has as done is left alone.

    Example:
        >>> orders = read_orders(["scenes/*.tif"], model="model", output="maps/{stem}.tif")
        >>> run_batch(orders, jobs=2).failed

    Args:
        orders: what is to be done, each with an output of its own.
        ledger: its file, on a local disk; None: see `ledger_of`.
        jobs: worker processes; those of a cluster that is made for this batch. One that runs already has its own.
        threads: compute threads of each.
        memory: peak memory of each worker, in bytes or like "2G"; one that takes more is ended, and its scene has failed. None: each
            plans with its share of half of what is available, or of what its Dask worker may take, and none is ended.
        timeout: seconds for one attempt at a scene, or at a group of its tiles.
        split_above: pixels above which a scene is done in groups of tiles, by several workers at once, where its method begins tile by tile.
            On a cluster the outputs' folder must be one that all workers see. None: no scene is.
        retry_failed: whether scenes that failed before are tried again.
        overwrite: whether outputs that the ledger does not know may be replaced.
        cluster: where it is done; None: on this machine. Its workers see scenes, models and outputs under the same paths.
        watcher: told of progress.
        command: how a worker process is started.

    Raises:
        RunError: another process runs this batch, no worker can be started, or the cluster does not answer or is lost.
        MissingExtraError: a cluster needs a package that is not installed.
        OutputError: outputs exist that the ledger does not know, or a folder or the ledger cannot be written.
        OptionError, ModelError, MethodError: a mistake that would fail every scene.
    """
    from hsikit.engine.resources import parse_memory

    check_numbers(jobs=jobs, threads=threads, timeout=timeout, split_above=split_above)
    check_methods(orders)
    promised = parse_memory(memory) if isinstance(memory, str) else memory
    limits = Limits(jobs, threads, promised, None if promised is None else int(TOLERANCE * promised), timeout, split_above)
    path = Path(ledger) if ledger is not None else ledger_of(orders)
    make_folders(orders, path)
    with BatchLedger(path) as book:
        found = find_missing(orders, book.rows(), retry_failed=retry_failed, overwrite=overwrite)
        recorder = _Recorder(book, found, watcher or Silent())
        before = (len(orders), len(found.kept) + len(found.adopted), len(found.failed))
        if not found.missing:
            recorder.watcher.begin(*before, 0)
            return recorder.outcome
        from hsikit.engine.parts import drop_parts

        with _executor(limits, cluster, command) as executor:
            hands = executor.jobs if split_above else min(executor.jobs, len(found.missing))
            recorder.watcher.begin(*before, hands)
            if split_above and any(isinstance(assignment.order.output, RemotePath) for assignment in found.missing):
                recorder.watcher.note("outputs on a server are made in one piece each, whatever their size")
            recorder.outcome.finished = executor.run(found.missing, recorder)
        for output in recorder.outcome.failed:  # also what a worker still wrote when its scene had failed
            if not isinstance(output, RemotePath):
                drop_parts(parts_folder(output))
    return recorder.outcome


@contextmanager
def _executor(limits: Limits, cluster: Cluster | None, command: Sequence[str]) -> Iterator[Executor]:
    """Workers on this machine, or on a cluster."""
    if cluster is None:
        from hsikit.engine.resources import available_memory

        each = limits.memory or max(available_memory() // 2 // limits.jobs, LEAST_MEMORY)
        yield Supervisor(replace(limits, memory=each), environment_of(limits.threads, each), command)
        return
    from hsikit.batch.dask_executor import DaskExecutor

    with connected(cluster, jobs=limits.jobs, threads=limits.threads, memory=limits.ceiling) as client:
        yield DaskExecutor(client, limits, command)


def ledger_of(orders: Sequence[Order]) -> Path:
    """Where the ledger lies unless it is named: where one is that knows any of the outputs; else in the folder that holds them all.

    So a list that grows, or is shortened, goes on with its ledger.

    Raises:
        OptionError: outputs lie on a server, or several ledgers know some of them.
    """
    if remote := [order.output for order in orders if isinstance(order.output, RemotePath)]:
        raise OptionError("ledger", f"{remote[0]} lies on a server, where no ledger can lie", "Name one on a local disk: --ledger batch.sqlite")
    outputs = {order.output for order in orders}
    folders = dict.fromkeys(folder for output in outputs for folder in output.parents)
    known = [path for path in (folder / LEDGER for folder in folders) if path.is_file() and any(row.output in outputs for row in read_rows(path))]
    if len(known) > 1:
        raise OptionError("ledger", f"{known[0]} and {known[1]} both know outputs of this list", "Name one with --ledger, or map the folders apart")
    return known[0] if known else Path(os.path.commonpath([output.parent for output in outputs])) / LEDGER


def make_folders(orders: Sequence[Order], ledger: Path) -> None:
    """Makes the folders of outputs and ledger, once: one that vanishes later is an error.

    Raises:
        OutputError: one cannot be made.
        OptionError: the ledger would not lie on a local disk.
    """
    require_local(ledger)
    for folder in dict.fromkeys([*(order.output.parent for order in orders if not isinstance(order.output, RemotePath)), ledger.absolute().parent]):
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)


def check_numbers(**options: float | None) -> None:
    """Refuses counts and seconds that make no sense.

    Raises:
        OptionError: one is not above 0.
    """
    for name, value in options.items():
        if value is not None and value <= 0:
            raise OptionError(name, f"{value} is not above 0", "Give a number from 1")


def check_methods(orders: Sequence[Order]) -> None:
    """Refuses models that cannot be read, methods and files that do not exist: they would fail every scene.

    Raises:
        ModelError, MethodError, OptionError: it says why.
    """
    from hsikit.models import read_folder
    from hsikit.registry import list_methods

    for model in dict.fromkeys(order.options["model"] for order in orders if "model" in order.options):
        read_folder(model)
    for name in ("target", "library", "features", "absorption"):
        for path in dict.fromkeys(order.options[name] for order in orders if name in order.options):
            if not place_of(path).exists():
                raise OptionError(name, f"{path} is not there", "Check the path and the working folder")
    known = [entry.name for entry in list_methods()]
    for name in dict.fromkeys(order.options.get("method", METHODS[order.task]) for order in orders if "method" in TASKS[order.task]):
        if name not in known:
            raise MethodError(name, "there is no such method", f"The methods are {', '.join(known)}; see `hsikit methods`")


class _Recorder:
    """The `Book` of a batch: the ledger first, then the outcome, then whoever watches."""

    def __init__(self, ledger: BatchLedger, found: Found, watcher: Watcher) -> None:
        self._ledger, self.watcher = ledger, watcher
        self._before: dict[Path, State] = {}
        self.outcome = Outcome(ledger.path, kept=[*found.kept, *(row.output for row in found.adopted)], failed=dict(found.failed))
        for row in found.adopted:
            ledger.finish(row.output, [state_of(path) for path in take_over(row.output)], row.seconds, row.peak)
        ledger.register(assignment.order for assignment in found.missing)

    def begun(self, assignment: Assignment, worker: int) -> None:
        order = assignment.order
        if assignment.group is not None:  # its scene was noted as begun
            return self.watcher.begun(worker, order)
        # As it was before the first attempt of this run: what changed since, one of them wrote.
        self._before.setdefault(order.output, state_of(order.output))
        self._ledger.begin(order, [state_of(path) for path in order.inputs], self._before[order.output])
        return self.watcher.begun(worker, order)

    def opened(self, assignment: Assignment, identity: Sequence[Any], pixels: int) -> None:
        found = states_in(identity)
        scene = {str(place_of(part).absolute()) for part in assignment.order.scene} if found else set()
        # The files that were opened say more than a folder's name, in which other things may change.
        others = [state_of(path) for path in assignment.order.inputs if str(path) not in scene]
        self._ledger.opened(assignment.order, [*others, *found], pixels)

    def arrived(self, assignment: Assignment) -> list[Path]:
        output = assignment.order.output
        return take_over(output) if arrived(output, [self._before[output]]) else []

    def stepped(self, worker: int, steps: int, total: int) -> None:
        self.watcher.stepped(worker, steps, total)

    def done(self, assignment: Assignment, worker: int, files: Sequence[str], seconds: float, peak: int) -> None:
        order = assignment.order
        self._ledger.finish(order.output, [state_of(path) for path in files], seconds, peak)
        self.outcome.done.append(order.output)
        self.watcher.ended(worker, order, "done", seconds, "")

    def failed(self, assignment: Assignment, worker: int, error: str, seconds: float, peak: int) -> None:
        order = assignment.order
        self._ledger.fail(order.output, error, seconds, peak)
        self.outcome.failed[order.output] = error
        self.watcher.ended(worker, order, "failed", seconds, error)

    def interrupted(self, assignment: Assignment, worker: int) -> None:
        if assignment.group is None:
            self._ledger.wait(assignment.order.output)
        self.watcher.ended(worker, assignment.order, "waiting", 0.0, "")

    def note(self, message: str) -> None:
        self.watcher.note(message)
