"""What is smaller than an area: the part of a picture that openings and closings by area take away, kept within its edges.

An area opening lowers each pixel to the highest level at which the group of neighbours around it, side or corner, is as large as the
area (Vincent 1993). Only pixels within `area - 1` steps can belong to such a group as it is first large enough: a halo of that width
gives exactly what the whole picture would.

A group that the scene's border cuts off is counted at its mirrored size: else every roof and road there would pass for a small object.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hsikit.geo.grid import Window
from hsikit.method import Partial, Reduce, Store, Tile
from hsikit.tasks.classification.box_mean import box_mean

LEVELS = 1024
EDGES = 0.01
"""Variance of the guide (0 to 1) below which a window counts as flat and is averaged."""
REACH = 2
"""Pixels around each that the guided filter sees."""


def extent_stage(name: str, layer: str) -> Reduce:
    """A stage that finds the smallest rectangle that holds all values of a layer: "first" and "last" row and column, int64 (2,)."""

    def update(tile: Tile, store: Store) -> Partial | None:
        there = ~tile.inner(layer)[0].isnan()
        if not bool(there.any()):
            return None
        places = there.nonzero() + torch.tensor([tile.core.row, tile.core.col], device=there.device)
        return {"first": places.amin(0), "last": places.amax(0)}

    return Reduce(name, (layer,), update, lambda a, b: {"first": torch.minimum(a["first"], b["first"]), "last": torch.maximum(a["last"], b["last"])})


def mirrored(values: Tensor, window: Window, extent: Mapping[str, Tensor]) -> Tensor:
    """Values with those outside the scene's extent taken from its inside, as in a mirror that stands on its border.

    Args:
        values: shape (n, rows, cols).
        window: where they lie.
        extent: as `extent_stage` finds it. A pixel within it has the same surroundings for any window that holds them.
    """
    rows, cols = (_folded(window[i], window.shape[i], int(extent["first"][i]), int(extent["last"][i]), values.device) for i in (0, 1))
    return values[:, rows][:, :, cols]


def _folded(start: int, size: int, first: int, last: int, device: torch.device) -> Tensor:
    """Positions in a window, each outside `first` to `last` folded back, as often as it takes."""
    length = last - first + 1
    away = (torch.arange(start, start + size, device=device) - first) % (2 * length)
    return (torch.where(away < length, away, 2 * length - 1 - away) + first - start).clamp(0, size - 1)


def levels_of(values: Tensor, valid: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Values as whole numbers.

    Args:
        values: shape (rows, cols).
        valid: bool, the same shape.
        low: the least value of the scene.
        high: the highest.

    Returns:
        int32, the same shape: 1 to `LEVELS`, 0 where not valid.
    """
    span = (high - low).clamp(min=1e-30)
    levels = ((values.double() - low) / span * (LEVELS - 1)).round().clamp(0, LEVELS - 1) + 1
    return torch.where(valid, levels, 0.0).int()


def smaller_than(levels: Tensor, area: int, *, dark: bool) -> Tensor:
    """By how many levels pixels stand out as parts of groups of fewer than `area` pixels.

    Args:
        levels: int32, shape (rows, cols), 0 where not valid.
        area: in pixels.
        dark: whether groups darker than their surroundings count too.

    Returns:
        float64, shape (rows, cols).
    """
    bright = _opened(levels, area)
    if not dark:
        return bright
    return bright + _opened(torch.where(levels > 0, LEVELS + 1 - levels, 0), area)


def _opened(levels: Tensor, area: int) -> Tensor:
    from skimage.morphology import area_opening

    # With a rim, for the filter takes no picture of a single row or column.
    picture = np.pad(levels.cpu().numpy().astype(np.uint16), 1)
    rest = (picture - area_opening(picture, area, connectivity=2))[1:-1, 1:-1]  # type: ignore[no-untyped-call]
    return torch.from_numpy(rest.astype(np.float64)).to(levels.device)


def guided_mean(values: Tensor, guide: Tensor, valid: Tensor) -> Tensor:
    """Means over 3 x 3 pixels that do not cross the edges of a guide (He, Sun and Tang, 2013, doi:10.1109/TPAMI.2012.213).

    Args:
        values: float64, shape (n, rows, cols), with a halo of `REACH`.
        guide: 0 to 1, shape (rows, cols).
        valid: bool, the same shape: others count nowhere.

    Returns:
        Shape (n, rows - 2 REACH, cols - 2 REACH); NaN where no pixel around is valid.
    """
    n = len(values)
    means = box_mean(torch.cat((values, values * guide, guide[None], guide[None] ** 2)), valid, 1)
    mean, product, own, square = means[:n], means[n : 2 * n], means[2 * n], means[2 * n + 1]
    slope = (product - mean * own) / ((square - own**2).clamp(min=0) + EDGES)
    inner = valid[1:-1, 1:-1]
    lines = box_mean(torch.cat((slope, mean - slope * own)), inner, 1)
    return lines[:n] * guide[REACH:-REACH, REACH:-REACH] + lines[n:]
