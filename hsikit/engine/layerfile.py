"""Working files: a layer between the stage that writes it and the stages, or the writer, that read it.

One file a layer and version. The core of tile n lies at n times the chunk size, bands first, so that a tile is one
positioned write, tiles may be finished in any order, and a tile that was never written costs no disk.
"""

from __future__ import annotations

import errno
import math
import os
from bisect import bisect_left, bisect_right
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OutputError
from hsikit.geo.grid import Window
from hsikit.layers import Layer


def scaled(window: Window, zoom: Fraction) -> Window:
    """The window on a grid `zoom` times as fine; borders at floor(r zoom + 1/2)."""
    if zoom == 1:
        return window
    row, col, row_end, col_end = (math.floor(edge * zoom + Fraction(1, 2)) for edge in (window.row, window.col, window.row_end, window.col_end))
    return Window(row, col, row_end - row, col_end - col)


class LayerFile:
    """A raster layer on disk, in chunks of one tile each.

    Args:
        path: the working file.
        layer: its dtype, bands, nodata and zoom.
        area: the part of the reference grid that is run.
        cores: core windows of all tiles, on the reference grid, clipped to `area`.
        grid: (tile rows, tile columns) of `cores`.
    """

    def __init__(self, path: Path, layer: Layer, area: Window, cores: list[Window], grid: tuple[int, int]) -> None:
        self.path, self.layer, self.grid = path, layer, grid
        self.area = scaled(area, layer.zoom)
        self.windows = [scaled(core, layer.zoom) for core in cores]
        self.dtype = np.dtype(layer.dtype)
        self.chunk = max((w.size for w in self.windows), default=0) * layer.bands * self.dtype.itemsize
        first_row, first_col = self.windows[: grid[1]], self.windows[:: grid[1]]
        self._row_starts, self._row_ends = [w.row for w in first_col], [w.row_end for w in first_col]
        self._col_starts, self._col_ends = [w.col for w in first_row], [w.col_end for w in first_row]
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole layer."""
        return self.area.size * self.layer.bands * self.dtype.itemsize

    def write(self, tile: int, values: NDArray[Any]) -> None:
        """Writes the core of a tile, shape (bands, rows, cols) of its window."""
        window = self.windows[tile]
        if values.shape != (self.layer.bands, *window.shape):
            raise ValueError(f"layer {self.layer.name}: tile {tile} has shape {values.shape}, not {(self.layer.bands, *window.shape)}")
        data = np.ascontiguousarray(values, self.dtype).data.cast("B")
        position = tile * self.chunk
        try:
            while data:
                done = os.pwrite(self._file, data, position)
                data, position = data[done:], position + done
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            raise OutputError(self.path.parent.parent, "the disk is full" if full else f"cannot be written ({error.strerror})",
                              "Make room; the same command then resumes") from None  # fmt: skip

    def read(self, window: Window) -> NDArray[Any]:
        """Values of a window on the layer's own grid, shape (bands, rows, cols); nodata outside the area."""
        out = np.full((self.layer.bands, *window.shape), self.layer.nodata, self.dtype)
        for tile in self._tiles(window):
            self._copy(tile, window, out)
        return out

    def _tiles(self, window: Window) -> list[int]:
        """Tiles that a window meets."""
        tile_cols = self.grid[1]
        rows = range(bisect_right(self._row_ends, window.row), bisect_left(self._row_starts, window.row_end))
        cols = range(bisect_right(self._col_ends, window.col), bisect_left(self._col_starts, window.col_end))
        return [i * tile_cols + j for i in rows for j in cols]

    def _copy(self, tile: int, window: Window, out: NDArray[Any]) -> None:
        """Copies what a tile holds of a window, band by band, so that no whole chunk is ever in memory."""
        own = self.windows[tile]
        part = own.intersect(window)
        if not part.size:
            return
        rows, cols = part.slices((window.row, window.col))
        row_bytes, band_bytes = own.cols * self.dtype.itemsize, own.size * self.dtype.itemsize
        first = tile * self.chunk + (part.row - own.row) * row_bytes
        buffer = np.empty((part.rows, own.cols), self.dtype)
        left = part.col - own.col
        for band in range(self.layer.bands):
            got = os.preadv(self._file, [buffer.data.cast("B")], first + band * band_bytes)
            if got < buffer.nbytes:  # never written: a hole at the end of the file
                continue
            out[band, rows, cols] = buffer[:, left : left + part.cols]

    def sync(self) -> None:
        """Makes what was written survive a power cut."""
        os.fdatasync(self._file)

    def close(self, *, remove: bool = False) -> None:
        """Closes the file, and removes it if told."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if remove:
            self.path.unlink(missing_ok=True)
