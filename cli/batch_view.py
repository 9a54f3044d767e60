"""The progress of a batch: one bar for all scenes and a line for each worker; in a log file a line for each scene."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .console import tell

if TYPE_CHECKING:
    from hsikit.batch import Order


class View:
    """See `hsikit.batch.run.Watcher`. Failures are told when they happen, also when quiet."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bars: Any = None
        self._whole: Any = None
        self._lines: dict[int, Any] = {}
        self._total = self._through = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.stop()

    def begin(self, total: int, done: int, failed: int, jobs: int) -> None:
        """See `Watcher`."""
        self._total, self._through = total, done + failed
        if self._quiet:
            return
        before = f", {done} are done" + (f", {failed} failed before (--retry-failed tries them again)" if failed else "")
        tell(f"{total} scenes{before if done or failed else ''}; {jobs} worker{'s' if jobs > 1 else ''}")
        if sys.stderr.isatty() and self._through < total:
            self._draw()

    def _draw(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bars = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True))
        self._bars.start()
        self._whole = self._bars.add_task("scenes", total=self._total, completed=self._through)

    def begun(self, worker: int, order: Order) -> None:
        """See `Watcher`."""
        if self._bars is not None:
            if worker in self._lines:
                self._bars.remove_task(self._lines[worker])
            self._lines[worker] = self._bars.add_task(f"  {worker}: {_plain(order.name)}", total=None)

    def stepped(self, worker: int, steps: int, total: int) -> None:
        """See `Watcher`."""
        if self._bars is not None and worker in self._lines:
            self._bars.update(self._lines[worker], completed=steps, total=total)

    def ended(self, worker: int, order: Order, state: str, seconds: float, error: str) -> None:
        """See `Watcher`."""
        if state == "waiting":
            return
        self._through += 1
        if self._bars is not None:
            self._bars.update(self._whole, completed=self._through)
        elif not self._quiet:
            tell(f"{self._through} of {self._total}: {order.name} {state} ({seconds:.1f} s)")

    def note(self, message: str) -> None:
        """See `Watcher`."""
        if self._bars is not None:
            self._bars.console.print(_plain(message), highlight=False)
        elif not self._quiet:
            tell(message)


def _plain(text: str) -> str:
    """A text without what rich would take as markup."""
    from rich.markup import escape

    return escape(text)
