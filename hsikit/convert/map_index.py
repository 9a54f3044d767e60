"""A lookup table laid out for a sweep over the sensor's rows: which map tile needs which rows, and the table tile by tile, on disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.swath import NOTHING, LookupTable

Numbers = NDArray[np.int32]
Rows = NDArray[np.int64]

SIDES = (128, 64, 32, 16)
"""Sides that a tile may have; each divides those before it."""
READ_PIXELS = 1 << 20
"""A table is read this many pixels at once: a compressed one decodes whole chunks for each piece."""


class MapIndex:
    """The table of a map as numbers (row * cols + col) of the sensor's pixels, in a file without a name.

    Args:
        table: the lookup table.
        shape: (rows, cols) of the sensor's grid.
        folder: where the file lies.
        name: of the scene, for messages.

    Raises:
        SceneError: the table points outside the sensor's grid, or that has more than 2 ** 31 pixels.
    """

    def __init__(self, table: LookupTable, shape: tuple[int, int], folder: Path, name: str) -> None:
        self.grid: Grid = table.grid
        if shape[0] * shape[1] > np.iinfo(np.int32).max:
            raise SceneError(name, f"{shape[0]} x {shape[1]} pixels are more than can be numbered", "Cut the scene along its track first")
        self._padded = tuple(-(-size // SIDES[0]) * SIDES[0] for size in self.grid.shape)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `__exit__`
        self._side = 0
        blocks = (self._padded[0] // SIDES[-1], self._padded[1] // SIDES[-1])
        self._first, self._last = np.full(blocks, shape[0], np.int64), np.full(blocks, -1, np.int64)
        height = max(1, READ_PIXELS // self._padded[1] // SIDES[0]) * SIDES[0]
        for row in range(0, self._padded[0], height):
            self._take(table, row, min(height, self._padded[0] - row), shape, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def _take(self, table: LookupTable, row: int, rows: int, shape: tuple[int, int], name: str) -> None:
        """Writes a strip of the table, and notes which of the sensor's rows its blocks need."""
        inside = Window(row, 0, rows, self._padded[1]).intersect(self.grid.whole)
        lookup = table.read(inside)
        filled = lookup.filled
        if filled.any() and (lookup.rows.max() >= shape[0] or lookup.cols.max() >= shape[1]):
            raise SceneError(name, f"its lookup table points outside the {shape[0]} x {shape[1]} pixels of the sensor's grid", "Fetch the file again")
        numbers = np.full((rows, self._padded[1]), NOTHING, np.int32)
        np.copyto(numbers[: inside.rows, : inside.cols], lookup.rows * np.int32(shape[1]) + lookup.cols, where=filled)
        self._write(numbers, row * self._padded[1] * 4)
        needed = numbers // np.int32(shape[1])  # nothing stays -1
        block = SIDES[-1]
        parts = needed.reshape(rows // block, block, self._padded[1] // block, block)
        here = slice(row // block, (row + rows) // block)
        self._last[here] = parts.max(axis=(1, 3))
        self._first[here] = np.where(parts >= 0, parts, shape[0]).min(axis=(1, 3))

    def rows_needed(self, side: int) -> tuple[Rows, Rows]:
        """First and last row of the sensor that each tile of `side` needs, tile by tile; last is -1 where a tile needs none."""
        count, (down, across) = side // SIDES[-1], self.tiles(side)
        first, last = (rows[: down * count, : across * count].reshape(down, count, across, count) for rows in (self._first, self._last))
        return first.min(axis=(1, 3)).ravel(), last.max(axis=(1, 3)).ravel()

    def tiles(self, side: int) -> tuple[int, int]:
        """How many tiles of `side` the map has, down and across."""
        return -(-self.grid.shape[0] // side), -(-self.grid.shape[1] // side)

    def arrange(self, side: int) -> None:
        """Lays the numbers out tile by tile, once."""
        width, file = self._padded[1], self._file.fileno()
        for strip in range(self._padded[0] // side):
            start = strip * side * width * 4
            rows = np.frombuffer(os.pread(file, side * width * 4, start), np.int32).reshape(side, width // side, side)
            self._write(np.ascontiguousarray(rows.transpose(1, 0, 2)), start)
        self._side = side

    def _write(self, numbers: Numbers, position: int) -> None:
        data = numbers.data.cast("B")
        while data:
            done = os.pwrite(self._file.fileno(), data, position)
            data, position = data[done:], position + done

    def tile(self, number: int) -> Numbers:
        """The sensor's pixels of a tile, row by row, shape (side * side,); `NOTHING` where there is none. After `arrange`."""
        side = self._side
        row, col = divmod(number, self.tiles(side)[1])
        start = (row * (self._padded[1] // side) + col) * side * side * 4
        return np.frombuffer(os.pread(self._file.fileno(), side * side * 4, start), np.int32)
