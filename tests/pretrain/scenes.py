"""Small scenes of two sensors, in memory, that count how much of them is read."""

from __future__ import annotations

from typing import Any

import numpy as np

from hsikit.geo.grid import Grid, Window
from hsikit.scene import Bands, SceneInfo
from hsikit.sensors.array import ArraySource


class Watched(ArraySource):
    """Keeps the largest number of pixels of one read."""

    largest = 0

    def read(self, window: Window, bands: Any) -> Any:
        self.largest = max(self.largest, window.rows * window.cols)
        return super().read(window, bands)


def scene(bands: int, rows: int = 40, cols: int = 56, seed: int = 0, missing: float = 0.1, first: float = 450.0, last: float = 2350.0) -> Watched:
    """Smooth spectra that differ from place to place; a corner has no data."""
    rng = np.random.default_rng(seed)
    wavelength = np.linspace(first, last, bands)
    shapes = rng.standard_normal((5, bands)).cumsum(1)
    places = rng.standard_normal((5, rows, cols)).cumsum(1).cumsum(2)
    values = np.tensordot(shapes, places / places.std((1, 2), keepdims=True), (0, 0)).astype(np.float32)
    values += 20 + 0.05 * rng.standard_normal(values.shape, dtype=np.float32)
    values[:, : round(missing * rows)] = np.nan
    info = SceneInfo(
        f"scene of {bands}",
        Grid((rows, cols)),
        Bands(wavelength, np.full(bands, 1.2 * (last - first) / bands), np.ones(bands, bool), ("",) * bands),
        "float32",
        "array",
    )
    return Watched(values, info)
