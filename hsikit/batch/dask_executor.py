"""An executor on `dask.distributed`: scenes are tasks of a cluster, whose scheduler says which worker does which.

Each attempt at a scene is a task of its own with a token that one worker can take once: where Dask loses a worker and gives its task
to another, that one answers "lost", and the scene is begun again here, by the rules that hold on one machine.
"""

from __future__ import annotations

import queue
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hsikit.batch import node
from hsikit.batch.agenda import Agenda, Death
from hsikit.batch.crew import COMMAND
from hsikit.batch.executor import TICK, Assignment, Book, Limits, on_signals
from hsikit.errors import RunError
from hsikit.version import __version__

if TYPE_CHECKING:
    from distributed import Client

LOOK_SECONDS = 2.0
"""How often it is looked which workers there are."""
LOST = Death("was lost by its cluster", outside=True)


@dataclass
class _Attempt:
    """A scene that was given to the cluster.

    Attributes:
        assignment: what is to be done.
        place: its number among those that are given at once, from 1.
        future: of its task.
        ticket: that holds its token; taken by the worker that begins.
    """

    assignment: Assignment
    place: int
    future: Any
    ticket: Any


class DaskExecutor:
    """An `Executor` of the workers of a cluster: each thread of a Dask worker has one scene at a time.

    Args:
        client: connected to the cluster's scheduler.
        limits: for each worker process; `jobs` is not looked at.
        command: how a worker process is started on its machine.
    """

    def __init__(self, client: Client, limits: Limits, command: Sequence[str] = COMMAND) -> None:
        self._client: Any = client
        self._limits, self._command, self._run = limits, tuple(command), f"hsikit-{secrets.token_hex(8)}"
        self._attempts: dict[str, _Attempt] = {}
        self._events: queue.SimpleQueue[tuple[str, Mapping[str, Any] | None]] = queue.SimpleQueue()
        self._stops = self._obeyed = self._slots = 0
        self._lost = False
        self._looked = -LOOK_SECONDS

    @property
    def jobs(self) -> int:
        """See `Executor`."""
        return sum(self._client.nthreads().values())

    def run(self, assignments: Sequence[Assignment], book: Book) -> bool:
        """See `Executor`."""
        self._agenda, self._book, self._address = Agenda(assignments, book), book, str(self._client.scheduler.address)
        self._check_versions()
        self._client.subscribe_topic(self._run, self._told)
        with on_signals(self.stop):
            try:
                while self._agenda or self._attempts:
                    self._obey()
                    self._submit()
                    self._hear()
            except (OSError, RuntimeError):  # of our own they are as well; Dask has several for a scheduler that is gone
                if self._client.status == "running":
                    raise
                raise self._gone() from None
            finally:
                self._dismiss()
        return not self._stops

    def stop(self) -> None:
        """See `Executor`."""
        self._stops += 1

    def _check_versions(self) -> None:
        """Refuses a cluster whose workers cannot do what the driving process expects.

        Raises:
            RunError: they have no hsikit, or another version.
        """
        for address, found in self._everywhere(node.version).items():
            if found != __version__:
                said = f"has hsikit {found}" if isinstance(found, str) else f"cannot import hsikit ({type(found).__name__}: {found})"
                raise RunError(address, f"this worker {said}, and this is hsikit {__version__}", "Install the same version in the workers' environment")

    def _everywhere(self, function: Any, *arguments: Any) -> dict[str, Any]:
        """What a function of `node` returns, or the exception that it raises, on each worker."""
        found: dict[str, Any] = self._client.run(function, *arguments, on_error="return")
        return found

    def _told(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Takes what a worker says through the scheduler."""
        self._events.put((event[1]["token"], event[1]))

    def _obey(self) -> None:
        """Does what `stop` asked for since."""
        if self._stops and not self._obeyed:
            self._agenda.stop()
            self._book.note("stopping: tiles in flight are finished; once more stops at once")
            self._everywhere(node.stop, self._run)
            self._client.cancel([attempt.future for attempt in self._attempts.values() if attempt.future.status == "pending" and not self._begun(attempt)])
        if self._stops > 1:
            self._client.cancel([attempt.future for attempt in self._attempts.values()], force=True)
        self._obeyed = self._stops

    def _begun(self, attempt: _Attempt) -> bool:
        """Whether a worker has taken its token."""
        return not attempt.ticket.qsize()

    def _submit(self) -> None:
        """Gives as many scenes to the cluster as it has threads: each is begun at once, and what is not given needs no taking back."""
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked, before, self._slots = time.monotonic(), self._slots, self.jobs
            if not self._slots and (before or not self._attempts):
                self._book.note("the cluster has no workers yet")
        free = [place for place in range(1, self._slots + 1) if place not in {attempt.place for attempt in self._attempts.values()}]
        for place in free[: self._agenda.due]:
            self._give(self._agenda.take(place), place)

    def _give(self, assignment: Assignment, place: int) -> None:
        import distributed

        dask: Any = distributed
        token = f"{self._run}-{secrets.token_hex(8)}"
        ticket = dask.Queue(token, client=self._client)
        ticket.put(True)
        order = assignment.order.absolute  # the worker's folder is another
        asked = node.Ticket(self._run, token, order.to_json(), self._limits.how(assignment), self._limits, self._command, order.signatures)
        future = self._client.submit(node.attend, asked, key=token, pure=False)
        self._attempts[token] = _Attempt(assignment, place, future, ticket)
        future.add_done_callback(lambda _: self._events.put((token, None)))

    def _hear(self) -> None:
        """Waits a moment for what workers say, and takes it."""
        with suppress(queue.Empty):
            token, steps = self._events.get(timeout=TICK)
            attempt = self._attempts.get(token)
            if attempt is None:
                return
            if steps is not None:
                self._agenda.reached(attempt.assignment, steps["reached"])
                self._book.stepped(attempt.place, steps["steps"], steps["total"])
                return
            del self._attempts[token]
            attempt.ticket.close()
            self._ended(attempt)

    def _ended(self, attempt: _Attempt) -> None:
        """A task is through: with an answer, or lost."""
        assignment, place, answer = attempt.assignment, attempt.place, self._answer_of(attempt.future)
        if "opened" in answer:
            self._book.opened(assignment, *answer["opened"])
        if "reached" in answer:
            self._agenda.reached(assignment, answer["reached"])
        if answer["is"] == "unready":
            self._agenda.false_start(answer["how"])
            return self._agenda.unbegun(assignment, place)
        self._agenda.ready()
        if answer["is"] == "lost":
            self._agenda.died(assignment, place, LOST)
        elif answer["is"] == "died":
            self._agenda.died(assignment, place, Death(**answer["death"]))
        else:
            self._agenda.answered(assignment, place, answer, answer.get("peak", 0))
        return None

    def _answer_of(self, future: Any) -> dict[str, Any]:
        """What a task returned.

        Raises:
            RunError: the cluster is lost.
        """
        from distributed import KilledWorker

        if future.status == "cancelled":
            if not self._stops:
                raise self._gone()
            return {"is": "stopped"}
        error = future.exception()
        if error is None:
            answer: dict[str, Any] = future.result()
            return answer
        if isinstance(error, KilledWorker):
            return {"is": "lost"}
        return {"is": "failed", "error": f"its Dask worker could not begin ({type(error).__name__}: {error})", "seconds": 0.0}

    def _gone(self) -> RunError:
        self._lost = True
        return RunError(self._address, "the cluster is lost", "Start it again; the same command goes on")

    def _dismiss(self) -> None:
        """Leaves nothing of this batch on the cluster; what still runs there is so ended only after an error."""
        if self._lost:
            return
        with suppress(OSError, RuntimeError):  # the cluster may have gone meanwhile
            self._client.cancel([attempt.future for attempt in self._attempts.values()], force=True)
            self._client.unsubscribe_topic(self._run)
            self._everywhere(node.dismiss)
