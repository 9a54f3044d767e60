"""Jumps at the borders of a field spectrometer's detectors, taken out by a factor for each detector.

A field spectrometer joins two or three detectors, whose temperatures drift apart: at the borders (1000 and 1830 nm of an ASD)
reflectance jumps. The detector in the middle keeps its values; each other one is multiplied so that straight lines through
both sides meet at the border (the multiplicative splice correction of ASD's ViewSpec Pro, there with the two channels alone).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError

Floats = NDArray[np.float64]

REACH_NM = 10.0
"""How far on each side of a border the line is fitted (nm)."""
LARGEST_STEP = 2.0
"""A factor beyond this, or below its inverse, is no drift of a detector: the border is left as it is."""


def correct_splices(spectra: NDArray[np.floating], wavelength: Floats, borders: Sequence[float]) -> tuple[NDArray[np.float32], Floats]:
    """Spectra without jumps at the borders of detectors.

    Args:
        spectra: shape (n, C); NaN where missing.
        wavelength: nm, ascending, shape (C,).
        borders: the last wavelength (nm) of each detector but the last, ascending; those outside the spectrum are passed over.

    Returns:
        Spectra of the same shape, and the factors, shape (n, detectors); 1 where a side is missing or the jump is no drift.

    Raises:
        OptionError: borders that do not ascend.
    """
    inside = [float(border) for border in borders if wavelength[0] <= border < wavelength[-1]]
    if (np.diff(inside) <= 0).any():
        raise OptionError("splice", f"borders {', '.join(f'{b:g}' for b in borders)} do not ascend", "Give wavelengths in nm, such as 1000 and 1830")
    values = np.asarray(spectra, np.float64)
    factors = np.ones((len(values), len(inside) + 1))
    middle = len(inside) // 2
    for i in range(middle, len(inside)):
        factors[:, i + 1] = factors[:, i] * _step(values, wavelength, inside[i])
    for i in reversed(range(middle)):
        factors[:, i] = factors[:, i + 1] / _step(values, wavelength, inside[i])
    detector = np.searchsorted(np.asarray(inside), wavelength, side="left")
    return (values * factors[:, detector]).astype(np.float32), factors


def _step(values: Floats, wavelength: Floats, border: float) -> Floats:
    """What the right side must be multiplied by to meet the left one, shape (n,)."""
    left = (wavelength <= border) & (wavelength >= border - REACH_NM)
    right = (wavelength > border) & (wavelength <= border + REACH_NM)
    with np.errstate(invalid="ignore", divide="ignore"):
        step = _at_border(values[:, left], wavelength[left] - border) / _at_border(values[:, right], wavelength[right] - border)
        drift = (step < LARGEST_STEP) & (step > 1 / LARGEST_STEP)
    return np.where(drift, step, 1.0)


def _at_border(values: Floats, distance: Floats) -> Floats:
    """The line through each spectrum's channels, at distance 0; NaN where a channel is missing or there is none."""
    if not distance.size:
        return np.full(len(values), np.nan)
    if distance.size == 1:
        return values[:, 0]
    design = np.column_stack([np.ones_like(distance), distance])
    return np.asarray(values @ np.linalg.pinv(design)[0], np.float64)
