"""Layers over NumPy arrays, as the engine would hand them to the writers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hsikit.geo.grid import Grid, Window
from hsikit.layers import Layer, Legend, class_layer

UTM = Grid((333, 517), (30.0, 0.0, 400000.0, 0.0, -30.0, 5800000.0), "EPSG:32633")
LEGEND = Legend.of({1: "corn", 3: 'Wälder & <Wiesen> "quoted", {braced}', 7: "water"})


@dataclass
class ArrayPixels:
    values: np.ndarray
    windows: list[Window] = field(default_factory=list)

    def read(self, window: Window) -> np.ndarray:
        self.windows.append(window)
        return self.values[(slice(None), *window.slices())]


def class_map(grid: Grid = UTM, seed: int = 0) -> tuple[Layer, np.ndarray]:
    """Patches of classes with holes of every reserved code."""
    rng = np.random.default_rng(seed)
    rows, cols = grid.shape
    coarse = rng.choice(np.array([1, 3, 7, 0, 254, 255], np.uint8), size=(rows // 16 + 1, cols // 16 + 1))
    return class_layer(LEGEND), np.kron(coarse, np.ones((16, 16), np.uint8))[None, :rows, :cols]


def floats(grid: Grid = UTM, bands: int = 1, **facts: object) -> tuple[Layer, np.ndarray]:
    """Smooth float layers with a hole of NaN."""
    rows, cols = grid.shape
    values = np.linspace(0, 1, bands * rows * cols, dtype=np.float32).reshape(bands, rows, cols)
    values[:, rows // 3 : rows // 2, cols // 4 : cols // 2] = np.nan
    return Layer("scores", bands=bands, **facts), values  # type: ignore[arg-type]


def cube(grid: Grid = UTM, bands: int = 12) -> tuple[Layer, np.ndarray]:
    """A cube with wavelengths, one bad band, sensor and quantity."""
    _, values = floats(grid, bands)
    layer = Layer(
        "cube",
        bands=bands,
        unit="1",
        band_names=tuple(f"band {i}" for i in range(bands)),
        wavelength=450.1 + 10.3 * np.arange(bands),
        fwhm=np.full(bands, 6.55),
        good=np.arange(bands) != 2,
        sensor="enmap",
        quantity="surface_reflectance",
    )
    return layer, values
