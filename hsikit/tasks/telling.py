"""What is told of a network's training: its steps, to the engine's progress, and how much of it the labels taught."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

PARAMETERS, TUNED = "parameters", "parameters_tuned"
"""Settings that count a network's parameters: all of them, and those that learned from the labels."""


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


def learned_share(settings: Mapping[str, Any]) -> str:
    """How many of a model's parameters learned from the labels, in words; "" where its settings do not count them."""
    total, tuned = settings.get(PARAMETERS), settings.get(TUNED)
    if not (isinstance(total, int) and isinstance(tuned, int) and total > 0):
        return ""
    return f"{tuned:,} of {total:,} ({100 * tuned / total:.1f} %)"
