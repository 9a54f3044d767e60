"""Keeps a crew of workers busy: replaces the dead, enforces limits, stops cleanly. Knows processes and orders, no ledger and no engine."""

from __future__ import annotations

import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hsikit.batch.crew import COMMAND, Worker
from hsikit.batch.orders import Order
from hsikit.errors import RunError

TICK = 0.2
"""Seconds between two looks at memory, clocks and the wish to stop."""
MOST_DEATHS, MOST_KILLS = 2, 10
"""Deaths in a row, without a tile finished in between, after which a scene counts as failed: of whatever cause; killed from outside."""
MOST_FALSE_STARTS = 5
"""Workers that may end in a row before they are ready."""
TOLERANCE = 1.1
"""Share of the promised memory at which a worker is ended: the engine plans with less than all of it."""
MIB = 2**20


@dataclass
class Assignment:
    """An order that waits for a worker or has one.

    Attributes:
        order: what is to be done.
        restart: whether what an earlier run left of it is of no use.
        overwrite: whether its output may be replaced.
        deaths: of its workers, in a row, with no tile finished in between.
        reached: tile steps that were done when its last attempt began.
    """

    order: Order
    restart: bool = False
    overwrite: bool = False
    deaths: int = 0
    reached: int = 0


@dataclass(frozen=True)
class Limits:
    """What workers may take.

    Attributes:
        jobs: worker processes.
        threads: compute threads of each.
        memory: what each plans with (bytes).
        ceiling: resident memory at which a worker is ended (bytes); None: no ceiling.
        timeout: seconds for one attempt at a scene; None: no limit.
    """

    jobs: int
    threads: int
    memory: int
    ceiling: int | None = None
    timeout: float | None = None


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
        """It waits to be gone on with, in this run or the next."""

    def note(self, message: str) -> None:
        """Something worth a line."""


@dataclass
class _Post:
    """A place in the crew."""

    worker: Worker
    assignment: Assignment | None = None
    started: float = 0.0
    steps: int = 0
    total: int = 0
    verdict: str = ""


class Supervisor:
    """Has a list of assignments done; see `run`."""

    def __init__(self, limits: Limits, environment: Mapping[str, str], book: Book, command: Sequence[str] = COMMAND) -> None:
        self._limits, self._environment, self._book, self._command = limits, environment, book, command
        self._queue: deque[Assignment] = deque()
        self._posts: dict[int, _Post] = {}
        self._selector = selectors.DefaultSelector()
        self._false_starts = self._stops = self._obeyed = 0

    def run(self, assignments: Sequence[Assignment]) -> bool:
        """Returns whether all was gone through; False when it was stopped.

        Raises:
            RunError: no worker can be started.
            HsikitError: what the book raises; the workers are ended.
        """
        self._queue.extend(assignments)
        with _on_signals(self.stop):
            try:
                while self._queue or any(post.assignment for post in self._posts.values()):
                    self._obey()
                    self._staff()
                    for key, _ in self._selector.select(TICK):
                        self._hear(key.data)
                    self._enforce()
            finally:
                self._dismiss()
        return not self._stops

    def stop(self) -> None:
        """Lets workers finish their tiles, then ends; called again, ends them at once. May be called from a signal handler."""
        self._stops += 1

    def _obey(self) -> None:
        """Does what `stop` asked for since."""
        if self._stops and not self._obeyed:
            self._queue.clear()
            self._book.note("stopping: tiles in flight are finished; once more stops at once")
            for post in self._busy():
                post.worker.send({"stop": True})
        if self._stops > 1:
            for post in self._busy():
                post.worker.kill()
        self._obeyed = self._stops

    def _busy(self) -> list[_Post]:
        return [post for post in self._posts.values() if post.assignment is not None]

    def _staff(self) -> None:
        """Gives waiting orders to idle workers, and fills empty posts."""
        for post in self._posts.values():
            if self._queue and post.worker.ready and post.assignment is None:
                self._assign(post, self._queue.popleft())
        coming = sum(not post.worker.ready for post in self._posts.values())
        free = [number for number in range(1, self._limits.jobs + 1) if number not in self._posts]
        for number in free[: max(0, len(self._queue) - coming)]:
            post = self._posts[number] = _Post(Worker(number, self._environment, self._command))
            self._selector.register(post.worker, selectors.EVENT_READ, post)

    def _assign(self, post: _Post, assignment: Assignment) -> None:
        post.assignment, post.started, post.steps, post.total, post.verdict = assignment, time.monotonic(), 0, 0, ""
        post.worker.begin_scene()
        self._book.begun(assignment, post.worker.number)
        how = {"threads": self._limits.threads, "memory": self._limits.memory, "restart": assignment.restart, "overwrite": assignment.overwrite}
        post.worker.send({"order": assignment.order.to_json(), "how": how})

    def _hear(self, post: _Post) -> None:
        """Takes what a worker says."""
        messages = post.worker.hear()
        if messages is None:
            self._ended(post)
        for message in messages or ():
            kind, assignment = message["is"], post.assignment
            if kind == "ready":
                post.worker.ready, self._false_starts = True, 0
            elif assignment is None:
                continue
            elif kind == "opened":
                self._book.opened(assignment, message["identity"], message["pixels"])
            elif kind in ("begin", "advance"):
                self._step(post, assignment, message)
            else:
                self._answered(post, assignment, message)

    def _step(self, post: _Post, assignment: Assignment, message: Mapping[str, Any]) -> None:
        if message["is"] == "begin":
            post.steps, post.total = message["done"], message["total"]
            if post.steps > assignment.reached:  # the attempt before got somewhere: its death is not held against the scene
                assignment.reached, assignment.deaths = post.steps, 0
        else:
            post.steps += message["steps"]
        self._book.stepped(post.worker.number, post.steps, post.total)

    def _answered(self, post: _Post, assignment: Assignment, message: Mapping[str, Any]) -> None:
        """A worker is through with its order."""
        post.assignment, number, peak = None, post.worker.number, max(post.worker.peak, message["resident"])
        if message["is"] == "done":
            self._book.done(assignment, number, message["files"], message["seconds"], peak)
        elif message["is"] == "failed":
            self._book.failed(assignment, number, message["error"], message["seconds"], peak)
        else:
            self._book.interrupted(assignment, number)

    def _ended(self, post: _Post) -> None:
        """A worker's process is gone: its order waits again, or has failed."""
        self._selector.unregister(post.worker)
        del self._posts[post.worker.number]
        how = post.worker.end()
        assignment, number, seconds = post.assignment, post.worker.number, time.monotonic() - post.started
        if not post.worker.ready:
            self._false_starts += 1
            if self._false_starts >= MOST_FALSE_STARTS:
                advice = "Give it more memory, or run one scene alone to see why"
                raise RunError("worker", f"it {how} before it was ready, {MOST_FALSE_STARTS} times in a row", advice)
        if assignment is None:
            return
        if files := self._book.arrived(assignment):
            self._book.done(assignment, number, [str(file) for file in files], seconds, post.worker.peak)
            return
        assignment.restart = False  # what this attempt finished is of use to the next
        if self._stops and not post.verdict:
            self._book.interrupted(assignment, number)
            return
        assignment.deaths += 1
        most = MOST_KILLS if post.worker.killed_from_outside else MOST_DEATHS
        if post.verdict or assignment.deaths >= most:
            error = post.verdict or f"its worker {how}, the last of {assignment.deaths} in a row to die with no tile finished in between"
            self._book.failed(assignment, number, error, seconds, post.worker.peak)
            return
        self._book.interrupted(assignment, number)
        self._book.note(f"worker {number} {how}; {assignment.order.name} goes on with another")
        self._queue.appendleft(assignment)

    def _enforce(self) -> None:
        """Ends workers that take more time or memory than they may."""
        for post in self._busy():
            resident = post.worker.resident()
            if post.verdict:
                continue
            if self._limits.ceiling is not None and resident > self._limits.ceiling:
                post.verdict = f"its worker took {resident // MIB} MiB, more than --memory allows. Give it more, or a smaller --tile"
            elif self._limits.timeout is not None and time.monotonic() - post.started > self._limits.timeout:
                post.verdict = f"it took longer than --timeout {self._limits.timeout:g} s. Give it more time with --retry-failed: it goes on where it was"
            if post.verdict:
                post.worker.kill()

    def _dismiss(self) -> None:
        """Ends all workers; those that still have an order are so ended only after an error."""
        for post in self._posts.values():
            post.worker.kill()
        for post in self._posts.values():
            self._selector.unregister(post.worker)
            post.worker.end()
        self._posts.clear()
        self._selector.close()


@contextmanager
def _on_signals(stop: Callable[[], None]) -> Iterator[None]:
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
