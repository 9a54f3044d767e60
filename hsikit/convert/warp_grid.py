"""Grids to warp to: another CRS, another pixel size, another extent; and where their pixels lie on a scene's own grid."""

from __future__ import annotations

import math
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, OptionError, SceneError
from hsikit.geo.footprint import edge_points
from hsikit.geo.grid import Grid, Window
from hsikit.geo.swath import NOTHING, Lookup
from hsikit.scene import Source
from hsikit.sensors.crs import crs_text

Floats = NDArray[np.float64]
Bounds = tuple[float, float, float, float]
"""left, bottom, right, top."""

ON_A_BORDER = 1e-6
"""Of a pixel: a centre that lies on the border of two pixels but for rounding belongs to the one below and to the right."""
MOST_PIXELS = 1 << 32


def grid_for(source: Source, *, crs: str | None = None, resolution: float | None = None, bounds: Bounds | None = None) -> Grid:
    """A grid without rotation around a scene.

    Example:
        >>> grid = grid_for(scene, crs="EPSG:3035", resolution=30)

    Args:
        source: a scene on a map grid.
        crs: "EPSG:n" or WKT; by default the scene's.
        resolution: side of a pixel, in units of the CRS; by default the scene's own where the CRS is the same, else the side of a square
            of the same area, to three digits.
        bounds: left, bottom, right, top in that CRS; by default those of the scene. They are widened to whole pixels.

    Raises:
        GridError: the scene has no georeference, or no place in the CRS; a CRS that is not understood.
        OptionError: a resolution or bounds that make no sense.
    """
    info = source.info
    own = require_map(info.grid, info.name)
    target = str(own.crs) if crs is None else crs
    if resolution is not None and not (math.isfinite(resolution) and resolution > 0):
        raise OptionError("res", f"{resolution} is no size of a pixel", "Give it in units of the CRS, such as 30")
    if bounds is not None and not (bounds[0] < bounds[2] and bounds[1] < bounds[3]):
        raise OptionError("bounds", f"{' '.join(f'{edge:g}' for edge in bounds)} is no box", "Give left bottom right top, in this order")
    x, y = moved(own.crs, target, *edge_points(own))
    if not (np.isfinite(x) & np.isfinite(y)).all():
        raise GridError(info.name, f"not all of it has a place in {target}", "Choose a CRS of its part of the world")
    if _geographic(target):
        x = np.unwrap(x, period=360)
    if resolution is not None and resolution > max(np.ptp(x), np.ptp(y)) and max(own.shape) > 1:
        raise OptionError("res", f"{resolution:g} is larger than the whole scene", f"Give the side of a pixel in units of {target}")
    width, height = _sizes(own, target) if resolution is None else (resolution, resolution)
    left, bottom, right, top = (float(edge) for edge in (x.min(), y.min(), x.max(), y.max())) if bounds is None else bounds
    rows, cols = (max(1, math.ceil(extent - 1e-6)) for extent in ((top - bottom) / height, (right - left) / width))
    if rows * cols > MOST_PIXELS:
        raise OptionError("res", f"makes a scene of {rows} x {cols} pixels", f"Give a larger pixel, in units of {target}")
    return Grid((rows, cols), (width, 0.0, left, 0.0, -height, top), target)


def grid_like(path: str | Path) -> Grid:
    """The grid of a scene, or of any georeferenced raster that GDAL reads.

    Raises:
        GridError: it has no georeference.
        SceneError: it cannot be opened.
    """
    from hsikit.sensors import open_source

    try:
        source = open_source(path, role="layer", inspect=False)
    except SceneError:
        found = _outline(Path(path))
        if found is None:
            raise
        return require_map(found, str(path))
    source.close()
    return require_map(source.info.grid, str(path))


def _outline(path: Path) -> Grid | None:
    """The grid of a local raster as GDAL tells it; None where it cannot."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    if not path.is_file():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as data:
                a, b, c, d, e, f = (float(value) for value in tuple(data.transform)[:6])
                return Grid((data.height, data.width), (a, b, c, d, e, f), crs_text(data.crs))
    except (RasterioError, OSError, ValueError):
        return None


def require_map(grid: Grid, name: str) -> Grid:
    """The grid, if it lies on a map.

    Raises:
        GridError: it does not.
    """
    if not grid.georeferenced:
        raise GridError(name, "has no map grid", "A swath is put on a map with `hsikit orthorectify`")
    return grid


def require_overlap(own: Grid, target: Grid, name: str) -> None:
    """Refuses a grid on which nothing of a scene would lie.

    Raises:
        GridError: the two do not overlap.
    """
    x, y = moved(own.crs, target.crs, *edge_points(own))
    known = np.isfinite(x) & np.isfinite(y)
    left, bottom, right, top = target.bounds
    apart = not known.any() or x[known].max() <= left or x[known].min() >= right or y[known].max() <= bottom or y[known].min() >= top
    if apart and not _geographic(str(target.crs)):
        raise GridError(name, "does not overlap the new grid", "Check the bounds, and whether they are in the CRS of the new grid")
    if apart and (not known.any() or y[known].max() <= bottom or y[known].min() >= top):  # longitudes may count past 180
        raise GridError(name, "does not overlap the new grid", "Check the bounds, and whether they are in the CRS of the new grid")


def _sizes(own: Grid, target: str) -> tuple[float, float]:
    """Width and height of pixels that keep the scene's resolution."""
    if own.crs == target and own.transform[1] == own.transform[3] == 0:
        return own.pixel_size
    rows, cols = own.shape
    x, y = own.centres(np.array([rows / 2, rows / 2, rows / 2 + 1]), np.array([cols / 2, cols / 2 + 1, cols / 2]))
    x, y = moved(own.crs, target, x, y)
    area = abs((x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]))
    side = float(f"{math.sqrt(area):.3g}")
    return side, side


def _geographic(crs: str) -> bool:
    from pyproj import CRS

    return bool(CRS.from_user_input(crs).is_geographic)


def moved(crs: Any, target: Any, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Coordinates in another CRS; infinite where it has no place for them.

    Raises:
        GridError: a CRS that is not understood, or two that cannot be related.
    """
    from pyproj.exceptions import ProjError

    try:
        found = transformer(crs, target).transform(x, y)
    except ProjError as error:
        raise GridError(str(target), f"cannot be related to {crs} ({error})", "Write it like EPSG:32633") from None
    return np.asarray(found[0], float), np.asarray(found[1], float)


def transformer(crs: Any, target: Any) -> Any:
    """What moves coordinates from one CRS to another, x before y; for one thread."""
    from pyproj import Transformer

    return Transformer.from_crs(crs, target, always_xy=True)


class GridTable:
    """For each pixel of a grid, the pixel of another one that holds its centre, as a lookup table.

    Args:
        grid: the grid.
        other: the grid that is looked up.

    Raises:
        GridError: a CRS that is not understood.
    """

    def __init__(self, grid: Grid, other: Grid) -> None:
        self.grid, self._other, self._local = grid, other, threading.local()
        self.positions(Window(0, 0, 1, 1))

    def positions(self, window: Window) -> tuple[Floats, Floats]:
        """Rows and columns of the other grid (from its corner, in pixels) of a window's centres; infinite where there is no place."""
        if not hasattr(self._local, "transformer"):
            moved(self.grid.crs, self._other.crs, np.zeros(0), np.zeros(0))
            self._local.transformer = transformer(self.grid.crs, self._other.crs)
        x, y = self.grid.centres(*np.mgrid[window.row : window.row_end, window.col : window.col_end].astype(float))
        x, y = self._local.transformer.transform(x.ravel(), y.ravel())
        a, b, c, d, e, f = self._other.transform
        scale = a * e - b * d
        with np.errstate(invalid="ignore"):
            rows, cols = (a * (y - f) - d * (x - c)) / scale, (e * (x - c) - b * (y - f)) / scale
        return rows.reshape(window.shape), cols.reshape(window.shape)

    def read(self, window: Window) -> Lookup:
        """See `hsikit.geo.swath.LookupTable`."""
        rows, cols = (np.floor(at + ON_A_BORDER) for at in self.positions(window))
        inside = (rows >= 0) & (rows < self._other.shape[0]) & (cols >= 0) & (cols < self._other.shape[1])
        found = [np.where(inside, at, NOTHING).astype(np.int32) for at in (rows, cols)]
        return Lookup(found[0], found[1], np.zeros(window.shape, bool))
