"""Bands in which the water vapour of the air lets nothing through, or next to nothing."""

from __future__ import annotations

import numpy as np

from hsikit.scene import Booleans, Floats, Handled

Ranges = tuple[tuple[float, float], ...]
WATER_VAPOUR: Ranges = ((1340.0, 1445.0), (1790.0, 1955.0))
"""Ranges (nm) that NEON's imaging spectrometer products name as absorbed (attributes Band_Window_1_Nanometers, Band_Window_2)."""
DARK_RANGES: Ranges = ((1350.0, 1420.0), (1810.0, 1940.0))
"""The part of them (nm) that is dark in any scene: a good band there is marked so by mistake."""


def within(wavelength: Floats, ranges: Ranges) -> Booleans:
    """Which band centres (nm) lie in some range."""
    found = np.zeros(len(wavelength), bool)
    for low, high in ranges:
        found |= (wavelength >= low) & (wavelength <= high)
    return found


def outside(wavelength: Floats, ranges: Ranges, good: Booleans, notices: list[str]) -> Booleans:
    """Which good bands are left where water vapour takes others.

    Args:
        wavelength: band centres (nm), shape (C,).
        ranges: where it does (nm).
        good: which bands are good so far, shape (C,).
        notices: gets one sentence where any is taken.

    Returns:
        Shape (C,); as before where none would be left.
    """
    left = good & ~within(wavelength, ranges)
    taken = int(good.sum() - left.sum())
    if not taken or not left.any():
        return good
    told = " and ".join(f"{low:.0f} to {high:.0f} nm" for low, high in ranges)
    lie = "1 band lies" if taken == 1 else f"{taken} bands lie"
    notices.append(Handled(f"{lie} where water vapour absorbs ({told}) and will not be used (--wavelengths FILE.csv with a column good)"))
    return left
