"""How much of each pixel a shape covers, exactly.

An edge of a polygon covers, in each row that it crosses, a part of the pixels it passes through and all pixels to their right;
summed over all edges, those with the inside to the right added and the others subtracted, this is the area of the polygon in
every pixel. The work follows the length of the border and the area of the bounding box, not one times the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRIP_PIXELS = 1 << 21
"""The most pixels whose shares are summed at once."""
EXACT = 1e-9
"""Shares this close to nothing or to the whole pixel are just that: what rounding leaves of a border along a pixel's edge."""

Covered = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]
Floats = NDArray[np.float64]


def covered_pixels(shape: Any, size: tuple[int, int]) -> Covered:
    """Pixels that a shape meets, and the share of each that it covers.

    Args:
        shape: a valid shapely geometry in pixel coordinates (column, row): pixel (r, c) is the square from (c, r) to (c + 1, r + 1).
            Points cover the pixel that they fall in whole.
        size: (rows, cols) of the grid; what lies outside is left out.

    Returns:
        Rows, columns and shares (0 to 1], shape (m,) each, every pixel once, in no particular order.
    """
    import shapely

    if shapely.is_empty(shape):
        return _none()
    if shapely.get_dimensions(shape) == 0:
        return _point_pixels(shapely.get_coordinates(shape), size)
    parts = _polygons(shape)
    left, top, right, bottom = shapely.total_bounds(parts)
    if left < 0 or top < 0 or right > size[1] or bottom > size[0]:
        parts = _polygons(shapely.intersection(parts, shapely.box(0, 0, size[1], size[0])))
    found = [piece for part in parts for piece in _polygon_pixels(part)]
    if not found:
        return _none()
    rows, cols, shares = (np.concatenate([piece[k] for piece in found]) for k in range(3))
    return (rows, cols, shares) if len(parts) == 1 else _summed(rows, cols, shares, size[1])


def _polygons(shapes: Any) -> NDArray[Any]:
    """The polygons that shapes are made of; lines and points, which cover nothing, are left out."""
    import shapely

    parts = shapely.get_parts(shapely.get_parts(shapes))  # twice: a collection may hold multipolygons
    return np.asarray(parts[(shapely.get_dimensions(parts) == 2) & ~shapely.is_empty(parts)], object)


def _polygon_pixels(polygon: Any) -> Iterator[Covered]:
    """Covered pixels of one polygon inside the grid, by strips of rows."""
    import shapely

    left, top, right, bottom = (int(edge) for edge in (*np.floor(shapely.bounds(polygon)[:2]), *np.ceil(shapely.bounds(polygon)[2:])))
    row, col, height, area = _pieces(*_edges(polygon))
    row = row.clip(top, bottom - 1)  # rounding may have put the middle of a tiny piece onto the border
    step = max(1, STRIP_PIXELS // (right - left + 1))
    for first in range(top, bottom, step):
        count = min(step, bottom - first)
        inside = (row >= first) & (row < first + count) if count < bottom - top else slice(None)
        shape = (count, right - left + 1)
        # Heights at column c fill all pixels to the right of c; what lies in pixel c itself is the area.
        cell = (row[inside] - first) * shape[1] + col[inside] - left
        own = np.bincount(cell, area[inside], minlength=shape[0] * shape[1]).reshape(shape)
        passed = np.bincount(cell, height[inside], minlength=shape[0] * shape[1]).reshape(shape).cumsum(axis=1)
        share: Floats = own[:, :-1].astype(np.float64)
        share[:, 1:] += passed[:, :-2]
        share[share > 1 - EXACT] = 1.0
        rows, cols = np.nonzero(share > EXACT)
        yield rows + first, cols + left, share[rows, cols]


def _edges(polygon: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Starts and ends of a polygon's edges, shape (n, 2), and the sign with which they count, so that the inside is positive."""
    import shapely

    places, ring = shapely.get_coordinates(shapely.get_rings(polygon), return_index=True)
    along = ring[1:] == ring[:-1]
    start, end, ring = places[:-1][along], places[1:][along], ring[1:][along]
    origin = places[0]  # near the polygon, so that the products below keep their digits
    (x0, y0), (x1, y1) = (start - origin).T, (end - origin).T
    turning = np.bincount(ring, x0 * y1 - x1 * y0)
    sign = np.where(np.arange(len(turning)) == 0, 1.0, -1.0) * np.sign(turning)
    return start, end, -sign[ring]


def _pieces(start: Floats, end: Floats, sign: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats, Floats]:
    """Edges cut at the pixels' borders: of each piece its pixel (row, col), its signed height, and the signed area right of it in its pixel."""
    number, place = [np.arange(len(start)), np.arange(len(start))], [np.zeros(len(start)), np.ones(len(start))]
    for axis in (0, 1):
        low, high = np.minimum(start[:, axis], end[:, axis]), np.maximum(start[:, axis], end[:, axis])
        first = np.floor(low).astype(np.intp) + 1
        count = np.maximum(np.ceil(high).astype(np.intp) - first, 0)
        edge = np.repeat(np.arange(len(start)), count)
        line = np.repeat(first, count) + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        number.append(edge)
        place.append((line - start[edge, axis]) / (end[edge, axis] - start[edge, axis]))
    edges, places = np.concatenate(number), np.concatenate(place)
    order = np.lexsort((places, edges))
    edges, places = edges[order], places[order]
    same = edges[1:] == edges[:-1]
    edge, begin, finish = edges[1:][same], places[:-1][same], places[1:][same]
    step = end[edge] - start[edge]
    middle = start[edge] + step * ((begin + finish) / 2)[:, None]
    cell = np.floor(middle).astype(np.intp)
    height = sign[edge] * step[:, 1] * (finish - begin)
    # Level pieces count for nothing, and may lie along the lower border of the last row.
    kept = height != 0
    cell, middle, height = cell[kept], middle[kept], height[kept]
    return cell[:, 1], cell[:, 0], height, height * (cell[:, 0] + 1 - middle[:, 0])


def _summed(rows: NDArray[np.intp], cols: NDArray[np.intp], shares: Floats, width: int) -> Covered:
    """Pixels that several parts of one shape share, once each."""
    flat, index = np.unique(rows * width + cols, return_inverse=True)
    total = np.bincount(index, shares).astype(np.float64)
    total[total > 1 - EXACT] = 1.0
    return flat // width, flat % width, total


def _point_pixels(places: Floats, size: tuple[int, int]) -> Covered:
    """The pixels that points fall in."""
    cols, rows = np.floor(places).astype(np.intp).T
    inside = (rows >= 0) & (rows < size[0]) & (cols >= 0) & (cols < size[1])
    pixels = np.unique(np.column_stack([rows, cols])[inside], axis=0)
    return pixels[:, 0], pixels[:, 1], np.ones(len(pixels))


def _none() -> Covered:
    """No pixel."""
    return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0)
