"""Values between pixels: weighted means of the pixels around, where a missing pixel takes no part.

Each place is computed by itself, so that no result depends on what else is asked for. Kernels are separable along the scene's rows and
columns; where pixels grow, a kernel is stretched by as much, and every pixel below a new one takes part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Spectra = NDArray[np.float32]

LEAST = 0.5
"""Share of the weight that must fall on pixels with a value: data do not creep into holes."""
AT_ONCE = 1 << 17
"""Numbers that are weighted at once: what a processor's cache holds."""


def triangle(distance: Floats, step: float) -> Floats:
    """Bilinear interpolation; `step` is the size of a new pixel in old ones, `distance` in old ones."""
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(distance) / max(1.0, step)))


def keys(distance: Floats, step: float) -> Floats:
    """Cubic convolution with a = -1/2 (Keys 1981, doi:10.1109/TASSP.1981.1163711)."""
    x = np.abs(distance) / max(1.0, step)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def box(distance: Floats, step: float) -> Floats:
    """What an interval of `step` old pixels shares with the pixel at that distance from its centre."""
    half = step / 2
    return np.asarray(np.maximum(0.0, np.minimum(distance + 0.5, half) - np.maximum(distance - 0.5, -half)))


@dataclass(frozen=True)
class Kernel:
    """A way to weight pixels.

    Attributes:
        weight: of a pixel, by its distance from the place, and the size of a new pixel.
        reach: how far it reaches, by the size of a new pixel.
    """

    weight: Callable[[Floats, float], Floats]
    reach: Callable[[float], float]

    def taps(self, step: float) -> int:
        """Pixels on each side of a place that may have a weight."""
        return max(1, math.ceil(self.reach(step)))


KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        "bilinear": Kernel(triangle, lambda step: max(1.0, step)),
        "cubic": Kernel(keys, lambda step: 2 * max(1.0, step)),
        "average": Kernel(box, lambda step: step / 2 + 0.5),
    }
)


def interpolate(values: Spectra, rows: Floats, cols: Floats, kernel: Kernel, steps: tuple[float, float]) -> Spectra:
    """Values at places of an image.

    Args:
        values: shape (rows, cols, bands), NaN where missing.
        rows: of the places, in pixels from the centre of the first one, shape (n,); finite.
        cols: the same.
        kernel: one of `KERNELS`.
        steps: size of a new pixel in old ones, along rows and along columns.

    Returns:
        Shape (n, bands); NaN where less than half of the weight falls on pixels with a value.
    """
    out = np.empty((len(rows), values.shape[2]), np.float32)
    absent = np.isnan(values)
    holes = bool(absent.any())
    known = np.where(absent, np.float32(0), values) if holes else values
    size = max(1, AT_ONCE // values.shape[2])
    for first in range(0, len(rows), size):
        part = slice(first, first + size)
        out[part] = _weighted(known, absent if holes else None, rows[part], cols[part], kernel, steps)
    return out


def _weighted(known: Spectra, absent: NDArray[np.bool_] | None, rows: Floats, cols: Floats, kernel: Kernel, steps: tuple[float, float]) -> Spectra:
    down, across = (_axis(at, size, kernel, step) for at, size, step in zip((rows, cols), known.shape[:2], steps, strict=True))
    total = np.zeros((len(rows), known.shape[2]), np.float32)
    weight = np.zeros((len(rows), 1 if absent is None else known.shape[2]), np.float32)
    for row, row_weight in down:
        for col, col_weight in across:
            share = (row_weight * col_weight).astype(np.float32)[:, np.newaxis]
            if not share.any():
                continue
            total += share * known[row, col]
            weight += share if absent is None else np.where(absent[row, col], np.float32(0), share)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight >= LEAST, total / weight, np.float32(np.nan))


def _axis(at: Floats, size: int, kernel: Kernel, step: float) -> list[tuple[NDArray[np.intp], Floats]]:
    """Pixels along one axis and their weights, tap by tap; the weights of all taps sum to 1, those outside of the image count for nothing."""
    before, taps = np.floor(at), kernel.taps(step)
    places = [before + tap for tap in range(1 - taps, taps + 1)]
    weights = [kernel.weight(place - at, step) for place in places]
    total = np.sum(weights, axis=0)
    return [
        (np.clip(place, 0, size - 1).astype(np.intp), np.where((place >= 0) & (place < size), weight / total, 0.0))
        for place, weight in zip(places, weights, strict=True)
    ]
