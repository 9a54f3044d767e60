"""A check of HDF5's global heaps, where texts of any length lie: in a damaged one the HDF5 library searches for ever.

A half-written file, or one with a stretch of zeros, has a free object of no size, over which the library (seen in 2.0.0) never
steps. Files of up to 256 MiB are searched whole. Of larger ones, and of files on a server, the first and last few MiB are, where files
of imagery have their metadata.
Source: HDF5 File Format Specification 3.0, section III.E, "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hsikit.errors import SceneError
from hsikit.geo.remote import RemotePath

WHOLE = 256 << 20
"""Bytes of a file up to which all of it is searched, in less than half a second where it has been read before."""
SEARCHED = 4 << 20
"""Bytes that are searched at once, and at each end of a larger file."""
MARK = b"GCOL\x01"
"""Signature and version of a collection of objects; the library does not look at the three reserved bytes that follow."""
MOST_BYTES = 16 << 20
"""Of a collection; the library makes them of 4 KiB unless one text is longer."""
_HEAD, _OBJECT = struct.Struct("<8sQ"), struct.Struct("<HHIQ")


def refuse_endless_heaps(path: Path) -> None:
    """Checks that every collection that is found can be walked through.

    Raises:
        SceneError: one cannot, or is longer than any is, or the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if any(not _walkable(heap) for heap in _heaps(file, _starts(size, isinstance(path, RemotePath)), size)):
                raise SceneError(path, "is incomplete or damaged: a table of its texts has no end", "Fetch the file again")
    except OSError as error:
        raise SceneError(path, f"cannot be read ({error.strerror})") from None


def _starts(size: int, remote: bool) -> list[int]:
    """Where the parts begin that are searched."""
    return sorted({0, max(0, size - SEARCHED)}) if remote or size > WHOLE else list(range(0, size, SEARCHED))


def _heaps(file: BinaryIO, starts: list[int], size: int) -> Iterator[bytes | None]:
    """The objects of each collection that lies whole within the file, as the library itself refuses the others; None for one that is too long.

    Collections do not overlap: together they are no longer than the file, which also bounds the work on a file of nothing but marks.
    """
    seen, left = -1, size
    for start in starts:
        file.seek(start)
        part = file.read(SEARCHED + len(MARK) - 1)
        place = part.find(MARK)
        while place >= 0:
            if start + place > seen:
                seen = start + place
                file.seek(seen)
                head = file.read(_HEAD.size)
                length = _HEAD.unpack(head)[1] if len(head) == _HEAD.size else 0
                if _HEAD.size <= length <= size - seen:
                    left -= length
                    yield None if length > MOST_BYTES or left < 0 else file.read(length - _HEAD.size)
            place = part.find(MARK, place + 1)


def _walkable(objects: bytes | None) -> bool:
    """Whether steps from object to object lead to the end; the last of them, number 0, is the free space."""
    place = 0
    while objects is not None and place + _OBJECT.size <= len(objects):
        number, _, _, size = _OBJECT.unpack_from(objects, place)
        step = size if number == 0 else _OBJECT.size + -(-size // 8) * 8
        if not 0 < step <= len(objects) - place:
            return False
        place += step
    return objects is not None
