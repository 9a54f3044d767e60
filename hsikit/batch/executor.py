"""What every executor of a batch shares: assignments, limits, who is told of what becomes of them, how a wish to stop arrives."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hsikit.batch.orders import Order

TICK = 0.2
"""Seconds between two looks at memory, clocks and the wish to stop."""
TOLERANCE = 1.1
"""Share of the promised memory at which a worker is ended: the engine plans with less than all of it."""
MIB = 2**20
LEAST_MEMORY = 512 * MIB
"""What a worker is given where nothing is promised and little is free."""


@dataclass
class Assignment:
    """An order that waits for a worker or has one.

    Attributes:
        order: what is to be done.
        restart: whether what an earlier run left of it is of no use.
        overwrite: whether its output may be replaced.
        deaths: of its workers, in a row, with no tile finished in between.
        reached: tile steps that were done when its last attempt began.
        blocked: seconds for which another process has held its output; 0 where none does.
        group: (number, of how many) of the group of tiles that this is; None: the scene.
        family: what the groups of one scene share; None where it has none.
    """

    order: Order
    restart: bool = False
    overwrite: bool = False
    deaths: int = 0
    reached: int = 0
    blocked: float = 0.0
    group: tuple[int, int] | None = None
    family: Family | None = None


@dataclass
class Family:
    """A scene that is done in groups of tiles.

    Attributes:
        scene: its assignment, which waits until all groups are done.
        left: groups that are not done.
        failed: whether the scene has failed; what its other groups come to is of no interest then.
        seconds: that its groups took.
        peak: the largest resident memory of their workers (bytes).
    """

    scene: Assignment
    left: int
    failed: bool = False
    seconds: float = 0.0
    peak: int = 0


@dataclass(frozen=True)
class Limits:
    """What workers may take.

    Attributes:
        jobs: worker processes; on a cluster that is given, its own number counts.
        threads: compute threads of each.
        memory: what each plans with (bytes); None: what its machine has to share, on a cluster.
        ceiling: resident memory at which a worker is ended (bytes); None: no ceiling.
        timeout: seconds for one attempt at a scene, or at a group of its tiles; None: no limit.
        split: pixels above which a scene is done in groups of tiles; None: none is.
    """

    jobs: int
    threads: int
    memory: int | None
    ceiling: int | None = None
    timeout: float | None = None
    split: int | None = None

    def how(self, assignment: Assignment) -> dict[str, Any]:
        """What a worker is told beside the order; see `hsikit.batch.filling.fill_order`."""
        return {
            "threads": self.threads, "memory": self.memory, "split": self.split,
            "restart": assignment.restart, "overwrite": assignment.overwrite, "group": assignment.group,
        }  # fmt: skip

    def exceeded(self, resident: int, started: float) -> str:
        """Why a worker must be ended that has `resident` bytes and began at `started` of the monotonic clock; "" where it need not."""
        if self.ceiling is not None and resident > self.ceiling:
            return f"its worker took {resident // MIB} MiB, more than --memory allows. Give it more, or a smaller --tile"
        if self.timeout is not None and time.monotonic() - started > self.timeout:
            return f"it took longer than --timeout {self.timeout:g} s. Give it more time with --retry-failed: it goes on where it was"
        return ""


class Book(Protocol):
    """Told what becomes of each order, as it happens."""

    def begun(self, assignment: Assignment, worker: int) -> None:
        """A worker was given the order."""

    def opened(self, assignment: Assignment, identity: Sequence[Any], pixels: int) -> None:
        """Its scene could be opened."""

    def arrived(self, assignment: Assignment) -> Sequence[Path]:
        """The files of an output that is complete although its worker died before it could say so; none where it is not."""
        ...

    def stepped(self, worker: int, steps: int, total: int) -> None:
        """So many of its tile steps are done."""

    def done(self, assignment: Assignment, worker: int, files: Sequence[str], seconds: float, peak: int) -> None:
        """Its output is complete."""

    def failed(self, assignment: Assignment, worker: int, error: str, seconds: float, peak: int) -> None:
        """It cannot be done."""

    def interrupted(self, assignment: Assignment, worker: int) -> None:
        """It waits to be gone on with, in this run or the next; or a group of its tiles is done."""

    def note(self, message: str) -> None:
        """Something worth a line."""


class Executor(Protocol):
    """Has assignments done by workers, wherever these are."""

    @property
    def jobs(self) -> int:
        """Scenes that are worked on at once, as far as it is known before the start."""
        ...

    def run(self, assignments: Sequence[Assignment], book: Book) -> bool:
        """Returns whether all was gone through; False when it was stopped.

        Raises:
            RunError: no worker can be started, or the cluster is lost.
            HsikitError: what the book raises; the workers are ended.
        """
        ...

    def stop(self) -> None:
        """Lets workers finish their tiles, then ends; called again, ends them at once. May be called from a signal handler."""
        ...


@contextmanager
def on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` on Ctrl-C and SIGTERM, where signals can be taken: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.signal(kind, lambda *_: stop()) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
