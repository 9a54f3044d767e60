"""The pixel that a point on the ground falls in, on a map grid or in a swath."""

from __future__ import annotations

from typing import Any

import numpy as np

from hsikit.errors import GridError
from hsikit.geo.nearest import on_sphere
from hsikit.geo.places import Floats, GridPlaces, Indices, Places, strips

OUTSIDE = -1
"""Row and column of a point that no pixel holds."""


def pixels_at(places: Places, x: Floats, y: Floats, crs: Any) -> tuple[Indices, Indices]:
    """The pixels that points fall in.

    On a map grid that is the pixel around the point. In a swath it is the one with the nearest centre, if the point is no
    further from it than the corners of that pixel, as the distances to the neighbours tell.

    Args:
        places: of the scene.
        x: coordinates of n points (longitude), shape (n,).
        y: the same (latitude).
        crs: of the points, as pyproj takes it.

    Returns:
        Rows and columns, shape (n,) each; `OUTSIDE` where no pixel holds the point.

    Raises:
        GridError: a CRS that PROJ does not know.
    """
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    try:
        transformer = Transformer.from_crs(crs, places.crs, always_xy=True)
    except ProjError as error:
        raise GridError(str(crs), f"is no CRS that can be related to {places.crs} ({error})", "Write it like EPSG:4326") from error
    px, py = transformer.transform(np.asarray(x, float), np.asarray(y, float))
    if isinstance(places, GridPlaces):
        return _on_grid(places, px, py)
    return _in_swath(places, px, py)


def _on_grid(places: GridPlaces, x: Floats, y: Floats) -> tuple[Indices, Indices]:
    inverse = ~places.grid.affine
    with np.errstate(invalid="ignore"):
        col, row = inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f
        inside = (row >= 0) & (row < places.shape[0]) & (col >= 0) & (col < places.shape[1])
    return _or_outside(row, inside), _or_outside(col, inside)


def _or_outside(values: Floats, inside: Any) -> Indices:
    return np.where(inside, np.where(inside, values, 0.0), OUTSIDE).astype(np.intp)


def _in_swath(places: Places, longitude: Floats, latitude: Floats) -> tuple[Indices, Indices]:
    from scipy.spatial import cKDTree

    rows, cols = np.full(len(longitude), OUTSIDE, np.intp), np.full(len(longitude), OUTSIDE, np.intp)
    nearest = np.full(len(longitude), np.inf)
    asked = np.flatnonzero(np.isfinite(longitude) & np.isfinite(latitude))
    wanted = on_sphere(longitude[asked], latitude[asked])
    for window in strips(places.shape):
        lon, lat = (values.ravel() for values in places.centres(window))
        known = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat))
        if not known.size or not asked.size:
            continue
        distance, index = cKDTree(on_sphere(lon[known], lat[known]), balanced_tree=False, compact_nodes=False).query(wanted)
        better = distance < nearest[asked]
        chosen, flat = asked[better], known[index[better]]
        nearest[chosen], rows[chosen], cols[chosen] = distance[better], flat // window.cols + window.row, flat % window.cols
    beyond = ~(nearest <= _reach(places, rows, cols))
    rows[beyond] = cols[beyond] = OUTSIDE
    return rows, cols


def _reach(places: Places, rows: Indices, cols: Indices) -> Floats:
    """Half the diagonal of each pixel, as a chord of the unit sphere, from its neighbours; NaN where none has a place."""
    found = np.full(len(rows), np.nan)
    held = np.flatnonzero(rows >= 0)
    row, col = rows[held], cols[held]
    here = on_sphere(*places.at(row, col))
    sides = []
    for down, across in ((1, 0), (0, 1)):
        steps = [_step(places, here, row + sign * down, col + sign * across) for sign in (-1, 1)]
        sides.append(np.fmax(*steps))
    # A single row or column of pixels counts as square.
    along, beside = np.where(np.isnan(sides[0]), sides[1], sides[0]), np.where(np.isnan(sides[1]), sides[0], sides[1])
    found[held] = np.hypot(along, beside) / 2
    return found


def _step(places: Places, here: Floats, rows: Indices, cols: Indices) -> Floats:
    """Distances to other pixels; NaN for those outside the scene."""
    away = np.full(len(rows), np.nan)
    inside = (rows >= 0) & (rows < places.shape[0]) & (cols >= 0) & (cols < places.shape[1])
    away[inside] = np.linalg.norm(on_sphere(*places.at(rows[inside], cols[inside])) - here[inside], axis=1)
    return away
