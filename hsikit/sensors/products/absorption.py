"""Bands in which the water vapour of the air lets nothing through, or next to nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hsikit.scene import Handled

Ranges = tuple[tuple[float, float], ...]
WATER_VAPOUR: Ranges = ((1340.0, 1445.0), (1790.0, 1955.0))
"""Ranges (nm) that NEON's imaging spectrometer products name as absorbed (attributes Band_Window_1_Nanometers, Band_Window_2)."""
DARK_RANGES: Ranges = ((1350.0, 1420.0), (1810.0, 1940.0))
"""The part of them (nm) that is dark in any scene: a good band there is marked so by mistake."""


def within(wavelength: NDArray[np.float64], ranges: Ranges) -> NDArray[np.bool_]:
    """Which band centres (nm) lie in some range."""
    found = np.zeros(len(wavelength), bool)
    for low, high in ranges:
        found |= (wavelength >= low) & (wavelength <= high)
    return found


def outside_water_vapour(centres: Sequence[float], notices: list[str]) -> list[bool]:
    """Which bands are usable: those outside the two absorption bands of water vapour.

    Args:
        centres: of the bands (nm).
        notices: gets one sentence where any are not.

    Returns:
        One for each band; all of them where none would be left.
    """
    absorbed = within(np.asarray(centres, float), WATER_VAPOUR)
    if absorbed.any() and not absorbed.all():
        ranges = " and ".join(f"{low:.0f} to {high:.0f} nm" for low, high in WATER_VAPOUR)
        notices.append(Handled(f"{int(absorbed.sum())} bands lie where water vapour absorbs ({ranges}) and will not be used"))
    return [True] * len(absorbed) if absorbed.all() else (~absorbed).tolist()
