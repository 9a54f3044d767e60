"""Groups of neighbouring pixels above a threshold, over a scene of any size: one point for each.

Union-find over runs of pixels: only the runs of the row before and one record for each group are held. Pixels that touch by
a side or a corner belong together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Grid
from hsikit.layers import Features

Run = tuple[int, int, int]
"""First column, column after the last, component."""


class Components:
    """Components of a mask that comes row by row."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._records: list[list[float]] = []
        self._row = -2
        self._runs: list[Run] = []
        self._before: list[Run] = []
        self._next = 0

    def add(self, scores: NDArray[np.float32], threshold: float, first_row: int) -> None:
        """Takes the next rows.

        Args:
            scores: shape (rows, cols), NaN where not valid.
            threshold: pixels above it count.
            first_row: number of the first of these rows; they follow on those before.
        """
        rows, starts, ends, peaks = _runs_above(scores, threshold)
        for row, start, end, peak in zip((rows + first_row).tolist(), starts.tolist(), ends.tolist(), peaks.tolist(), strict=True):
            if row != self._row:
                self._before = self._runs if row == self._row + 1 else []
                self._row, self._runs, self._next = row, [], 0
            self._runs.append((start, end, self._join(row, start, end, peak)))

    def _join(self, row: int, start: int, end: int, peak: float) -> int:
        """The component of a run: that of the runs it touches in the row before, else a new one."""
        before = self._before
        while self._next < len(before) and before[self._next][1] < start:
            self._next += 1
        own = -1
        for other_start, _, number in before[self._next :]:
            if other_start > end:
                break
            own = self._root(number) if own < 0 else self._union(own, self._root(number))
        count = end - start
        record = [count, count * (start + end) / 2, count * (row + 0.5), peak, row, start, row + 1, end]
        if own < 0:
            self._parent.append(len(self._parent))
            self._records.append(record)
            return len(self._parent) - 1
        self._records[own] = _merged(self._records[own], record)
        return own

    def _root(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = number = self._parent[self._parent[number]]
        return number

    def _union(self, one: int, other: int) -> int:
        if one == other:
            return one
        keep, gone = min(one, other), max(one, other)
        self._parent[gone] = keep
        self._records[keep] = _merged(self._records[keep], self._records[gone])
        self._records[gone] = []
        return keep

    def records(self) -> NDArray[np.float64]:
        """One row for each component, highest peak first, then from top to bottom.

        Returns:
            Shape (n, 8): pixels, mean column, mean row (at pixel centres, counted from the grid's corner), peak, first row, first
            column, row after the last, column after the last.
        """
        table = np.array([r for r in self._records if r], np.float64).reshape(-1, 8)
        table[:, 1:3] /= table[:, :1]
        return table[np.lexsort((table[:, 1], table[:, 2], -table[:, 3]))]


def _merged(a: list[float], b: list[float]) -> list[float]:
    sums = [a[i] + b[i] for i in range(3)]
    return [*sums, max(a[3], b[3]), min(a[4], b[4]), min(a[5], b[5]), max(a[6], b[6]), max(a[7], b[7])]


def _runs_above(scores: NDArray[np.float32], threshold: float) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Rows, first columns, columns after the last, and peaks of all runs, in reading order."""
    above = np.zeros((scores.shape[0], scores.shape[1] + 2), np.int8)
    np.greater(scores, threshold, out=above[:, 1:-1].view(np.bool_))
    step = np.diff(above, axis=1)
    rows, starts = np.nonzero(step == 1)
    ends = np.nonzero(step == -1)[1]
    if not len(rows):
        return rows, starts, ends, np.zeros(0, np.float32)
    flat = np.append(scores.ravel(), np.float32(-np.inf))
    borders = np.stack((rows * scores.shape[1] + starts, rows * scores.shape[1] + ends), 1).ravel()
    return rows, starts, ends, np.maximum.reduceat(flat, borders)[::2]


def hits(strips: Iterable[tuple[int, NDArray[np.float32]]], threshold: float, grid: Grid) -> Features:
    """The components of scores above a threshold as points.

    Args:
        strips: (first row, scores of shape (rows, cols)) from top to bottom.
        threshold: pixels above it count.
        grid: the grid of the strips.

    Returns:
        Points at the centroids, in map coordinates (without georeference at (column, -row), where a GIS shows such a picture);
        columns `pixels`, `peak`, and `left`, `bottom`, `right`, `top` of the box around the pixels, in the same coordinates.
    """
    found = Components()
    for first_row, scores in strips:
        found.add(scores, threshold, first_row)
    table = found.records()
    a, b, c, d, e, f = grid.drawn
    points = np.stack((a * table[:, 1] + b * table[:, 2] + c, d * table[:, 1] + e * table[:, 2] + f), 1)
    columns: dict[str, NDArray[Any]] = {
        "pixels": table[:, 0].astype(np.int64),
        "peak": table[:, 3].astype(np.float32),
        **boxes_on_map(table[:, [5, 4, 7, 6]], grid),
    }
    return Features(columns, points, grid.crs)


def boxes_on_map(boxes: NDArray[np.float64], grid: Grid) -> dict[str, NDArray[np.float64]]:
    """Boxes in map coordinates, as attributes of vectors.

    Args:
        boxes: left, top, right, bottom in columns and rows, shape (n, 4).
        grid: of these; see its `drawn`.

    Returns:
        "left", "bottom", "right" and "top", shape (n,).
    """
    a, b, c, d, e, f = grid.drawn
    corners = [(boxes[:, i], boxes[:, j]) for i in (0, 2) for j in (1, 3)]
    x, y = np.stack([a * col + b * row + c for col, row in corners]), np.stack([d * col + e * row + f for col, row in corners])
    return {"left": x.min(0), "bottom": y.min(0), "right": x.max(0), "top": y.max(0)}
