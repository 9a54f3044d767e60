"""The empirical line: in each band reflectance is a straight line of what the sensor measured, found from targets on the ground.

Smith and Milton 1999, The use of the empirical line method to calibrate remotely sensed data to reflectance,
doi:10.1080/014311699211994. Least squares over all targets that a band has; each target's residual is that from the line
through the others, so that a target that pulls the line to itself shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError

Floats = NDArray[np.float64]

LEAST_SPREAD = 1e-6
"""Targets whose values differ by less than this share of the largest tell nothing of a slope."""
FEWEST = 2


@dataclass(frozen=True, eq=False)
class Lines:
    """One line for each band.

    Attributes:
        gain: slope, shape (C,); NaN where fewer than two targets have the band, or they do not differ.
        offset: reflectance where the sensor measures 0, shape (C,).
        residuals: what the line through the other targets gives for each, less its reflectance, shape (m, C); NaN where fewer
            than three targets have the band.
    """

    gain: Floats
    offset: Floats
    residuals: Floats


def fit_lines(values: NDArray[np.floating], reflectance: NDArray[np.floating]) -> Lines:
    """Fits the lines.

    Args:
        values: what the sensor measured of m targets, shape (m, C); NaN where missing.
        reflectance: of the same targets at the sensor's bands, shape (m, C); NaN where missing.

    Raises:
        OptionError: fewer than two targets, or shapes that differ.
    """
    x, y = np.asarray(values, np.float64), np.asarray(reflectance, np.float64)
    if x.shape != y.shape or x.ndim != 2:
        raise OptionError("empirical line", f"values of shape {x.shape} and reflectances of shape {y.shape}", "Give both for each target and band")
    if len(x) < FEWEST:
        raise OptionError("empirical line", f"{len(x)} target; a line needs two", "Give a bright target and a dark one")
    has = np.isfinite(x) & np.isfinite(y)
    count = has.sum(axis=0)
    n = np.maximum(count, 1)
    x, y = np.where(has, x, 0.0), np.where(has, y, 0.0)
    mean_x, mean_y = x.sum(axis=0) / n, y.sum(axis=0) / n
    dx, dy = np.where(has, x - mean_x, 0.0), np.where(has, y - mean_y, 0.0)
    spread = (dx**2).sum(axis=0)
    told = (count >= FEWEST) & (np.sqrt(spread / n) > LEAST_SPREAD * np.abs(x).max(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = np.where(told, (dx * dy).sum(axis=0) / spread, np.nan)
        # The residual from the line through the others is the plain one over one less the target's leverage.
        alone = 1.0 - 1.0 / n - dx**2 / spread
        residuals = (gain * dx - dy) / alone
    residuals[~has | (count <= FEWEST) | ~(alone > LEAST_SPREAD)] = np.nan
    return Lines(gain, mean_y - gain * mean_x, residuals)
