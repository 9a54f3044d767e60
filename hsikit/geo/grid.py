"""Grids and windows as values: where a pixel lies on the ground, and which pixels are meant.

A `Grid` has a shape, an affine transform from (column, row) of the upper-left pixel *corner* to map coordinates, and a
CRS as text. A `Window` is a rectangle of whole pixels. Axes are always named rows and cols, never x and y, so that no one
has to remember an order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from affine import Affine

Coefficients = tuple[float, float, float, float, float, float]
IDENTITY: Coefficients = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class Window(NamedTuple):
    """A rectangle of pixels: `rows` x `cols` of them, the first at (`row`, `col`). May reach outside a grid."""

    row: int
    col: int
    rows: int
    cols: int

    @property
    def row_end(self) -> int:
        """The row after the last one."""
        return self.row + self.rows

    @property
    def col_end(self) -> int:
        """The column after the last one."""
        return self.col + self.cols

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.rows, self.cols

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.rows * self.cols

    def expand(self, halo: tuple[int, int]) -> Window:
        """The window with `halo` (rows, cols) more pixels on each side."""
        return Window(self.row - halo[0], self.col - halo[1], self.rows + 2 * halo[0], self.cols + 2 * halo[1])

    def intersect(self, other: Window) -> Window:
        """The pixels that both windows hold; of zero size where there are none."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        return Window(row, col, max(0, min(self.row_end, other.row_end) - row), max(0, min(self.col_end, other.col_end) - col))

    def slices(self, origin: tuple[int, int] = (0, 0)) -> tuple[slice, slice]:
        """Slices (rows, cols) that cut this window out of an array whose first pixel is at `origin`."""
        row, col = self.row - origin[0], self.col - origin[1]
        return slice(row, row + self.rows), slice(col, col + self.cols)

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> Window:
        """All pixels of a grid of that shape."""
        return cls(0, 0, *shape)


def tile_windows(area: Window, tile: tuple[int, int]) -> Iterator[Window]:
    """Core windows of `tile` (rows, cols) that cover `area` without overlap, row by row; the last ones may be smaller."""
    for row in range(area.row, area.row_end, tile[0]):
        for col in range(area.col, area.col_end, tile[1]):
            yield Window(row, col, min(tile[0], area.row_end - row), min(tile[1], area.col_end - col))


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a raster lie.

    Attributes:
        shape: (rows, cols).
        transform: affine coefficients (a, b, c, d, e, f): x = a col + b row + c, y = d col + e row + f, at pixel corners.
        crs: the coordinate reference system as "EPSG:n" or WKT; None where the file has none.
    """

    shape: tuple[int, int]
    transform: Coefficients = IDENTITY
    crs: str | None = None

    @property
    def georeferenced(self) -> bool:
        """Whether the pixels have a place on the ground."""
        return self.crs is not None and self.transform != IDENTITY

    @property
    def pixel_size(self) -> tuple[float, float]:
        """(width, height) of a pixel, in map units."""
        a, b, _, d, e, _ = self.transform
        return math.hypot(a, d), math.hypot(b, e)

    @property
    def rotation(self) -> float:
        """Degrees by which the rows are turned from the map's east, counter-clockwise."""
        return math.degrees(math.atan2(self.transform[3], self.transform[0]))

    @property
    def crs_name(self) -> str:
        """The CRS in a few words: "EPSG:32633", the name that opens its WKT, or "none"."""
        if self.crs is None:
            return "none"
        return self.crs if '"' not in self.crs else self.crs.split('"')[1]

    @property
    def drawn(self) -> Coefficients:
        """Where vectors of this grid are drawn: `transform`; without any (column, -row), where a GIS shows such a picture."""
        return (1.0, 0.0, 0.0, 0.0, -1.0, 0.0) if self.transform == IDENTITY else self.transform

    @cached_property
    def affine(self) -> Affine:
        """The transform as an `affine.Affine`."""
        from affine import Affine

        return Affine(*self.transform)

    @property
    def whole(self) -> Window:
        """The window of all its pixels."""
        return Window.whole(self.shape)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of its outer corners, in map units."""
        a, b, c, d, e, f = self.transform
        rows, cols = self.shape
        xs = [a * x + b * y + c for x in (0, cols) for y in (0, rows)]
        ys = [d * x + e * y + f for x in (0, cols) for y in (0, rows)]
        return min(xs), min(ys), max(xs), max(ys)

    def centres(self, rows: Any, cols: Any) -> tuple[Any, Any]:
        """Map coordinates (x, y) of the centres of these pixels; numbers or arrays."""
        a, b, c, d, e, f = self.transform
        return a * (cols + 0.5) + b * (rows + 0.5) + c, d * (cols + 0.5) + e * (rows + 0.5) + f

    def finer(self, zoom: Fraction) -> Grid:
        """The grid with `zoom` times as many pixels along each axis, over the same corner."""
        if zoom == 1:
            return self
        rows, cols = (math.floor(size * zoom + Fraction(1, 2)) for size in self.shape)
        a, b, c, d, e, f = self.transform
        step = float(zoom)
        transform = IDENTITY if not self.georeferenced and self.transform == IDENTITY else (a / step, b / step, c, d / step, e / step, f)
        return Grid((rows, cols), transform, self.crs)

    def crop(self, window: Window) -> Grid:
        """The grid of the window's pixels alone."""
        a, b, c, d, e, f = self.transform
        origin = (a * window.col + b * window.row + c, d * window.col + e * window.row + f)
        transform = IDENTITY if self.transform == IDENTITY and self.crs is None else (a, b, origin[0], d, e, origin[1])
        return Grid(window.shape, transform, self.crs)
