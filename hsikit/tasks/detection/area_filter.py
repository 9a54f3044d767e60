"""What is smaller than an area: the part of a picture that openings and closings by area take away, kept within its edges.

An area opening lowers each pixel to the highest level at which the group of neighbours around it, side or corner, is as large as the
area (Vincent 1993). Only pixels within `area - 1` steps can belong to such a group as it is first large enough: a halo of that width
gives exactly what the whole picture would.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hsikit.tasks.classification.box_mean import box_mean

LEVELS = 1024
EDGES = 0.01
"""Variance of the guide (0 to 1) below which a window counts as flat and is averaged."""
REACH = 2
"""Pixels around each that the guided filter sees."""


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
