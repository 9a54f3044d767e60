"""What tells whether a file is still the same: its size and the time of its last change."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

State = tuple[str, int, int]
"""Path, bytes, time of the last change (ns); -1 and -1 where there is nothing."""
_MISSING = (-1, -1)


def state_of(path: str | Path) -> State:
    """The state of a file; of a folder, the sum of its files and their latest change."""
    found = Path(path)
    try:
        if not found.is_dir():
            stat = found.stat()
            return str(found), stat.st_size, stat.st_mtime_ns
        stats = [file.stat() for file in found.rglob("*") if file.is_file()]
    except (OSError, ValueError):  # ValueError: a text that can be no path
        return str(found), *_MISSING
    return str(found), sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)


def states_in(identity: Iterable[Any]) -> list[State]:
    """The states of the files in a scene's `SceneInfo.identity`; what else stands there is passed over."""
    found: list[State] = []
    for part in identity:
        match part:
            case [str(path), int(size), int(changed), *_]:
                found.append((path, size, changed))
    return found


def unchanged(states: Iterable[State]) -> bool:
    """Whether all files are as they were."""
    return all(state_of(path) == (path, size, changed) for path, size, changed in states)
