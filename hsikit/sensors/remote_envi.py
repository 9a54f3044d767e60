"""Reads of ENVI data files on S3 and HTTP servers: whole lines, neighbouring ones in one request, several requests at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Window
from hsikit.geo.remote_files import RangeFile
from hsikit.scene import Indices
from hsikit.sensors.envi_header import EnviLayout

MOST_BYTES = 8 << 20
"""Of one request."""


def read_remote(file: RangeFile, layout: EnviLayout, window: Window, bands: Indices) -> NDArray[Any]:
    """Stored numbers of a window, shape (bands, rows, cols).

    Args:
        file: the data file.
        layout: how it is laid out.
        window: pixels, inside the scene.
        bands: positions in the file, in any order.

    Raises:
        SceneError: the server does not give them.
    """
    count, lines, samples = layout.shape
    rows = np.arange(window.row, window.row_end)
    out: NDArray[Any] = np.empty((len(bands), *window.shape), layout.dtype)
    if layout.interleave == "bip":  # a line holds all bands of a row
        _fetch(file, layout, rows, samples * count, out.transpose(1, 2, 0), window, bands)
        return out
    numbers = bands[:, None] * lines + rows if layout.interleave == "bsq" else rows * count + bands[:, None]
    _fetch(file, layout, numbers.ravel(), samples, out.reshape(-1, window.cols), window, None)
    return out


def _fetch(file: RangeFile, layout: EnviLayout, numbers: NDArray[np.intp], line: int, out: NDArray[Any], window: Window, bands: Indices | None) -> None:
    """Lines by their numbers in the file into `out`, along its first axis.

    Args:
        file: the data file.
        layout: how it is laid out.
        numbers: of the lines, in the order of `out`.
        line: values in a line.
        out: shape (lines, cols), or (lines, cols, bands).
        window: whose columns are kept.
        bands: which bands of a pixel are kept, where a line holds all of them.
    """
    wide = line * layout.dtype.itemsize
    order = np.argsort(numbers, kind="stable")
    breaks = np.flatnonzero(np.diff(numbers[order]) > 1) + 1
    runs = [part for run in np.split(order, breaks) for part in np.array_split(run, -(-len(run) * wide // MOST_BYTES) or 1) if len(part)]
    spans = [(layout.offset + int(numbers[run[0]]) * wide, layout.offset + (int(numbers[run[-1]]) + 1) * wide) for run in runs]
    for run, data in zip(runs, file.ranges(spans), strict=True):
        values = np.frombuffer(data, layout.dtype)[: len(data) // layout.dtype.itemsize]
        fetched = values.reshape(-1, line)[numbers[run] - numbers[run[0]]]
        columns = slice(window.col, window.col_end)
        out[run] = fetched[:, columns] if bands is None else fetched.reshape(len(run), layout.shape[2], -1)[:, columns][:, :, bands]
