"""Who is told of a network's training: the engine's progress, in steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def teller(progress: Any, what: str) -> Callable[[int, int, str], None]:
    """The engine's progress, told of training steps."""
    begun = False

    def tell(done: int, total: int, text: str) -> None:
        nonlocal begun
        if progress is None:
            return
        if total == 0:
            progress.note(text)
            return
        if not begun:
            progress.begin(what, total, done - 1)
            begun = True
        progress.advance(what)

    return tell
