"""File handles that several threads share without ever using one at the same time."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Handle = TypeVar("Handle")


class HandlePool(Generic[Handle]):
    """Lends handles to reads: an idle one, else a new one; so there are as many as threads that read at once.

    Args:
        open_: makes a handle.
        close: closes one.
    """

    def __init__(self, open_: Callable[[], Handle], close: Callable[[Handle], None]) -> None:
        self._open, self._close = open_, close
        self._idle: list[Handle] = []
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _close_all, self._idle, close)

    @contextmanager
    def lend(self) -> Iterator[Handle]:
        """A handle for one read; after an error it is closed instead of kept."""
        with self._lock:
            handle = self._idle.pop() if self._idle else None
        if handle is None:
            handle = self._open()
        try:
            yield handle
        except BaseException:
            self._close(handle)
            raise
        with self._lock:
            self._idle.append(handle)

    def close(self) -> None:
        """Closes the handles that no read is using; a later read opens new ones."""
        with self._lock:
            idle = list(self._idle)
            self._idle.clear()
        _close_all(idle, self._close)


def _close_all(handles: list[Handle], close: Callable[[Handle], None]) -> None:
    while handles:
        close(handles.pop())
