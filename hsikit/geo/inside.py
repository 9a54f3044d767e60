"""Which points lie inside polygons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Window, tile_windows

BLOCK = 64
"""Rows and columns of points that are asked together: few enough that a polygon meets few of them in vain."""


def points_inside(polygon: Any, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points lie inside a polygon, its border not included.

    Args:
        polygon: a valid shapely (multi)polygon; it is prepared in place, so that no two threads may ask it at once.
        x: any shape; NaN and infinity lie nowhere.
        y: the same shape.

    Returns:
        Bool, of their shape.
    """
    import shapely

    left, bottom, right, top = shapely.bounds(polygon)
    inside: NDArray[np.bool_] = (x >= left) & (x <= right) & (y >= bottom) & (y <= top)
    inside[inside] = shapely.contains_xy(polygon, x[inside], y[inside])
    return inside


def inside_each(polygons: NDArray[Any], tree: Any, x: NDArray[np.float64], y: NDArray[np.float64]) -> Iterator[tuple[int, Window, NDArray[np.bool_]]]:
    """Which points of a grid lie inside which polygon, block by block.

    Args:
        polygons: valid ones, shape (n,); see `points_inside`.
        tree: their `shapely.STRtree`.
        x: shape (rows, cols); NaN and infinity lie nowhere.
        y: the same shape.

    Yields:
        The polygon's position, the block of the grid, and where in it points lie inside; only where some do.
    """
    import shapely

    for block in tile_windows(Window.whole((x.shape[0], x.shape[1])), (BLOCK, BLOCK)):
        across, down = x[block.slices()], y[block.slices()]
        known = np.isfinite(across) & np.isfinite(down)
        if not known.any():
            continue
        extent = shapely.box(across[known].min(), down[known].min(), across[known].max(), down[known].max())
        for number in np.sort(tree.query(extent)):
            found = points_inside(polygons[number], across, down)
            if found.any():
                yield int(number), block, found
