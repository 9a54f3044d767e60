"""Positioned reads of ENVI data files, straight into one array of the stored type.

No memory map: its pages would count as ours. A read of a narrow window takes whole lines into a small buffer that stays in
the processor's cache, and cuts; where most of each line would be thrown away it reads line by line.
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Window
from hsikit.scene import Indices
from hsikit.sensors.envi_header import EnviLayout

SCRATCH_BYTES = 1 << 18
GAP_BYTES = 16 << 10  # below this, copying what lies between two lines costs less than another system call


class ShortRead(Exception):
    """The file ended before the window did."""


def read_stored(fd: int, layout: EnviLayout, window: Window, bands: Indices) -> NDArray[Any]:
    """Stored numbers of a window, shape (bands, rows, cols); full-width strips of a BIL file as a view of (rows, bands, cols).

    Args:
        fd: an open file descriptor.
        layout: how the file is laid out.
        window: pixels, inside the scene.
        bands: positions in the file, in any order.

    Raises:
        ShortRead: the file is too short.
    """
    if not (window.size and len(bands)):
        return np.empty((len(bands), *window.shape), layout.dtype)
    if layout.interleave == "bip":
        return _read_bip(fd, layout, window, bands)
    if layout.interleave == "bil":
        return _read_bil(fd, layout, window, bands)
    values = np.empty((len(bands), *window.shape), layout.dtype)
    _read_bsq(fd, layout, window, bands, values)
    return values


def _read_bsq(fd: int, layout: EnviLayout, window: Window, bands: Indices, out: NDArray[Any]) -> None:
    _, lines, _ = layout.shape
    if window.shape == layout.shape[1:]:
        for first, start, length in runs(bands):
            _fill(fd, out[first : first + length], layout.offset + start * lines * _line_bytes(layout))
        return
    reader = _LineReader(fd, layout, window)
    for i, band in enumerate(bands.tolist()):
        reader.read(band * lines + window.row, out[i])


def _read_bil(fd: int, layout: EnviLayout, window: Window, bands: Indices) -> NDArray[Any]:
    count, rows, cols = len(bands), window.rows, window.cols
    reader, stretches = _LineReader(fd, layout, window), runs(bands)
    # What is copied anyway is put band by band, which decodes faster.
    values = np.empty((count, rows, cols), layout.dtype) if reader.cut else np.empty((rows, count, cols), layout.dtype).transpose(1, 0, 2)
    if reader.whole and count == layout.shape[0] and len(stretches) == 1:
        _fill(fd, values.transpose(1, 0, 2), layout.offset + window.row * count * _line_bytes(layout))
        return values
    for row in range(rows):
        for first, start, length in stretches:
            reader.read((window.row + row) * layout.shape[0] + start, values[first : first + length, row])
    return values


def _read_bip(fd: int, layout: EnviLayout, window: Window, bands: Indices) -> NDArray[Any]:
    """Sorts pixels into bands while they are in the cache: decoding band by band is then twice as fast as from a transposed view."""
    count, _, samples = layout.shape
    pixel = count * layout.dtype.itemsize
    index = slice(int(bands[0]), int(bands[0]) + len(bands)) if _consecutive(bands) else bands
    out = np.empty((len(bands), *window.shape), layout.dtype)
    step = max(1, min(window.cols, SCRATCH_BYTES // pixel))
    scratch = np.empty((step, count), layout.dtype)
    first = layout.offset + (window.row * samples + window.col) * pixel
    for row in range(window.rows):
        for col in range(0, window.cols, step):
            part = scratch[: window.cols - col]
            _fill(fd, part, first + (row * samples + col) * pixel)
            out[:, row, col : col + len(part)] = part[:, index].T
    return out


class _LineReader:
    """Reads the same columns of consecutive lines of a BSQ or BIL file."""

    def __init__(self, fd: int, layout: EnviLayout, window: Window) -> None:
        self.fd, self.layout, self.window = fd, layout, window
        self.line = _line_bytes(layout)
        samples = layout.shape[2]
        self.whole = window.cols == samples
        self.cut = not self.whole and self.line - window.cols * layout.dtype.itemsize <= GAP_BYTES
        self.scratch = np.empty((max(1, SCRATCH_BYTES // self.line), samples) if self.cut else (0, samples), layout.dtype)

    def read(self, line: int, out: NDArray[Any]) -> None:
        """Lines from `line` on into `out`, shape (lines, cols); contiguous unless they are cut."""
        start, item = self.layout.offset + line * self.line, self.layout.dtype.itemsize
        if self.whole:
            _fill(self.fd, out, start)
        elif self.cut:
            for i in range(0, len(out), len(self.scratch)):
                part = self.scratch[: len(out) - i]
                _fill(self.fd, part, start + i * self.line)
                out[i : i + len(part)] = part[:, self.window.col : self.window.col_end]
        else:
            self._each(start + self.window.col * item, out)

    def _each(self, start: int, out: NDArray[Any]) -> None:
        width, line, fd = self.window.cols * self.layout.dtype.itemsize, self.line, self.fd
        view = out.view("u1").data.cast("B")
        for i in range(len(out)):
            if os.preadv(fd, [view[i * width : (i + 1) * width]], start + i * line) != width:
                raise ShortRead


def runs(bands: Indices) -> list[tuple[int, int, int]]:
    """Stretches of consecutive bands: (position in `bands`, first band, how many)."""
    breaks = np.flatnonzero(np.diff(bands) != 1) + 1
    edges = [0, *breaks.tolist(), len(bands)]
    return [(first, int(bands[first]), end - first) for first, end in pairwise(edges) if end > first]


def _consecutive(bands: Indices) -> bool:
    return len(bands) > 0 and bool((np.diff(bands) == 1).all())


def _line_bytes(layout: EnviLayout) -> int:
    return layout.shape[2] * layout.dtype.itemsize


def _fill(fd: int, out: NDArray[Any], start: int) -> None:
    """Fills a contiguous array from a place in the file."""
    view, done = out.view("u1").data.cast("B"), 0  # as bytes: memoryview knows no foreign byte order
    while done < len(view):
        got = os.preadv(fd, [view[done:]], start + done)
        if got == 0:
            raise ShortRead
        done += got
