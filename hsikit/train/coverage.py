"""How much of each pixel a shape covers, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""Pixels along the side of the blocks that a shape is cut into, so that work follows its border, not its area times its vertices."""

Covered = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]


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
    left, top, right, bottom = shapely.bounds(shape)
    first_row, last_row = max(0, int(np.floor(top))), min(size[0], int(np.ceil(bottom)))
    first_col, last_col = max(0, int(np.floor(left))), min(size[1], int(np.ceil(right)))
    if first_row >= last_row or first_col >= last_col:
        return _none()
    shapely.prepare(shape)
    rows, cols = (g.ravel() for g in np.mgrid[first_row:last_row:BLOCK, first_col:last_col:BLOCK])
    ends = np.minimum(rows + BLOCK, last_row), np.minimum(cols + BLOCK, last_col)
    boxes = shapely.box(cols, rows, ends[1], ends[0])
    meets = shapely.intersects(shape, boxes)
    full = np.zeros(len(boxes), bool)
    full[meets] = shapely.covers(shape, boxes[meets])
    parts = []
    for i in np.flatnonzero(meets):
        pixel_rows, pixel_cols = (g.ravel() for g in np.mgrid[rows[i] : ends[0][i], cols[i] : ends[1][i]])
        share = np.ones(len(pixel_rows)) if full[i] else _shares(shapely.intersection(shape, boxes[i]), pixel_rows, pixel_cols)
        parts.append((pixel_rows[share > 0], pixel_cols[share > 0], share[share > 0]))
    if not parts:
        return _none()
    out_rows, out_cols, shares = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return out_rows.astype(np.intp), out_cols.astype(np.intp), shares


def _shares(piece: Any, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.float64]:
    """The share of each pixel that a small piece covers."""
    import shapely

    shapely.prepare(piece)
    boxes = shapely.box(cols, rows, cols + 1, rows + 1)
    share = np.zeros(len(boxes))
    inside = shapely.covers(piece, boxes)
    share[inside] = 1.0
    border = np.flatnonzero(~inside & shapely.intersects(piece, boxes))
    share[border] = shapely.area(shapely.intersection(piece, boxes[border])).clip(0, 1)
    return share


def _point_pixels(places: NDArray[np.float64], size: tuple[int, int]) -> Covered:
    """The pixels that points fall in."""
    cols, rows = np.floor(places).astype(np.intp).T
    inside = (rows >= 0) & (rows < size[0]) & (cols >= 0) & (cols < size[1])
    pixels = np.unique(np.column_stack([rows, cols])[inside], axis=0)
    return pixels[:, 0], pixels[:, 1], np.ones(len(pixels))


def _none() -> Covered:
    """No pixel."""
    return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0)
