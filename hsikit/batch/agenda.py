"""What waits of a batch, and what follows from each answer and each death: the rules that hold on one machine and on a cluster."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hsikit.batch.executor import Assignment, Book, Family
from hsikit.errors import RunError

MOST_DEATHS, MOST_KILLS = 2, 10
"""Deaths in a row, without a tile finished in between, after which a scene counts as failed: of whatever cause; killed from outside."""
MOST_FALSE_STARTS = 5
"""Workers that may end in a row before they are ready."""
PAUSE, PATIENCE = 1.0, 600.0
"""Seconds after which a scene is tried again whose output another process holds, and for how long in all: a worker that is believed
lost may still be at it."""


@dataclass(frozen=True)
class Death:
    """The end of a worker that had an order.

    Attributes:
        how: in words, after "its worker" or "worker 3".
        outside: whether somebody ended it, and neither its scene nor want of memory did.
        verdict: why it was ended by us; "" where it was not.
        seconds: since it was given the order.
        peak: its largest resident memory (bytes).
    """

    how: str
    outside: bool = False
    verdict: str = ""
    seconds: float = 0.0
    peak: int = 0


class Agenda:
    """The assignments of a batch that wait for a worker."""

    def __init__(self, assignments: Sequence[Assignment], book: Book) -> None:
        self._false_starts = 0
        self._queue, self._book = deque(assignments), book
        self._later: list[tuple[float, Assignment]] = []
        self._stopping = False

    def __bool__(self) -> bool:
        """Whether anything waits, now or later."""
        return bool(self._queue or self._later)

    @property
    def due(self) -> int:
        """How many could be taken now."""
        now = time.monotonic()
        ripe = [assignment for moment, assignment in self._later if moment <= now]
        self._later = [(moment, assignment) for moment, assignment in self._later if moment > now]
        self._queue.extendleft(ripe)
        return len(self._queue)

    def take(self, worker: int) -> Assignment:
        """The next one, which this worker is about to be given."""
        assignment = self._queue.popleft()
        self._book.begun(assignment, worker)
        return assignment

    def stop(self) -> None:
        """Nothing more is taken; what workers still have ends as interrupted."""
        self._queue.clear()
        self._later.clear()
        self._stopping = True

    def reached(self, assignment: Assignment, done: int) -> None:
        """An attempt began, with so many tile steps done: where the one before got somewhere, its death is not held against the scene."""
        assignment.restart = False  # what this attempt finishes is of use to the next
        if done > assignment.reached:
            assignment.reached, assignment.deaths = done, 0

    def answered(self, assignment: Assignment, worker: int, answer: Mapping[str, Any], peak: int) -> None:
        """A worker is through with its order."""
        kind = answer["is"]
        if kind == "done":
            self._done(assignment, worker, answer["files"], answer["seconds"], peak)
        elif kind == "split":
            self._split(assignment, worker, answer, peak)
        elif kind == "grouped":
            self._grouped(assignment, worker, answer["seconds"], peak)
        elif kind == "failed" and assignment.blocked and (files := self._book.arrived(assignment)):
            # Whoever held the output has finished it.
            self._done(assignment, worker, [str(file) for file in files], answer["seconds"], peak)
        elif kind == "failed":
            self._failed(assignment, worker, answer["error"], answer["seconds"], peak)
        elif kind == "busy":
            self._blocked(assignment, worker, answer, peak)
        else:
            self._book.interrupted(assignment, worker)

    def _done(self, assignment: Assignment, worker: int, files: Sequence[str], seconds: float, peak: int) -> None:
        """A scene is complete: its groups are counted in."""
        before = assignment.family or Family(assignment, 0)
        self._book.done(assignment, worker, files, seconds + before.seconds, max(peak, before.peak))

    def _failed(self, assignment: Assignment, worker: int, error: str, seconds: float, peak: int) -> None:
        """A scene cannot be done, or a group of its tiles cannot: then nothing more of it is begun."""
        family = assignment.family
        if family is None:
            return self._book.failed(assignment, worker, error, seconds, peak)
        if family.failed:
            return self._book.interrupted(assignment, worker)
        family.failed = True
        self._queue = deque(other for other in self._queue if other.family is not family)
        self._later = [(moment, other) for moment, other in self._later if other.family is not family]
        return self._book.failed(family.scene, worker, error, seconds + family.seconds, max(peak, family.peak))

    def _split(self, assignment: Assignment, worker: int, answer: Mapping[str, Any], peak: int) -> None:
        """A scene is to be done in groups of tiles, before all others that wait; then it comes again, to be joined."""
        self._book.interrupted(assignment, worker)
        if self._stopping:
            return
        assignment.restart = False  # what its groups make is of use
        if assignment.family is None:
            assignment.family = Family(assignment, 0)
            self._book.note(f"{assignment.order.name} is done in {answer['of']} groups of tiles")
        family = assignment.family
        family.left, family.seconds, family.peak = len(answer["groups"]), family.seconds + answer["seconds"], max(family.peak, peak)
        groups = [Assignment(assignment.order, overwrite=assignment.overwrite, group=(number, answer["of"]), family=family) for number in answer["groups"]]
        self._queue.extendleft(reversed(groups))

    def _grouped(self, assignment: Assignment, worker: int, seconds: float, peak: int) -> None:
        """A group of tiles is done; the last one brings the scene back."""
        self._book.interrupted(assignment, worker)
        family = assignment.family
        assert family is not None
        family.left, family.seconds, family.peak = family.left - 1, family.seconds + seconds, max(family.peak, peak)
        if not (family.left or family.failed or self._stopping):
            self._queue.appendleft(family.scene)

    def _blocked(self, assignment: Assignment, worker: int, answer: Mapping[str, Any], peak: int) -> None:
        """Another process holds the output."""
        if assignment.blocked >= PATIENCE:
            return self._failed(assignment, worker, answer["error"], answer["seconds"], peak)
        self._book.interrupted(assignment, worker)
        if self._stopping:
            return
        if not assignment.blocked:
            self._book.note(f"{assignment.order.name} waits: {answer['error']}")
        assignment.blocked += PAUSE
        self._later.append((time.monotonic() + PAUSE, assignment))

    def ready(self) -> None:
        """A worker could be started."""
        self._false_starts = 0

    def false_start(self, how: str) -> None:
        """A worker was gone before it was ready.

        Raises:
            RunError: so were several in a row.
        """
        self._false_starts += 1
        if self._false_starts >= MOST_FALSE_STARTS:
            advice = "Give it more memory, or run one scene alone to see why"
            raise RunError("worker", f"it {how} before it was ready, {MOST_FALSE_STARTS} times in a row", advice)

    def unbegun(self, assignment: Assignment, worker: int) -> None:
        """A worker was gone before it could begin: that says nothing of the scene."""
        self._book.interrupted(assignment, worker)
        if not self._stopping:
            self._queue.appendleft(assignment)

    def died(self, assignment: Assignment, worker: int, death: Death) -> None:
        """A worker is gone: its order waits again, or has failed; or its output is complete nevertheless."""
        if files := self._book.arrived(assignment):
            return self._done(assignment, worker, [str(file) for file in files], death.seconds, death.peak)
        if (self._stopping and not death.verdict) or _is_over(assignment):
            return self._book.interrupted(assignment, worker)
        assignment.deaths += 1
        if death.verdict or assignment.deaths >= (MOST_KILLS if death.outside else MOST_DEATHS):
            error = death.verdict or f"its worker {death.how}, the last of {assignment.deaths} in a row to die with no tile finished in between"
            return self._failed(assignment, worker, error, death.seconds, death.peak)
        self._book.interrupted(assignment, worker)
        self._book.note(f"worker {worker} {death.how}; {assignment.order.name} goes on with another")
        self._queue.appendleft(assignment)
        return None


def _is_over(assignment: Assignment) -> bool:
    """Whether this is a group of a scene that has failed."""
    return assignment.family is not None and assignment.family.failed
