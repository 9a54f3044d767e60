"""What a command says: results on stdout, progress and notices on stderr."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path


def say(text: str) -> None:
    """A line on stdout."""
    print(text, flush=True)


def tell(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


def wrote(files: list[Path] | tuple[Path, ...], quiet: bool = False) -> None:
    """Says what was written."""
    if files and not quiet:
        say("wrote " + ", ".join(str(file) for file in files))


LONG = 20
"""Runs of fewer tile steps are over before a log needs a line on them."""


TRAININGS = ("pretraining", "tuning")
"""Plans whose steps are those of a training."""


class Bar:
    """The progress of a run: its plan, one bar, and what an earlier run had done.

    On a terminal the bar is drawn by rich; elsewhere (a log file) a line is written now and then.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._total = self._done = self._tenth = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, plan: str, total: int, done: int) -> None:
        """See `hsikit.engine.options.Progress`."""
        if self.quiet:
            return
        if plan:
            tell(f"{plan}: {total} steps" if plan in TRAININGS else f"plan: {plan}")
        if done:
            tell(f"resumed {done} of {total} {'training steps' if plan in TRAININGS else 'tiles'}")
        self._total, self._done, self._tenth = total, done, 10 * done // max(1, total)
        if sys.stderr.isatty():
            self._draw(total, done)

    def _draw(self, total: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.start()
        elif self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task("", total=total, completed=done)

    def advance(self, stage: str, steps: int = 1) -> None:
        """See `hsikit.engine.options.Progress`."""
        self._done += steps
        if self._bar is not None:
            self._bar.update(self._task, advance=steps, description=stage)
        elif self._total >= LONG and not self.quiet and (tenth := 10 * self._done // self._total) > self._tenth:
            self._tenth = tenth
            tell(f"{stage}: {self._done} of {self._total}")

    def note(self, message: str) -> None:
        """See `hsikit.engine.options.Progress`."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.console.print(message, highlight=False)
        else:
            tell(message)
