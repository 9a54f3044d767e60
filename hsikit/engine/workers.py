"""Threads around the compute: one reads ahead, several compute, the caller consumes.

The reader goes through the tiles in order and hands each one over with the strips that cover it, so that a strip lives just
as long as a tile needs it. Every worker computes with one torch thread: a result depends on no thread count.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Handled = tuple[int, Any]
_WAIT = 0.1


@dataclass(frozen=True)
class _Failed:
    error: BaseException


class _Stopped(Exception):
    """A thread was told to stop."""


class _Pipe:
    """A bounded queue whose ends give up when the run stops."""

    def __init__(self, size: int, stop: threading.Event) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(size)
        self._stop = stop

    def put(self, item: Any) -> None:
        while not self._stop.is_set():
            try:
                return self._queue.put(item, timeout=_WAIT)
            except queue.Full:
                continue
        raise _Stopped

    def get(self) -> Any:
        while not self._stop.is_set():
            try:
                return self._queue.get(timeout=_WAIT)
            except queue.Empty:
                continue
        raise _Stopped


def _ahead(threads: int) -> int:
    """Tiles that lie ready: enough to read the next strip meanwhile, few enough to keep no strip for long."""
    return max(1, threads // 2)


def in_flight(threads: int) -> int:
    """Tiles whose strips are alive at once: computed, ready, or being read."""
    return threads + _ahead(threads) + 1


def run_ordered(tiles: Sequence[int], fetch: Callable[[int], Any], make_worker: Callable[[], Callable[[int, Any], Any]], threads: int,
                *, ordered: bool) -> Iterator[Handled]:  # fmt: skip
    """Yields (tile, result) for every tile.

    Args:
        tiles: numbers, in the order in which they are read.
        fetch: called in the reading thread.
        make_worker: called once in each worker; returns what turns (tile, fetched) into a result.
        threads: number of workers.
        ordered: whether results come in the order of `tiles`, else as they are finished.
    """
    stop = threading.Event()
    # Where results are wanted in order, one slow tile must not let all the others pile up behind it.
    slots = threading.Semaphore(2 * in_flight(threads))
    ready, finished = _Pipe(_ahead(threads), stop), _Pipe(threads + 2, stop)

    def read() -> None:
        for number in tiles:
            while not slots.acquire(timeout=_WAIT):
                if stop.is_set():
                    raise _Stopped
            ready.put((number, fetch(number)))
        for _ in range(threads):
            ready.put(None)

    def work() -> None:
        import torch

        torch.set_num_threads(1)
        handle = make_worker()
        with torch.inference_mode():
            while (item := ready.get()) is not None:
                number, fetched = item
                del item
                finished.put((number, handle(number, fetched)))
                del fetched

    crew = [threading.Thread(target=_guard, args=(target, finished), daemon=True) for target in [read] + [work] * threads]
    for thread in crew:
        thread.start()
    try:
        for handled in _collect(tiles, finished, ordered):
            yield handled
            slots.release()
    finally:
        stop.set()
        for thread in crew:
            thread.join()


def _guard(target: Callable[[], None], finished: _Pipe) -> None:
    """Runs a thread's work; what goes wrong there is raised where the results are consumed."""
    try:
        target()
    except _Stopped:
        pass
    except BaseException as error:  # any failure must reach the consumer, which would wait for ever
        with contextlib.suppress(_Stopped):
            finished.put((-1, _Failed(error)))


def _collect(tiles: Sequence[int], finished: _Pipe, ordered: bool) -> Iterator[Handled]:
    waiting: dict[int, Any] = {}
    upcoming = iter(tiles)
    due = next(upcoming, None)
    for _ in range(len(tiles)):
        number, result = finished.get()
        if isinstance(result, _Failed):
            raise result.error
        if not ordered:
            yield number, result
            continue
        waiting[number] = result
        while due in waiting:
            yield due, waiting.pop(due)
            due = next(upcoming, None)
