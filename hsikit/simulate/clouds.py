"""Clouds over a simulated scene: opaque, bright, and drawn from a seed; they cast no shadow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsikit.simulate.landscape import smooth_noise

SIZE = 8.0
"""Over how many pixels a cloud is smooth."""
VISIBLE, FALL, KNEE = 0.75, 0.35, 1300.0
"""Reflectance of a cloud up to the knee (nm), and by how much droplets and ice darken it from there to 2500 nm."""


def draw_clouds(open_sky: NDArray[np.bool_], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Where clouds lie.

    Args:
        open_sky: pixels that may be covered, shape (rows, cols).
        share: of those pixels, how many are covered: exactly so many, but for rounding.
        rng: where all chance comes from.

    Returns:
        Shape (rows, cols).
    """
    rows, cols = open_sky.shape
    if share == 0:
        return np.zeros((rows, cols), bool)
    field = np.where(open_sky, smooth_noise((rows, cols), SIZE, rng), -np.inf).ravel()
    covered = np.zeros(open_sky.size, bool)
    covered[np.argsort(-field, kind="stable")[: round(share * int(open_sky.sum()))]] = True
    return covered.reshape(open_sky.shape)


def cloud_spectrum(wavelength: NDArray[np.float64]) -> NDArray[np.float32]:
    """Reflectance of a cloud at band centres (nm), shape (C,)."""
    return np.asarray(VISIBLE - FALL * np.clip((wavelength - KNEE) / (2500.0 - KNEE), 0.0, 1.0), np.float32)
