"""A check of HDF5's global heaps, where texts of any length lie: in a damaged one the HDF5 library searches for ever.

A half-written file, or one with a stretch of zeros, has a free object of no size, over which the library (seen in 2.0.0) never
steps. Heaps are looked for in the first and last few MiB, where files of imagery have their metadata.
Source: HDF5 File Format Specification 3.0, section III.E, "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hsikit.errors import SceneError

SEARCHED = 4 << 20
MARK = b"GCOL\x01\0\0\0"
"""Signature, version and reserved bytes of a collection of objects."""
MOST_BYTES = 16 << 20
"""Of a collection; the library makes them of 4 KiB unless one text is longer."""
_HEAD, _OBJECT = struct.Struct("<8sQ"), struct.Struct("<HHIQ")


def refuse_endless_heaps(path: Path) -> None:
    """Checks that every collection near the file's ends can be walked through.

    Raises:
        SceneError: one cannot, or the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if any(not _walkable(heap) for heap in _heaps(file, size)):
                raise SceneError(path, "is incomplete or damaged: a table of its texts has no end", "Fetch the file again")
    except OSError as error:
        raise SceneError(path, f"cannot be read ({error.strerror})") from None


def _heaps(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Each collection that lies whole within the file; the library itself refuses the others."""
    for start in sorted({0, max(0, size - SEARCHED)}):
        file.seek(start)
        part = file.read(SEARCHED)
        place = part.find(MARK)
        while place >= 0:
            file.seek(start + place)
            head = file.read(_HEAD.size)
            length = _HEAD.unpack(head)[1] if len(head) == _HEAD.size else 0
            if _HEAD.size <= length <= min(MOST_BYTES, size - start - place):
                yield file.read(length - _HEAD.size)
            place = part.find(MARK, place + 1)


def _walkable(objects: bytes) -> bool:
    """Whether steps from object to object lead to the end; the last of them, number 0, is the free space."""
    place = 0
    while place + _OBJECT.size <= len(objects):
        number, _, _, size = _OBJECT.unpack_from(objects, place)
        step = size if number == 0 else _OBJECT.size + -(-size // 8) * 8
        if not 0 < step <= len(objects) - place:
            return False
        place += step
    return True
