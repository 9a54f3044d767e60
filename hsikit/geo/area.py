"""How much ground a pixel covers: geodesic areas on the ellipsoid of the grid's CRS, in hectares.

A map projection stretches: a 30 m pixel of a UTM scene covers between 898 and 901 square metres, one of a Mercator scene at
60 degrees latitude a quarter of what its size says. The area of a pixel is that of the geodesic quadrilateral between its
corners (Karney 2013, Algorithms for geodesics, doi:10.1007/s00190-012-0578-z; computed by PROJ). It varies smoothly, so it is
computed on a lattice of pixels that is refined until interpolating between them is right to `TOLERANCE`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError
from hsikit.geo.grid import Grid, Window

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

TOLERANCE = 1e-6
"""Relative error of an interpolated pixel area, as measured half way between the lattice's pixels; 2e-5 for a map of the whole Earth."""
FIRST_NODES, MOST_NODES = 5, 257
SQUARE_METRES_PER_HECTARE = 1e4
STRIP_PIXELS = 1 << 18
CLOSE_CODES = 1 << 12


@dataclass(frozen=True, eq=False)
class PixelAreas:
    """Areas of the pixels of a grid (hectares), interpolated between those at `rows` and `cols`.

    Attributes:
        rows: rows of the lattice, ascending, from the first to the last of the grid.
        cols: its columns.
        nodes: areas there (ha), shape (len(rows), len(cols)); 0 where the projection has no place on the ground.
    """

    rows: Indices
    cols: Indices
    nodes: Floats

    def read(self, window: Window) -> Floats:
        """Areas (ha) of the pixels of a window, shape (window.rows, window.cols)."""
        return _interpolate(self.rows, self.cols, self.nodes, np.arange(window.row, window.row_end), np.arange(window.col, window.col_end))


def pixel_areas(grid: Grid) -> PixelAreas | None:
    """The ground that each pixel covers; None for a grid that is not georeferenced.

    Raises:
        GridError: a CRS that is not understood.
    """
    if not grid.georeferenced:
        return None
    corners = _Corners(grid)
    rows, cols = _spread(grid.shape[0], FIRST_NODES), _spread(grid.shape[1], FIRST_NODES)
    nodes = corners.areas(rows, cols)
    while True:
        finer_rows, finer_cols = _refine(rows), _refine(cols)
        along_rows = _error(corners, rows, cols, nodes, finer_rows, cols)
        along_cols = _error(corners, rows, cols, nodes, rows, finer_cols)
        grow_rows = along_rows > TOLERANCE / 2 and len(rows) < min(MOST_NODES, grid.shape[0])
        grow_cols = along_cols > TOLERANCE / 2 and len(cols) < min(MOST_NODES, grid.shape[1])
        if not (grow_rows or grow_cols):
            return PixelAreas(rows, cols, nodes)
        rows, cols = finer_rows if grow_rows else rows, finer_cols if grow_cols else cols
        nodes = corners.areas(rows, cols)


def class_areas(strips: Iterable[tuple[Window, NDArray[Any]]], grid: Grid) -> dict[int, tuple[int, float | None]]:
    """Pixels and hectares of each code of a map.

    Args:
        strips: windows of `grid`, without overlap, each with its codes: integers of shape (rows, cols) or (1, rows, cols).
        grid: the grid of the map.

    Returns:
        code -> (pixels, hectares), by ascending code; hectares are None without georeference.

    Raises:
        GridError: a CRS that is not understood.
    """
    areas = pixel_areas(grid)
    pixels: dict[int, int] = {}
    hectares: dict[int, float] = {}
    for window, codes in strips:
        for part in _parts(window):
            found, place = _places(codes.reshape(window.shape)[part.slices((window.row, window.col))].ravel())
            counts = np.bincount(place)
            ground = np.bincount(place, areas.read(part).ravel()) if areas else np.zeros(len(counts))
            for k in np.flatnonzero(counts).tolist():
                code = int(found[k])
                pixels[code] = pixels.get(code, 0) + int(counts[k])
                hectares[code] = hectares.get(code, 0.0) + float(ground[k])
    return {code: (pixels[code], hectares[code] if areas else None) for code in sorted(pixels)}


def _places(values: NDArray[Any]) -> tuple[NDArray[Any], Indices]:
    """Codes, ascending, and where each value stands among them. Codes that lie close together are not sorted, which takes ten times as long."""
    low, high = int(values.min()), int(values.max())
    if high - low < CLOSE_CODES:
        return np.arange(low, high + 1), values.astype(np.intp) - low
    found, place = np.unique(values, return_inverse=True)
    return found, place.ravel()


def _parts(window: Window) -> list[Window]:
    height = max(1, STRIP_PIXELS // max(1, window.cols))
    return [Window(row, window.col, min(height, window.row_end - row), window.cols) for row in range(window.row, window.row_end, height)]


class _Corners:
    """Geodesic areas of single pixels from their corners."""

    def __init__(self, grid: Grid) -> None:
        from pyproj import CRS, Transformer
        from pyproj.exceptions import CRSError

        try:
            crs = CRS.from_user_input(grid.crs)
            geographic = crs.geodetic_crs
            geod = crs.get_geod()
            if geographic is None or geod is None:
                raise CRSError("it has no ellipsoid")
            geographic = geographic.to_2d()
            self._to_geographic = Transformer.from_crs(crs, geographic, always_xy=True)
        except CRSError as error:
            raise GridError(
                str(grid.crs), f"areas cannot be computed in this coordinate reference system ({error})", "Give the scene a CRS on the Earth"
            ) from error
        self._grid, self._geod = grid, geod
        self._per_unit = geographic.axis_info[0].unit_conversion_factor * 180.0 / np.pi
        self._known: dict[tuple[int, int], float] = {}

    def areas(self, rows: Indices, cols: Indices) -> Floats:
        """Areas (ha) of the pixels at rows x cols; 0 where a corner has no place on the ground."""
        wanted = [(int(r), int(c)) for r in rows for c in cols]
        new = [place for place in wanted if place not in self._known]
        if new:
            self._known.update(zip(new, self._measure(np.asarray(new, np.float64)), strict=True))
        return np.array([self._known[place] for place in wanted]).reshape(len(rows), len(cols))

    def _measure(self, places: Floats) -> list[float]:
        col = places[:, 1, None] + np.array([0.0, 1.0, 1.0, 0.0])
        row = places[:, 0, None] + np.array([0.0, 0.0, 1.0, 1.0])
        a, b, c, d, e, f = self._grid.transform
        x, y = a * col + b * row + c, d * col + e * row + f
        lon, lat = self._to_geographic.transform(x, y)
        lon, lat = lon * self._per_unit, lat * self._per_unit
        on_ground = (np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90.0)).all(axis=1)
        square_metres = [abs(self._geod.polygon_area_perimeter(lon[i], lat[i])[0]) if on_ground[i] else 0.0 for i in range(len(places))]
        return [area / SQUARE_METRES_PER_HECTARE for area in square_metres]


def _error(corners: _Corners, rows: Indices, cols: Indices, nodes: Floats, finer_rows: Indices, finer_cols: Indices) -> float:
    """Largest relative error of interpolation at a finer lattice."""
    truth = corners.areas(finer_rows, finer_cols)
    guess = _interpolate(rows, cols, nodes, finer_rows, finer_cols)
    largest = float(truth.max())
    return float(np.abs(guess - truth).max()) / largest if largest > 0 else 0.0


def _spread(size: int, count: int) -> Indices:
    return np.unique(np.linspace(0, size - 1, count).round().astype(np.intp))


def _refine(places: Indices) -> Indices:
    """The places, and those half way between them."""
    return np.unique(np.concatenate([places, (places[:-1] + places[1:]) // 2]))


def _interpolate(rows: Indices, cols: Indices, nodes: Floats, row: Indices, col: Indices) -> Floats:
    """Bilinear, at row x col."""
    r, u = _place(rows, row)
    c, v = _place(cols, col)
    along = nodes[r] * (1.0 - u)[:, None] + nodes[np.minimum(r + 1, len(rows) - 1)] * u[:, None]
    return np.asarray(along[:, c] * (1.0 - v) + along[:, np.minimum(c + 1, len(cols) - 1)] * v, np.float64)


def _place(nodes: Indices, at: Indices) -> tuple[Indices, Floats]:
    """The node before each position, and the share of the way to the next."""
    before = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, max(0, len(nodes) - 2))
    after = np.minimum(before + 1, len(nodes) - 1)
    step = np.maximum(nodes[after] - nodes[before], 1)
    return before, (at - nodes[before]) / step
