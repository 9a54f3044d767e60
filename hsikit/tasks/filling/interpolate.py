"""Filling by a straight line along the wavelength: what every other method must beat.

For gaps of a few bands in smooth spectra. Beyond the first and the last known band the nearest one's value is held, and flagged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hsikit.method import Cost, Store
from hsikit.tasks.filling.base import BandFilling, Estimate, Filling, View
from hsikit.tasks.filling.linear import linear_bytes, linear_fill


@dataclass(frozen=True)
class Interpolate(BandFilling):
    """Linear interpolation between the nearest known bands of each pixel; see `BandFilling` for its options."""

    name: ClassVar[str] = "interpolate"
    is_floor: ClassVar[bool] = True

    def estimate(self, view: View, filling: Filling, store: Store) -> Estimate:
        """See `BandFilling`."""
        return Estimate(linear_fill(view.values, filling.bands.wavelength))

    def estimate_cost(self, filling: Filling, tile: tuple[int, int]) -> Cost:
        """See `BandFilling`."""
        numbers = tile[0] * tile[1] * len(filling.bands)
        return Cost(4 * numbers + linear_bytes(len(filling.bands)), 20.0 * numbers)
