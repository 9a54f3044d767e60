"""Where the pixels of a swath lie: a scene on the sensor's own grid, each measurement once, with no affine transform to a map.

A `Swath` tells longitude and latitude of its pixels and, where the product gives one, its lookup table: for each pixel of a
map grid, which pixel of the sensor's grid belongs there. Methods run on the sensor's grid; finished layers are put through
the table. A table repeats measurements and drops others, so a cube put through it falsifies noise estimates, covariances and
splits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Grid, Window

Degrees = NDArray[np.float64]
Locate = Callable[[Window], tuple[Degrees, Degrees]]
"""Longitude and latitude (degrees, WGS 84) of the centres of a window's pixels, each of the window's shape; NaN where unknown."""

NOTHING = -1
"""Row and column of a map pixel that no measurement belongs to."""


@dataclass(frozen=True, eq=False)
class Lookup:
    """A window of a lookup table.

    Attributes:
        rows: row on the sensor's grid for each map pixel, from 0; `NOTHING` where there is none. Shape of the window, int32.
        cols: column, the same.
        infill: where the pixel is a neighbour's, put there to close a gap of the map. Shape of the window.
    """

    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    infill: NDArray[np.bool_]

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Where there is a measurement."""
        return np.asarray(self.rows >= 0)


class LookupTable(Protocol):
    """For each pixel of a map, which pixel of the sensor's grid belongs there. May be read by several threads at once."""

    @property
    def grid(self) -> Grid:
        """The map's grid."""
        ...

    def read(self, window: Window) -> Lookup:
        """The table of a window that lies inside `grid`."""
        ...


class ArrayTable:
    """A lookup table in memory."""

    def __init__(self, grid: Grid, rows: NDArray[np.int32], cols: NDArray[np.int32], infill: NDArray[np.bool_] | None = None) -> None:
        self.grid, self._rows, self._cols = grid, rows, cols
        self._infill = np.zeros(grid.shape, bool) if infill is None else infill

    def read(self, window: Window) -> Lookup:
        """See `LookupTable`."""
        part = window.slices()
        return Lookup(self._rows[part], self._cols[part], self._infill[part])


@dataclass(frozen=True)
class CroppedTable:
    """The table of a part of the sensor's grid; the map keeps its extent."""

    base: LookupTable
    part: Window

    @property
    def grid(self) -> Grid:
        """See `LookupTable`."""
        return self.base.grid

    def read(self, window: Window) -> Lookup:
        """See `LookupTable`."""
        whole = self.base.read(window)
        rows, cols = whole.rows - self.part.row, whole.cols - self.part.col
        inside = whole.filled & (rows >= 0) & (rows < self.part.rows) & (cols >= 0) & (cols < self.part.cols)
        nothing = np.int32(NOTHING)
        return Lookup(np.where(inside, rows, nothing), np.where(inside, cols, nothing), whole.infill & inside)


@dataclass(frozen=True, eq=False)
class Swath:
    """Where the pixels of a scene on the sensor's own grid lie.

    Attributes:
        shape: (rows, cols) of the sensor's grid: downtrack, crosstrack.
        locate: longitude and latitude of a window's pixels, read when asked for; may be called by several threads at once.
        table: the product's own lookup table; None where it has none, and one is made from the positions.
    """

    shape: tuple[int, int]
    locate: Locate
    table: LookupTable | None = None

    def crop(self, window: Window) -> Swath:
        """The swath of a window's pixels alone."""
        if window == Window.whole(self.shape):
            return self

        def locate(part: Window) -> tuple[Degrees, Degrees]:
            return self.locate(Window(part.row + window.row, part.col + window.col, *part.shape))

        return Swath(window.shape, locate, None if self.table is None else CroppedTable(self.table, window))


def swath_of_arrays(longitude: Degrees, latitude: Degrees, table: LookupTable | None = None) -> Swath:
    """A swath whose positions are in memory, each of shape (rows, cols), degrees."""
    shape = (longitude.shape[0], longitude.shape[1])
    return Swath(shape, lambda window: (longitude[window.slices()], latitude[window.slices()]), table)
