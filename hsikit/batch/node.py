"""What a Dask worker does: it has a scene done by a worker process of its own, which it watches, and says what became of it.

The scene runs in a process beside the Dask worker, as on one machine: limits hold, a crash ends nothing else, the Dask worker keeps
answering its scheduler, and where it is lost the process ends at once. Processes are kept for the next scene, with their model.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hsikit.batch.crew import Worker, environment_of
from hsikit.batch.executor import LEAST_MEMORY, TICK, Limits
from hsikit.version import __version__

STEPS_SECONDS = 1.0
"""How often progress is told: it passes through the scheduler."""

_idle: list[Worker] = []
_stopped: set[str] = set()
_lock = threading.Lock()


@dataclass(frozen=True)
class Ticket:
    """One attempt at one scene, as the driving process sends it.

    Attributes:
        run: the batch, by a name of its own.
        token: the attempt, by a name of its own: the scheduler has a queue of this name that holds one word. Who takes it may begin; Dask,
            where it believes a worker lost, would have a scene done by two at once.
        order: the order, as JSON.
        how: as a worker process is told, see `Limits.how`; its memory may be said here only.
        limits: as for workers of one machine.
        command: how a worker process is started.
        signatures: see `Order.signatures`; not shown where Dask shows a ticket.
    """

    run: str
    token: str
    order: Mapping[str, Any]
    how: Mapping[str, Any]
    limits: Limits
    command: tuple[str, ...]
    signatures: Mapping[str, str] = field(default_factory=dict, repr=False)


def attend(ticket: Ticket) -> dict[str, Any]:
    """Has a scene done; runs as a Dask task.

    Returns:
        What the worker process answered, with "opened", "reached" and "peak"; or {"is": "died"} with what `hsikit.batch.agenda.Death`
        holds; {"is": "unready"}: no process could be started; {"is": "lost"}: an attempt with this token was begun before.
    """
    if ticket.run in _stopped:
        return {"is": "stopped"}
    if not _take(ticket.token):
        return {"is": "lost"}
    memory = ticket.limits.memory or _share()
    worker = _hire(environment_of(ticket.limits.threads, memory), ticket.command)
    watch = _Watch(worker, ticket)
    worker.send({"order": ticket.order, "how": {**ticket.how, "memory": memory}, "signatures": ticket.signatures})
    answer = watch.through()
    if answer["is"] == "stopped":  # it would stop the next scene as well
        worker.kill()
        worker.end()
    elif answer["is"] not in ("died", "unready"):
        with _lock:
            _idle.append(worker)
    return {**answer, **watch.seen}


def version() -> str:
    """The version of hsikit that this Dask worker has."""
    return __version__


def stop(run: str) -> None:
    """Lets the scenes of a batch finish their tiles in flight, and begins no other."""
    _stopped.add(run)


def dismiss() -> None:
    """Ends the worker processes that have no scene."""
    with _lock:
        while _idle:
            worker = _idle.pop()
            worker.kill()
            worker.end()


def _take(token: str) -> bool:
    import distributed

    dask: Any = distributed
    try:
        dask.Queue(token).get(timeout=0)
    except TimeoutError:
        return False
    return True


def _share() -> int:
    """Memory for one scene where none is promised: this Dask worker's share, else half of what is available, for each of its threads."""
    from distributed import get_worker

    from hsikit.engine.resources import available_memory

    worker: Any = get_worker()
    limit = worker.memory_manager.memory_limit or available_memory() // 2
    return max(int(limit) // int(worker.state.nthreads), LEAST_MEMORY)


def _hire(environment: Mapping[str, str], command: Sequence[str]) -> Worker:
    """An idle worker process of this kind that is alive, or a new one."""
    with _lock:
        for worker in list(_idle):
            if worker.alive and worker.kind == (dict(environment), tuple(command)):
                _idle.remove(worker)
                worker.begin_scene()
                return worker
            if not worker.alive:
                _idle.remove(worker)
                worker.end()
    return Worker(0, environment, command)


@dataclass
class _Watch:
    """One worker process through one scene."""

    worker: Worker
    ticket: Ticket
    seen: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    total: int = 0
    verdict: str = ""
    told: float = 0.0
    stopped: bool = False

    def through(self) -> dict[str, Any]:
        """Listens until there is an answer, or the process is gone."""
        started = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self.worker, selectors.EVENT_READ)
            while True:
                for _ in selector.select(TICK):
                    messages = self.worker.hear()
                    if messages is None:
                        return self._death(started)
                    for message in messages:
                        if (answer := self._hear(message)) is not None:
                            self.seen["peak"] = max(self.worker.peak, message["resident"])
                            return answer
                self._enforce(started)

    def _hear(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Takes one message; returns it where it is the answer."""
        kind = message["is"]
        if kind == "opened":
            self.seen["opened"] = [message["identity"], message["pixels"]]
        elif kind == "begin":
            self.steps, self.total = message["done"], message["total"]
            self.seen["reached"] = self.steps
            self._tell()
        elif kind == "advance":
            self.steps += message["steps"]
            self._tell()
        elif kind == "ready":
            self.worker.ready = True
        else:
            return message
        return None

    def _tell(self) -> None:
        """Says through the scheduler how far the scene is."""
        from distributed import get_worker

        if time.monotonic() - self.told >= STEPS_SECONDS:
            self.told = time.monotonic()
            get_worker().log_event(self.ticket.run, {"token": self.ticket.token, "steps": self.steps, "total": self.total, "reached": self.seen["reached"]})

    def _enforce(self, started: float) -> None:
        """Ends the process where it takes too much, or where nobody waits for it any more; lets it stop where that is wished."""
        resident = self.worker.resident()
        if not self.verdict and (verdict := self.ticket.limits.exceeded(resident, started)):
            self.verdict = verdict
            self.worker.kill()
        if not _wanted():
            self.worker.kill()
        if self.ticket.run in _stopped and not self.stopped:
            self.stopped = True
            self.worker.send({"stop": True})

    def _death(self, started: float) -> dict[str, Any]:
        outside = self.worker.killed_from_outside
        how = self.worker.end()
        if not self.worker.ready:
            return {"is": "unready", "how": how}
        death = {"how": how, "outside": outside, "verdict": self.verdict, "seconds": time.monotonic() - started, "peak": self.worker.peak}
        return {"is": "died", "death": death}


def _wanted() -> bool:
    """Whether the task that runs in this thread is still wanted: not where it was cancelled, or its client is gone."""
    from distributed import get_worker

    worker: Any = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    return task is not None and task.state != "cancelled"
