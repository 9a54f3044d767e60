"""What tells whether a file is still the same: its size and the time of its last change; of a remote file its size and ETag."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hsikit.errors import HsikitError
from hsikit.geo.remote import RemotePath, place_of
from hsikit.geo.remote_files import folder_state
from hsikit.writers.remote import is_done, states_in

__all__ = ["State", "changed", "is_there", "state_of", "states_in"]

State = tuple[str, int, int | str]
"""Path, bytes, time of the last change (ns) or ETag; -1 and -1 where there is nothing."""
_MISSING = (-1, -1)


def state_of(path: str | Path) -> State:
    """The state of a file; of a folder, the sum of its files and their latest change."""
    try:
        found = place_of(path)
        if isinstance(found, RemotePath):
            return (str(found), *(folder_state(found) if found.is_dir() else found.state()))
        if not found.is_dir():
            stat = found.stat()
            return str(found), stat.st_size, stat.st_mtime_ns
        stats = [file.stat() for file in found.rglob("*") if file.is_file()]
    except (OSError, ValueError, HsikitError):  # ValueError: a text that can be no path
        return str(path), *_MISSING
    return str(found), sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)


def changed(states: Iterable[State]) -> bool:
    """Whether a file is another one than it was; one that is gone, or cannot be reached, says nothing."""
    found = ((state_of(path), before) for path, *before in states)
    return any(now[1:] not in (tuple(before), _MISSING) for now, before in found)


def is_there(output: Path) -> bool:
    """Whether an output is finished: a file or folder of that name; on S3, one that is as its record says.

    Raises:
        SceneError: the server cannot be reached.
    """
    return is_done(output) if isinstance(output, RemotePath) else output.exists()
