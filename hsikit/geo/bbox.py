"""A part of a scene by its corners in map coordinates."""

from __future__ import annotations

import math

import numpy as np

from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.places import CentresIn, SwathPlaces, strips
from hsikit.geo.swath import Swath

Box = tuple[float, float, float, float]
"""left, bottom, right, top."""


def window_of(grid: Grid, box: Box, crs: str | None = None, name: str = "scene", swath: Swath | None = None) -> Window:
    """The pixels of a grid that a box touches; of a swath, the rows and columns of all pixels whose centres lie in it.

    Args:
        grid: of the scene.
        box: left, bottom, right, top.
        crs: of the box; None: the grid's own, or longitude and latitude for a swath.
        name: of the scene, for messages.
        swath: where the scene's pixels lie, if it is on the sensor's grid.

    Raises:
        OptionError: the box is empty or upside down, or its CRS is unknown.
        GridError: the scene has no georeference, or the box lies outside it.
    """
    left, bottom, right, top = box
    if not (left < right and bottom < top):
        raise OptionError("--bbox", f"{left:g} {bottom:g} {right:g} {top:g} is no box", "Give left bottom right top, in this order")
    if swath is not None:
        return _window_in_swath(swath, box, crs, name)
    if not grid.georeferenced:
        raise GridError(
            name, "has no georeference, so --bbox means nothing", "Leave it out; in Python, open_scene(FILE)[:, :100, :200] cuts by rows and columns"
        )
    if crs is not None:
        left, bottom, right, top = _reprojected((left, bottom, right, top), crs, str(grid.crs))
    a, b, c, d, e, f = grid.transform
    scale = a * e - b * d
    corners = [(x - c, y - f) for x in (left, right) for y in (bottom, top)]
    cols = [(e * x - b * y) / scale for x, y in corners]
    rows = [(a * y - d * x) / scale for x, y in corners]
    first, last = (math.floor(min(rows) + 1e-6), math.floor(min(cols) + 1e-6)), (math.ceil(max(rows) - 1e-6), math.ceil(max(cols) - 1e-6))
    window = Window(*first, last[0] - first[0], last[1] - first[1]).intersect(grid.whole)
    if not window.size:
        raise _outside(name, grid.bounds)
    return window


def _outside(name: str, bounds: Box) -> GridError:
    extent = " ".join(f"{edge:.10g}" for edge in bounds)
    return GridError(name, f"--bbox lies outside it; it reaches from {extent} (left bottom right top)", "Check the order of the four numbers and --bbox-crs")


def _window_in_swath(swath: Swath, box: Box, crs: str | None, name: str) -> Window:
    """The smallest window that holds every pixel whose centre lies in the box."""
    left, bottom, right, top = box
    places = SwathPlaces(swath)
    try:
        centres = CentresIn(places, crs or places.crs)
    except GridError as error:
        raise OptionError("--bbox-crs", f"'{crs}' cannot be used ({error.wrong})", "Write it like EPSG:4326") from None
    rows, cols = np.zeros(0, np.intp), np.zeros(0, np.intp)
    for window in strips(swath.shape):
        x, y = centres.centres(window)
        row, col = np.nonzero((x >= left) & (x <= right) & (y >= bottom) & (y <= top))
        rows, cols = np.r_[rows, np.unique(row) + window.row], np.r_[cols, np.unique(col) + window.col]
    if not rows.size:
        raise _outside(name, places.bounds)
    return Window(int(rows.min()), int(cols.min()), int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1)


def _reprojected(box: Box, crs: str, target: str) -> Box:
    from pyproj import Transformer
    from pyproj.exceptions import CRSError, ProjError

    try:
        left, bottom, right, top = Transformer.from_crs(crs, target, always_xy=True).transform_bounds(*box)
    except (CRSError, ProjError) as error:
        raise OptionError("--bbox-crs", f"'{crs}' cannot be used ({error})", "Write it like EPSG:4326") from None
    return float(left), float(bottom), float(right), float(top)
