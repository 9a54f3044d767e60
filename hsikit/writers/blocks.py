"""In which pieces a finished layer is copied: whole blocks of the file, a bounded number of bytes at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.layers import Layer, Pixels

RowsDone = Callable[[int], None]
PIECE_BYTES = 48 << 20
"""Most bytes of a layer that a writer holds at once, where a single row of blocks allows it."""


def row_bytes(layer: Layer, cols: int) -> int:
    """Bytes of one row of all bands."""
    return max(1, cols * layer.bands * np.dtype(layer.dtype).itemsize)


def block_rows(layer: Layer, cols: int, most: int = 256, least: int = 16) -> int:
    """Rows of a file's blocks: `most`, halved until a full-width strip fits `PIECE_BYTES`, but not below `least`."""
    rows = most
    while rows > least and rows * row_bytes(layer, cols) > PIECE_BYTES:
        rows //= 2
    return rows


def pieces(grid: Grid, layer: Layer, rows: int, cols: int) -> Iterator[Window]:
    """Windows that cover a grid from top to bottom: full-width strips, cut at multiples of `cols` where one would be too large."""
    fitting = PIECE_BYTES // (rows * row_bytes(layer, 1)) // cols * cols
    return tile_windows(grid.whole, (rows, min(max(fitting, cols), max(grid.shape[1], 1))))


def read_pieces(pixels: Pixels, layer: Layer, windows: Iterator[Window], cols: int, rows_done: RowsDone | None) -> Iterator[tuple[Window, NDArray[Any]]]:
    """Reads each window in turn, and tells `rows_done` how many rows are finished after each full row of windows.

    Args:
        pixels: the finished layer.
        layer: its description; what is read must have its dtype and number of bands.
        windows: as `pieces` gives them.
        cols: columns of the layer.
        rows_done: called with a number of rows, or None.

    Raises:
        ValueError: `pixels` gives another shape or type than the layer promises (a mistake in a Method, not of the user).
    """
    for window in windows:
        values = pixels.read(window)
        if values.shape != (layer.bands, *window.shape) or values.dtype != np.dtype(layer.dtype):
            raise ValueError(f"layer {layer.name}: read {values.dtype} {values.shape}, not {layer.dtype} {(layer.bands, *window.shape)}")
        yield window, values
        if rows_done is not None and window.col_end == cols:
            rows_done(window.rows)
