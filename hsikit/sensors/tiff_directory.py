"""A check of a TIFF's directory: as many strips or tiles as its size needs, and of the length that uncompressed ones must have.

GDAL reads zeros for strips that a directory does not list, so that an image whose size is damaged opens with another shape.
Source: TIFF revision 6.0 (Adobe, 1992); BigTIFF (libtiff).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hsikit.errors import SceneError

WIDTH, LENGTH, BITS, COMPRESSION, STRIPS, SAMPLES, ROWS, STRIP_BYTES = 256, 257, 258, 259, 273, 277, 278, 279
PLANAR, TILE_WIDTH, TILE_LENGTH, TILES, TILE_BYTES = 284, 322, 323, 324, 325
UNCOMPRESSED = 1
SEPARATE = 2
MOST_ENTRIES, MOST_VALUES = 4096, 1 << 20
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Types of whole numbers, and how `struct` calls them."""


@dataclass(frozen=True)
class Entry:
    """One entry of a directory: type, number of values, and where in the file these are."""

    kind: int
    count: int
    place: int


def refuse_short_directory(path: Path) -> None:
    """Checks the first image of a TIFF.

    Raises:
        SceneError: its directory is damaged, or contradicts itself.
    """
    try:
        with path.open("rb") as file:
            wrong = _contradiction(file)
    except OSError as error:
        raise SceneError(path, f"cannot be read ({error.strerror})") from None
    except (struct.error, ValueError, ZeroDivisionError):
        wrong = "its directory cannot be read"
    if wrong:
        raise SceneError(path, f"is incomplete or damaged: {wrong}", "Fetch the file again")


def _contradiction(file: BinaryIO) -> str:
    """What is wrong; "" where nothing is."""
    order, entries = _directory(file)
    width, length = (_number(file, order, entries, tag, 0) for tag in (WIDTH, LENGTH))
    samples = _number(file, order, entries, SAMPLES, 1)
    planes = samples if _number(file, order, entries, PLANAR, 1) == SEPARATE else 1
    tiled = TILES in entries
    block = (
        (_number(file, order, entries, TILE_LENGTH, 0), _number(file, order, entries, TILE_WIDTH, 0))
        if tiled
        else (min(_number(file, order, entries, ROWS, length), length), width)
    )
    if min(width, length, *block, samples) < 1:
        return "its image has no pixels"
    listed = entries.get(TILES if tiled else STRIPS)
    down, across = -(-length // block[0]), -(-width // block[1])
    if listed is None or listed.count != down * across * planes:
        return f"it lists {listed.count if listed else 0} blocks, and {length} x {width} pixels need {down * across * planes}"
    if _number(file, order, entries, COMPRESSION, UNCOMPRESSED) != UNCOMPRESSED:
        return ""
    row = block[1] * (samples // planes) * _number(file, order, entries, BITS, 1)
    found = _numbers(file, order, entries.get(TILE_BYTES if tiled else STRIP_BYTES))
    return _wrong_length(found, block[0], row, 0 if tiled else length, down)


def _wrong_length(found: tuple[int, ...], rows: int, row_bits: int, length: int, down: int) -> str:
    """Whether uncompressed blocks have the length that their rows need; the last strip may be padded, an absent block has none.

    Args:
        found: bytes of each block.
        rows: of a block.
        row_bits: bits of one of its rows.
        length: rows of the image for strips; 0 for tiles, which are all whole.
        down: number of blocks from top to bottom.
    """
    full = rows * (-(-row_bits // 8))
    last = (length - (down - 1) * rows) * (-(-row_bits // 8)) if length else full
    for number, size in enumerate(found):
        ends = (number + 1) % down == 0 and bool(length)
        fits = size in {0, last, full} if ends and down > 1 else size in {0, full}
        if not fits:
            return f"block {number + 1} has {size} bytes, and its pixels need {last if ends else full}"
    return ""


def _directory(file: BinaryIO) -> tuple[str, Mapping[int, Entry]]:
    """Byte order, and the entries of the first directory by their tags."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}[head[:2]] if head[:2] in (b"II", b"MM") else ""
    version = struct.unpack_from(f"{order}H", head, 2)[0] if order else 0
    if version not in (42, 43):
        raise ValueError
    big = version == 43
    start = struct.unpack_from(f"{order}Q", head, 8)[0] if big else struct.unpack_from(f"{order}I", head, 4)[0]
    file.seek(start)
    number = struct.unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))[0]
    if number > MOST_ENTRIES:
        raise ValueError
    form = struct.Struct(f"{order}HH{'Q' if big else 'I'}")
    room, step = (8, 20) if big else (4, 12)
    begun, data, entries = file.tell(), file.read(number * step), {}
    for place in range(0, number * step, step):
        tag, kind, count = form.unpack_from(data, place)
        inside = place + form.size
        size = struct.calcsize(_TYPES[kind]) * count if kind in _TYPES else room + 1
        offset = begun + inside if size <= room else struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, inside)[0]
        entries[tag] = Entry(kind, count, offset)
    return order, entries


def _number(file: BinaryIO, order: str, entries: Mapping[int, Entry], tag: int, default: int) -> int:
    values = _numbers(file, order, entries.get(tag))
    return values[0] if values else default


def _numbers(file: BinaryIO, order: str, entry: Entry | None) -> tuple[int, ...]:
    """Whole numbers of an entry; none where it is absent, or has so many that no scene does."""
    if entry is None or entry.kind not in _TYPES or entry.count > MOST_VALUES:
        return ()
    form = struct.Struct(f"{order}{entry.count}{_TYPES[entry.kind]}")
    file.seek(entry.place)
    return form.unpack(file.read(form.size))
