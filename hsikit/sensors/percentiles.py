"""How bright a scene is: percentiles of a few well-known wavelengths, from a sample of its pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.scene import Bands, Indices, Source, read_window
from hsikit.sensors.inspection import sample_windows

NEAR = (550.0, 850.0, 1650.0)
"""Wavelengths (nm) at which water, plants and soil differ most: green, near and shortwave infrared."""
WITHIN = 30.0
RANKS = (2, 50, 98)


def percentiles(source: Source) -> dict[str, Any]:
    """The 2nd, 50th and 98th percentiles of physical values near 550, 850 and 1650 nm.

    Returns:
        By the band's wavelength ("549.3 nm"): the numbers by their rank ("2 %"), or "nothing" where the sample holds no value;
        empty where no good band is near any of the wavelengths (`bands_near`).
    """
    chosen = bands_near(source.info.bands)
    if not chosen.size:
        return {}
    found = [read_window(source, window, chosen).reshape(len(chosen), -1) for window in sample_windows(source)]
    values = np.concatenate(found, axis=1)
    return {f"{source.info.bands.wavelength[band]:.1f} nm": _ranked(row) for band, row in zip(chosen, values, strict=True)}


def _ranked(values: NDArray[np.float32]) -> dict[str, float] | str:
    known = values[np.isfinite(values)]
    if not known.size:
        return "nothing"
    return {f"{rank} %": float(f"{value:.4g}") for rank, value in zip(RANKS, np.percentile(known, RANKS), strict=True)}


def bands_near(bands: Bands) -> Indices:
    """Positions of the good bands nearest to `NEAR`, ascending; each within 30 nm, or broad enough to see the wavelength with half its response."""
    used = bands.used
    reach = np.fmax(bands.fwhm[used] / 2, WITHIN)
    chosen: set[int] = set()
    for wavelength in NEAR:
        away = np.abs(bands.wavelength[used] - wavelength)
        near = away <= reach
        if near.any():
            chosen.add(int(used[np.argmin(np.where(near, away, np.inf))]))
    return np.array(sorted(chosen), np.intp)
