"""Sun and shade on a relief: what a reflectance product without topographic correction shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats32 = NDArray[np.float32]


def cosine_of_incidence(elevation: Floats32, pixel: float, zenith: float, azimuth: float) -> Floats32:
    """Cosine of the angle between the sun and each pixel's normal, over that of flat ground; 0 where the slope turns away.

    Args:
        elevation: metres, shape (rows, cols), the first row in the north.
        pixel: side of a pixel, metres.
        zenith: the sun's angle from the vertical, degrees, below 90.
        azimuth: its direction, degrees clockwise from north.

    Returns:
        Shape (rows, cols); 1 on flat ground.
    """
    south, east = np.gradient(elevation, pixel)
    direction, height = np.radians(azimuth), np.radians(zenith)
    towards = np.sin(height) * (np.sin(direction) * -east + np.cos(direction) * south) + np.cos(height)
    cosine = towards / np.sqrt(1.0 + south**2 + east**2) / np.cos(height)
    return np.asarray(np.maximum(cosine, 0.0), np.float32)


def diffuse_share(wavelength: NDArray[np.float64]) -> Floats32:
    """Share of the light that comes from the sky instead of the sun: Rayleigh's blue over a haze that falls slowly."""
    return np.asarray(0.05 + 0.16 * (wavelength / 450.0) ** -4 + 0.08 * (wavelength / 450.0) ** -1, np.float32)


def lit(reflectance: Floats32, cosine: Floats32, diffuse: Floats32) -> Floats32:
    """Reflectances as they appear on the relief; shape (rows, cols, C) in and out."""
    return np.asarray(reflectance * (cosine[..., None] * (1.0 - diffuse) + diffuse), np.float32)
