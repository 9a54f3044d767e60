"""The outline of a scene on the globe, as GeoJSON: of a map grid, or of a swath."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Grid, Window
from hsikit.geo.swath import Swath

Floats = NDArray[np.float64]
Footprint = tuple[dict[str, Any] | None, list[float] | None]
"""A polygon in WGS 84 as GeoJSON, and its bounding box (west, south, east, north); west is greater than east across the antimeridian."""

EDGE_POINTS = 21
"""Points along each edge: straight lines of a projection are curves on the globe."""


def footprint(grid: Grid, swath: Swath | None = None) -> Footprint:
    """The outline of a scene's pixels.

    An outline across the antimeridian becomes two polygons. Both results are None where the outline has no WGS 84 coordinates, or
    holds a pole.

    Args:
        grid: a georeferenced grid; of a swath only its shape counts.
        swath: where the pixels of a scene on the sensor's own grid lie; its outline runs through their centres.
    """
    ring = _outline(grid) if swath is None else _swath_outline(swath)
    if len(ring) < 4 or not np.isfinite(ring).all():
        return None, None
    ring[:, 0] = np.unwrap(ring[:, 0], period=360)
    if abs(ring[-1, 0] - ring[0, 0]) > 180:
        return None, None
    ring[:, 0] -= 360 * np.floor((ring[:, 0].mean() + 180) / 360)
    return _polygons(ring)


def _polygons(ring: Floats) -> Footprint:
    from shapely import Polygon, box, get_coordinates, make_valid
    from shapely.affinity import translate
    from shapely.geometry import mapping

    west, east = float(ring[:, 0].min()), float(ring[:, 0].max())
    south, north = float(ring[:, 1].min()), float(ring[:, 1].max())
    shape = make_valid(Polygon(ring))
    if west >= -180 and east <= 180:
        return _listed(mapping(shape)), [west, south, east, north]
    parts = [translate(shape.intersection(box(left, -90, left + 360, 90)), -180 - left) for left in (-540, -180, 180)]
    kept = [part for part in parts if not part.is_empty and get_coordinates(part).shape[0] > 2]
    wrapped = [(lon + 180) % 360 - 180 for lon in (west, east)]
    return {"type": "MultiPolygon", "coordinates": [_listed(mapping(part))["coordinates"] for part in kept]}, [wrapped[0], south, wrapped[1], north]


def edge_points(grid: Grid) -> tuple[Floats, Floats]:
    """Map coordinates of points along the outer edge of a grid, counter-clockwise where rows run downwards, shape (n,) each."""
    a, b, c, d, e, f = grid.transform
    rows, cols = grid.shape
    there, back = np.linspace(0, 1, EDGE_POINTS), np.linspace(1, 0, EDGE_POINTS)
    zero, one = np.zeros(EDGE_POINTS), np.ones(EDGE_POINTS)
    col = cols * np.concatenate([zero[:-1], there[:-1], one[:-1], back])
    row = rows * np.concatenate([there[:-1], one[:-1], back[:-1], zero])
    return a * col + b * row + c, d * col + e * row + f


def _outline(grid: Grid) -> Floats:
    """The outer edge of a grid as longitudes and latitudes of shape (n, 2)."""
    from pyproj import Transformer

    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(*edge_points(grid))
    return np.column_stack([lon, lat]).astype(np.float64)


def _swath_outline(swath: Swath) -> Floats:
    """The centres of a swath's outermost pixels that have a position, shape (n, 2), the first one once more at the end."""
    rows, cols = swath.shape
    down, across = (np.unique(np.linspace(0, size - 1, EDGE_POINTS).astype(int)) for size in (rows, cols))
    left, right = (np.column_stack(swath.locate(Window(0, col, rows, 1)))[down] for col in (0, cols - 1))
    top, bottom = (np.column_stack([line.ravel() for line in swath.locate(Window(row, 0, 1, cols))])[across] for row in (0, rows - 1))
    ring = np.concatenate([left, bottom[1:], right[::-1][1:], top[::-1][1:]])
    known = ring[np.isfinite(ring).all(axis=1)]
    return np.concatenate([known, known[:1]]) if len(known) and (known[0] != known[-1]).any() else known


def _listed(shape: Any) -> dict[str, Any]:
    """GeoJSON with lists instead of tuples, rounded to 1e-7 degrees (a centimetre)."""

    def plain(item: Any) -> Any:
        return [plain(part) for part in item] if isinstance(item, (list, tuple)) else round(float(item), 7)

    return {"type": shape["type"], "coordinates": plain(shape["coordinates"])}
