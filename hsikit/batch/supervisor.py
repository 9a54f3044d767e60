"""Keeps a crew of workers on this machine busy: replaces the dead, enforces limits, stops cleanly. Knows processes, no ledger and no engine."""

from __future__ import annotations

import selectors
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hsikit.batch.agenda import Agenda, Death
from hsikit.batch.crew import COMMAND, Worker
from hsikit.batch.executor import TICK, Assignment, Book, Limits, on_signals


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
    """An `Executor` of worker processes on this machine."""

    def __init__(self, limits: Limits, environment: Mapping[str, str], command: Sequence[str] = COMMAND) -> None:
        self._limits, self._environment, self._command = limits, environment, command
        self._posts: dict[int, _Post] = {}
        self._selector = selectors.DefaultSelector()
        self._stops = self._obeyed = 0

    @property
    def jobs(self) -> int:
        """See `Executor`."""
        return self._limits.jobs

    def run(self, assignments: Sequence[Assignment], book: Book) -> bool:
        """See `Executor`."""
        self._agenda, self._book = Agenda(assignments, book), book
        with on_signals(self.stop):
            try:
                while self._agenda or self._busy():
                    self._obey()
                    self._staff()
                    for key, _ in self._selector.select(TICK):
                        self._hear(key.data)
                    self._enforce()
            finally:
                self._dismiss()
        return not self._stops

    def stop(self) -> None:
        """See `Executor`."""
        self._stops += 1

    def _obey(self) -> None:
        """Does what `stop` asked for since."""
        if self._stops and not self._obeyed:
            self._agenda.stop()
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
            if post.worker.ready and post.assignment is None and self._agenda.due:
                self._assign(post, self._agenda.take(post.worker.number))
        coming = sum(not post.worker.ready for post in self._posts.values())
        free = [number for number in range(1, self._limits.jobs + 1) if number not in self._posts]
        for number in free[: max(0, self._agenda.due - coming)]:
            post = self._posts[number] = _Post(Worker(number, self._environment, self._command))
            self._selector.register(post.worker, selectors.EVENT_READ, post)

    def _assign(self, post: _Post, assignment: Assignment) -> None:
        post.assignment, post.started, post.steps, post.total, post.verdict = assignment, time.monotonic(), 0, 0, ""
        post.worker.begin_scene()
        order = assignment.order
        post.worker.send({"order": order.to_json(), "how": self._limits.how(assignment), "signatures": order.signatures})

    def _hear(self, post: _Post) -> None:
        """Takes what a worker says."""
        messages = post.worker.hear()
        if messages is None:
            self._ended(post)
        for message in messages or ():
            kind, assignment = message["is"], post.assignment
            if kind == "ready":
                post.worker.ready = True
                self._agenda.ready()
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
            self._agenda.reached(assignment, post.steps)
        else:
            post.steps += message["steps"]
        self._book.stepped(post.worker.number, post.steps, post.total)

    def _answered(self, post: _Post, assignment: Assignment, message: Mapping[str, Any]) -> None:
        """A worker is through with its order."""
        post.assignment = None
        self._agenda.answered(assignment, post.worker.number, message, max(post.worker.peak, message["resident"]))

    def _ended(self, post: _Post) -> None:
        """A worker's process is gone."""
        self._selector.unregister(post.worker)
        del self._posts[post.worker.number]
        how = post.worker.end()
        if not post.worker.ready:
            self._agenda.false_start(how)
        if post.assignment is not None:
            death = Death(how, post.worker.killed_from_outside, post.verdict, time.monotonic() - post.started, post.worker.peak)
            self._agenda.died(post.assignment, post.worker.number, death)

    def _enforce(self) -> None:
        """Ends workers that take more time or memory than they may."""
        for post in self._busy():
            resident = post.worker.resident()
            if not post.verdict and (verdict := self._limits.exceeded(resident, post.started)):
                post.verdict = verdict
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
