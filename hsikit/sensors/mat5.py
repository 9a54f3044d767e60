"""Arrays of numbers and text out of MATLAB v5 files, checked byte by byte: a damaged file is refused, where SciPy's parser may crash.

Format: MathWorks, MAT-File Format (2024), "Level 5 MAT-File Format". Cells, structures, objects, sparse and complex arrays are
passed over.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError

HEADER = 128
MATRIX, COMPRESSED = 14, 15
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8", 16: "u1", 17: "u2", 18: "u4"}
"""Types of data elements; the last three are text."""
CLASSES = {4: "u2", 6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Classes of arrays; 4 is text, as codes of its characters."""
TEXT, FLOATS = 4, (6, 7)
COMPLEX = 0x0800
MOST_AXES = 32


@dataclass(frozen=True)
class MatArray:
    """An array in the file: name, shape, type, its numbers as they are stored, and whether they are codes of a text.

    MATLAB stores whole doubles in fewer bytes: such an array keeps the type that it is stored in, as SciPy has it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stored: np.dtype[Any]
    data: memoryview
    text: bool = False

    def values(self) -> NDArray[Any]:
        """The numbers, in native byte order."""
        flat = np.frombuffer(self.data, self.stored)
        with np.errstate(invalid="ignore"):  # what is no number becomes some integer, in a damaged file alone
            return flat.astype(self.dtype.newbyteorder("=")).reshape(self.shape, order="F")


def read_mat5(path: Path, wanted: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Arrays by name.

    Args:
        path: a MATLAB v5 file.
        wanted: names of the arrays to read; None: all.

    Raises:
        SceneError: truncated or damaged.
    """
    return {array.name: array.values() for array in arrays_of(path) if wanted is None or array.name in wanted}


def arrays_of(path: Path) -> Iterator[MatArray]:
    """The arrays of a file, in order; numbers of compressed ones are in memory only while one is looked at.

    Raises:
        SceneError: truncated or damaged.
    """
    try:
        data = memoryview(path.read_bytes())
    except OSError as error:
        raise SceneError(path, f"cannot be read ({error.strerror})") from None
    if len(data) < HEADER or bytes(data[126:128]) not in (b"IM", b"MI"):
        raise SceneError(path, "is no MATLAB v5 file, or it is truncated", "Save it again")
    order = "<" if bytes(data[126:128]) == b"IM" else ">"
    at = HEADER
    while at < len(data):
        kind, body, at = _element(path, data, at, order)
        if kind == COMPRESSED:
            kind, body, _ = _element(path, memoryview(_inflated(path, body)), 0, order)
        if kind == MATRIX and len(body):
            found = _array(path, body, order)
            if found is not None:
                yield found


def _inflated(path: Path, body: memoryview) -> bytes:
    try:
        return zlib.decompress(body)
    except zlib.error as error:
        raise _damaged(path, str(error)) from None


def _element(path: Path, data: memoryview, at: int, order: str) -> tuple[int, memoryview, int]:
    """Type and bytes of the element at a place, and where the next one begins."""
    if at + 8 > len(data):
        raise _damaged(path, "it ends within an element")
    kind, size = struct.unpack_from(order + "II", data, at)
    if kind >> 16:  # up to four bytes lie within the tag itself
        kind, size = kind & 0xFFFF, kind >> 16
        if size > 4:
            raise _damaged(path, f"a small element of {size} bytes")
        return kind, data[at + 4 : at + 4 + size], at + 8
    if at + 8 + size > len(data):
        raise _damaged(path, f"an element of {size} bytes reaches beyond its end")
    end = at + 8 + size
    return kind, data[at + 8 : end], end if kind == COMPRESSED else end + -size % 8


def _array(path: Path, body: memoryview, order: str) -> MatArray | None:
    """An array of numbers or text; None for what is passed over."""
    flags, at = _part(path, body, 0, order, (6,))
    shape, at = _part(path, body, at, order, (5,))
    name, at = _part(path, body, at, order, (1, 2))
    if len(flags) < 1 or not 2 <= len(shape) <= MOST_AXES or (shape < 0).any():
        raise _damaged(path, "an array without shape")
    kind, sizes = int(flags[0]) & 0xFF, tuple(int(n) for n in shape)
    if kind not in CLASSES or int(flags[0]) & COMPLEX:
        return None
    stored, data, _ = _element(path, body, at, order)
    if stored not in STORED:
        raise _damaged(path, f"numbers of the unknown type {stored}")
    dtype = np.dtype(order + STORED[stored])
    if math.prod(sizes) * dtype.itemsize != len(data):
        raise _damaged(path, f"{len(data)} bytes for an array of {' x '.join(map(str, sizes))}")
    wanted = dtype if kind in FLOATS else np.dtype(CLASSES[kind])
    return MatArray(bytes(name.astype(np.uint8)).decode("latin-1"), sizes, wanted, dtype, data, kind == TEXT)


def _part(path: Path, body: memoryview, at: int, order: str, kinds: tuple[int, ...]) -> tuple[NDArray[Any], int]:
    """A small leading element of an array."""
    kind, data, end = _element(path, body, at, order)
    if kind not in kinds or len(data) % np.dtype(STORED[kind]).itemsize:
        raise _damaged(path, "an array without flags, shape or name")
    return np.frombuffer(data, order + STORED[kind]), end


def _damaged(path: Path, what: str) -> SceneError:
    return SceneError(path, f"is truncated or damaged ({what})", "Save it again")
