"""What is done with lookup tables: layers put through them, parts of them, and tables held in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.geo.swath import ArrayTable, Lookup, LookupTable

STRIP_PIXELS = 1 << 20
"""A table is read this many pixels at once: a compressed one decodes whole chunks for each piece."""
HELD_BYTES = 128 << 20
"""The most that a table may take in memory."""
BYTES_PER_PIXEL = 9


def gather(values: NDArray[Any], lookup: Lookup, origin: tuple[int, int], out: NDArray[Any]) -> None:
    """Puts measurements on a map; what a map pixel without one gets is left open.

    Args:
        values: shape (..., rows, cols) of a window of the sensor's grid.
        lookup: of shape (map rows, map cols); it points into that window.
        origin: the window's first pixel.
        out: shape (..., map rows, map cols).
    """
    filled = lookup.filled
    rows, cols = np.where(filled, lookup.rows - origin[0], 0), np.where(filled, lookup.cols - origin[1], 0)
    if values.ndim == 2 or values.strides[0] >= values.strides[-1]:
        places = (rows * values.shape[-1] + cols).astype(np.intp)
        for band in np.ndindex(values.shape[:-2]):
            out[band] = values[band].reshape(-1).take(places)
    else:  # whole spectra lie together
        out[...] = np.moveaxis(np.moveaxis(values, 0, -1)[rows, cols], -1, 0)


def around(lookup: Lookup) -> Window | None:
    """The smallest window of the sensor's grid that holds what a part of a table points to; None where that is nothing."""
    filled = lookup.filled
    if not filled.any():
        return None
    rows, cols = lookup.rows[filled], lookup.cols[filled]
    row, col = int(rows.min()), int(cols.min())
    return Window(row, col, int(rows.max()) - row + 1, int(cols.max()) - col + 1)


def pieces(lookup: Lookup, most: int) -> Iterator[tuple[tuple[slice, slice], Lookup, Window]]:
    """Parts of a window of a table that need at most `most` of the sensor's pixels each.

    Rows of a map cross a swath at an angle, and a wide window would need all of it.

    Args:
        lookup: a window of a table.
        most: pixels of the sensor's grid.

    Yields:
        Slices (rows, cols) of a part, its table, and the window of the sensor's grid that it needs. Parts without a measurement are left out.
    """
    rows, cols = lookup.rows.shape
    yield from _split(lookup, Window(0, 0, rows, cols), most)


def _split(whole: Lookup, part: Window, most: int) -> Iterator[tuple[tuple[slice, slice], Lookup, Window]]:
    cut = part.slices()
    lookup = Lookup(whole.rows[cut], whole.cols[cut], whole.infill[cut])
    needed = around(lookup)
    if needed is None:
        return
    if needed.size <= most or part.size == 1:
        yield cut, lookup, needed
        return
    half = (-(-part.rows // 2), part.cols) if part.rows >= part.cols else (part.rows, -(-part.cols // 2))
    for smaller in tile_windows(part, half):
        yield from _split(whole, smaller, most)


@dataclass(frozen=True)
class TablePart:
    """A window of a table's map, as a table of its own."""

    base: LookupTable
    window: Window

    @property
    def grid(self) -> Grid:
        """See `LookupTable`."""
        return self.base.grid.crop(self.window)

    def read(self, window: Window) -> Lookup:
        """See `LookupTable`."""
        return self.base.read(Window(window.row + self.window.row, window.col + self.window.col, *window.shape))


def strips(grid: Grid) -> Iterator[Window]:
    """Full-width strips of a map."""
    return tile_windows(grid.whole, (max(1, STRIP_PIXELS // grid.shape[1]), grid.shape[1]))


def held(table: LookupTable) -> LookupTable:
    """The table in memory, read once, where it is not too large for that."""
    pixels = table.grid.shape[0] * table.grid.shape[1]
    if isinstance(table, ArrayTable) or pixels * BYTES_PER_PIXEL > HELD_BYTES:
        return table
    rows, cols, infill = np.empty(table.grid.shape, np.int32), np.empty(table.grid.shape, np.int32), np.empty(table.grid.shape, bool)
    for window in strips(table.grid):
        found, part = table.read(window), window.slices()
        rows[part], cols[part], infill[part] = found.rows, found.cols, found.infill
    return ArrayTable(table.grid, rows, cols, infill)


def trimmed(table: LookupTable) -> LookupTable:
    """The table without its outer rows and columns that hold no measurement; the same where it holds none at all."""
    down, across = np.zeros(table.grid.shape[0], bool), np.zeros(table.grid.shape[1], bool)
    for window in strips(table.grid):
        filled = table.read(window).filled
        down[window.row : window.row_end] = filled.any(axis=1)
        across |= filled.any(axis=0)
    if not down.any():
        return table
    (row, row_end), (col, col_end) = ((int(found[0]), int(found[-1]) + 1) for found in (np.flatnonzero(down), np.flatnonzero(across)))
    window = Window(row, col, row_end - row, col_end - col)
    return table if window == table.grid.whole else TablePart(table, window)
