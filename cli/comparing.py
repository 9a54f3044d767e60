"""What the two kinds of `hsikit benchmark` share: progress in cells, scenes opened, what is told, how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import typer

from hsikit.errors import OptionError

from .console import Bar, say, tell, wrote
from .options import SceneArgs

MOST_LINES = 100
"""Of progress in a log file."""


class CellBar(Bar):
    """The progress of a benchmark, counted in cells."""

    def begin(self, plan: str, total: int, done: int) -> None:
        """See `hsikit.engine.options.Progress`."""
        super().begin(plan, total, 0)
        if done and not self.quiet:
            tell(f"{done} of {total} cells are there already")
        self._done = done
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def advance(self, stage: str, steps: int = 1) -> None:
        """See `hsikit.engine.options.Progress`."""
        if self._bar is not None or self.quiet:
            super().advance(stage, steps)
            return
        self._done += steps
        if self._done * MOST_LINES // self._total > (self._done - steps) * MOST_LINES // self._total:
            tell(f"cell {self._done} of {self._total}: {stage}")


def opened_scenes(scenes: Sequence[str], scene_args: SceneArgs, held: ExitStack) -> list[Any]:
    """The scenes; `held` closes them."""
    from hsikit.api import source_of

    return [held.enter_context(closing(source_of(scene, **scene_args.options()))) for scene in scenes]


def require_one_each(option: str, what: str, files: Sequence[str], scenes: Sequence[str]) -> None:
    """Checks that each scene has a file.

    Raises:
        OptionError: there are more or fewer.
    """
    if len(files) != len(scenes):
        raise OptionError(option, f"{len(files)} {what} files for {len(scenes)} scenes", "Give one for each scene, in the same order")


def told(table: str, notes: Sequence[str], files: Sequence[Path], quiet: bool) -> None:
    """Says the table, its notes, and where they are."""
    say(table)
    for note in notes:
        tell(f"note: {note}")
    wrote(tuple(files), quiet)


def end(failed: int, cells: int) -> None:
    """Ends with code 1 where a cell failed."""
    if failed:
        tell(f"{failed} of {cells} cells failed; the same command tries them again")
        raise typer.Exit(1)
