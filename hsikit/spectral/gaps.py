"""Missing bands: which spectra have too many of them, and interpolation of the few in the others.

One rule holds for labels and maps alike: a pixel is valid unless more than a tenth of its used bands are missing, and a
valid pixel's missing bands are interpolated along the wavelength.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MISSING_ALLOWED = 0.1
"""The share of the used bands that a valid pixel may lack."""


def valid_spectra(values: NDArray[np.float32], used: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Which spectra have enough bands.

    Args:
        values: shape (n, bands), NaN where missing.
        used: bool of shape (bands,): the bands that count; all of them when None or when none is marked.

    Returns:
        Bool of shape (n,): at most a tenth of the counted bands are missing.
    """
    counted = values if used is None or not used.any() else values[:, used]
    valid: NDArray[np.bool_] = np.isnan(counted).sum(axis=1) <= MISSING_ALLOWED * counted.shape[1]
    return valid


def fill_gaps(values: NDArray[np.float32], wavelength: NDArray[np.float64]) -> NDArray[np.float32]:
    """Interpolates missing bands linearly along the wavelength; beyond the first and last present band the value is held.

    Args:
        values: shape (n, bands), NaN where missing; not changed.
        wavelength: band centres (nm), ascending, shape (bands,). Where they are NaN (panchromatic) bands count as evenly spaced.

    Returns:
        Float32 of shape (n, bands); spectra without any present band stay NaN.
    """
    out = np.array(values, np.float32)
    rows = np.flatnonzero(np.isnan(out).any(axis=1))
    if rows.size == 0:
        return out
    part = out[rows]
    present = ~np.isnan(part)
    bands = part.shape[1]
    position = np.arange(bands)
    x = position.astype(np.float64) if np.isnan(wavelength).any() else np.asarray(wavelength, np.float64)
    left = np.maximum.accumulate(np.where(present, position, -1), axis=1)
    right = np.minimum.accumulate(np.where(present, position, bands)[:, ::-1], axis=1)[:, ::-1]
    low = np.where(left < 0, right, left).clip(0, bands - 1)
    high = np.where(right >= bands, left, right).clip(0, bands - 1)
    span = x[high] - x[low]
    share = np.divide(x[None, :] - x[low], span, out=np.zeros(part.shape), where=span > 0)
    at_low, at_high = (np.take_along_axis(part, index, 1).astype(np.float64) for index in (low, high))
    filled = at_low + share * (at_high - at_low)
    out[rows] = np.where(present, part, filled)
    return out
