"""Two detectors joined by the definition, band by band: the truth of products whose detectors overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Measured = tuple[float, float, np.ndarray]
"""Centre, width and values of a band."""


def mean(parts: Sequence[tuple[float, np.ndarray]]) -> np.ndarray:
    """The weighted mean of what is measured."""
    weights = sum(weight * np.isfinite(values) for weight, values in parts)
    total = sum(weight * np.nan_to_num(values) for weight, values in parts if weight > 0)
    return np.where(weights > 0, total / np.where(weights > 0, weights, 1), np.nan)


def joined(vnir: Sequence[Measured], swir: Sequence[Measured], how: str = "average") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, centres and widths in ascending order of wavelength."""
    one, two = (sorted(bands, key=lambda band: band[0]) for bands in (vnir, swir))
    low, high = two[0][0], one[-1][0]
    if how == "keep":
        out = sorted([*one, *two], key=lambda band: band[0])
    elif how == "vnir":
        out = [*one, *(band for band in two if band[0] > high + band[1] / 4)]
    elif how == "swir":
        out = [*(band for band in one if band[0] < low - band[1] / 4), *two]
    else:
        out = [_averaged(band, two, low, high) if band[0] >= low else band for band in one]
        out += [band for band in two if band[0] > high]
    return np.stack([band[2] for band in out]), np.array([band[0] for band in out]), np.array([band[1] for band in out])


def _averaged(band: Measured, two: Sequence[Measured], low: float, high: float) -> Measured:
    centre, width, values = band
    shared = [centre for centre, _, _ in two]
    right = min(max(int(np.searchsorted(shared, centre)), 1), len(two) - 1)
    part = float(np.clip((centre - shared[right - 1]) / (shared[right] - shared[right - 1]), 0, 1))
    weight = (centre - low) / (high - low)
    return centre, width, mean([(1 - weight, values), (weight * (1 - part), two[right - 1][2]), (weight * part, two[right][2])])
