"""How much of each pixel a shape covers, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCKS = (64, 8)
"""Sides (pixels) of the blocks that a shape is cut into, large then small, so that work follows its border, not its area times its vertices."""

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
    parts = list(_covered(shape, (first_row, last_row, first_col, last_col), BLOCKS))
    if not parts:
        return _none()
    out_rows, out_cols, shares = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return out_rows.astype(np.intp), out_cols.astype(np.intp), shares


def _covered(shape: Any, area: tuple[int, int, int, int], blocks: tuple[int, ...]) -> Iterator[Covered]:
    """Covered pixels of an area (first and last row, first and last column): blocks inside the shape at once, those on its border in smaller blocks."""
    import shapely

    first_row, last_row, first_col, last_col = area
    shapely.prepare(shape)
    if not blocks:
        rows, cols = (g.ravel() for g in np.mgrid[first_row:last_row, first_col:last_col])
        share = _shares(shape, rows, cols)
        yield rows[share > 0], cols[share > 0], share[share > 0]
        return
    rows, cols = (g.ravel() for g in np.mgrid[first_row : last_row : blocks[0], first_col : last_col : blocks[0]])
    row_ends, col_ends = np.minimum(rows + blocks[0], last_row), np.minimum(cols + blocks[0], last_col)
    boxes = shapely.box(cols, rows, col_ends, row_ends)
    meets = shapely.intersects(shape, boxes)
    full = shapely.covers(shape, boxes)
    for i in np.flatnonzero(full):
        inner_rows, inner_cols = (g.ravel() for g in np.mgrid[rows[i] : row_ends[i], cols[i] : col_ends[i]])
        yield inner_rows, inner_cols, np.ones(len(inner_rows))
    border = np.flatnonzero(meets & ~full)
    for i, piece in zip(border, shapely.intersection(shape, boxes[border]), strict=True):
        yield from _covered(piece, (int(rows[i]), int(row_ends[i]), int(cols[i]), int(col_ends[i])), blocks[1:])


def _shares(piece: Any, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.float64]:
    """The share of each pixel that a small, prepared piece covers."""
    import shapely

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
