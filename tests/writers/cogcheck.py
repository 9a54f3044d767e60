"""A small reader of TIFF structure that holds a file against the rules of a cloud-optimised GeoTIFF.

The rules are those of GDAL's documentation of the COG driver: the directory of the full image first, then those of the
overviews from large to small, all before any pixel; tiles everywhere; pixels of the smallest overview first, of the full image
last; overviews unless the image has at most 512 rows and columns.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

_SIZES = {1: "B", 2: "c", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 16: "Q"}
SUBFILE, WIDTH, HEIGHT, STRIP_OFFSETS, TILE_WIDTH, TILE_OFFSETS, TILE_COUNTS = 254, 256, 257, 273, 322, 324, 325


@dataclass
class Directory:
    offset: int
    end: int
    tags: dict[int, tuple[float, ...]]


def directories(data: bytes) -> list[Directory]:
    """All directories of a little-endian TIFF or BigTIFF, in the order of their chain."""
    assert data[:2] == b"II"
    big = struct.unpack_from("<H", data, 2)[0] == 43
    offset = struct.unpack_from("<Q", data, 8)[0] if big else struct.unpack_from("<I", data, 4)[0]
    found = []
    while offset:
        count = struct.unpack_from("<Q" if big else "<H", data, offset)[0]
        first, size = offset + (8 if big else 2), 20 if big else 12
        tags = dict(_tag(data, first + i * size, big) for i in range(count))
        end = first + count * size
        found.append(Directory(offset, end, tags))
        offset = struct.unpack_from("<Q" if big else "<I", data, end)[0]
    return found


def _tag(data: bytes, at: int, big: bool) -> tuple[int, tuple[float, ...]]:
    code, kind = struct.unpack_from("<HH", data, at)
    count = struct.unpack_from("<Q" if big else "<I", data, at + 4)[0]
    if kind not in _SIZES:
        return code, ()
    form = f"<{count}{_SIZES[kind]}"
    inline = 8 if big else 4
    place = at + (12 if big else 8)
    if struct.calcsize(form) > inline:
        place = struct.unpack_from("<Q" if big else "<I", data, place)[0]
    return code, struct.unpack_from(form, data, place)


def problems(path: Path) -> list[str]:
    """What keeps a file from being a valid COG; empty for a valid one."""
    data = path.read_bytes()
    found, wrong = directories(data), []
    if any(TILE_WIDTH not in d.tags or STRIP_OFFSETS in d.tags for d in found):
        wrong.append("an image is not tiled")
        return wrong
    if found[0].tags.get(SUBFILE, (0,))[0] != 0:
        wrong.append("the first directory is not the full image")
    if any(d.tags.get(SUBFILE, (0,))[0] != 1 for d in found[1:]):
        wrong.append("a further directory is no overview")
    sizes = [(d.tags[WIDTH][0], d.tags[HEIGHT][0]) for d in found]
    if max(sizes[0]) > 512 and len(found) == 1:
        wrong.append("no overviews")
    if sorted(sizes, reverse=True) != sizes or len(set(sizes)) != len(sizes):
        wrong.append("overviews do not get smaller")
    if [d.offset for d in found] != sorted(d.offset for d in found):
        wrong.append("directories are not in order")
    if found[0].offset > 16 and data[8 if data[2] == 42 else 16 :][:30] != b"GDAL_STRUCTURAL_METADATA_SIZE=":
        wrong.append("the first directory is not at the start")
    starts = [[at for at in d.tags[TILE_OFFSETS] if at] for d in found]
    if any(len(s) != len(d.tags[TILE_OFFSETS]) for s, d in zip(starts, found, strict=True)):
        wrong.append("a tile is missing")
    if min(min(s) for s in starts) < max(d.end for d in found):
        wrong.append("pixels lie before a directory")
    if any(min(larger) < max(smaller) for larger, smaller in pairwise(starts)):
        wrong.append("pixels of an overview lie after those of a larger image")
    ends = [at + n for d in found for at, n in zip(d.tags[TILE_OFFSETS], d.tags[TILE_COUNTS], strict=True)]
    if max(ends) > len(data):
        wrong.append("a tile lies outside the file")
    return wrong
