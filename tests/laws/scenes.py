"""A small scene with all that real ones have: fields of look-alike classes, mixed pixels, uneven light, noise, holes, single missing bands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hsikit.geo.grid import Grid
from hsikit.scene import Bands, Decoding, SceneInfo
from hsikit.sensors.array import ArraySource
from tests.products.geotiff import PLACE, write_geotiff

NODATA, SCALE, CRS = -9999, 1e-4, "EPSG:32633"
TRANSFORM = (30.0, 0.0, 365_000.0, 0.0, -30.0, 5_808_000.0)


@dataclass(frozen=True, eq=False)
class Scene:
    """Stored numbers (bands, rows, cols) of int16, the class of every pixel (0 in the holes), and the band centres in nm."""

    values: np.ndarray
    truth: np.ndarray
    nm: np.ndarray

    def source(self, name: str = "scene.tif") -> ArraySource:
        return as_source(self.values, self.nm, TRANSFORM, name)

    def labels(self, per_class: int, seed: int = 0) -> np.ndarray:
        """A few labelled pixels of each class, 0 elsewhere."""
        rng, found = np.random.default_rng(seed), np.zeros(self.truth.shape, np.uint8)
        for code in range(1, int(self.truth.max()) + 1):
            chosen = rng.permutation(np.flatnonzero(self.truth == code))[:per_class]
            found.flat[chosen] = code
        return found


def as_source(values: np.ndarray, nm: np.ndarray, transform: tuple[float, ...], name: str) -> ArraySource:
    """An open scene over stored numbers."""
    bands = Bands(nm.astype(float), np.full(len(nm), 12.0), np.ones(len(nm), bool), tuple(f"{w:.0f} nm" for w in nm))
    info = SceneInfo(name, Grid(values.shape[1:], transform, CRS), bands, str(values.dtype), "array", quantity="surface_reflectance", nodata=NODATA)
    return ArraySource(values, info, Decoding(SCALE, 0.0, NODATA))


def make_scene(rows: int, cols: int, bands: int, seed: int = 0, classes: int = 4, side: int = 13) -> Scene:
    """Square fields whose classes differ by smooth deviations of equal size, under noise."""
    rng = np.random.default_rng(seed)
    nm = np.linspace(420, 2450, bands)
    smooth = rng.uniform(-1, 1, (classes, 6)) @ np.exp(-0.5 * ((nm - rng.uniform(400, 2500, (6, 1))) / 300) ** 2)
    pure = np.clip(0.3 + 0.05 * np.linalg.qr(smooth.T)[0].T * np.sqrt(bands), 0.02, 0.95)
    cells = (rng.permutation((rows // side + 1) * (cols // side + 1)) % classes).reshape(rows // side + 1, -1)
    truth = np.kron(cells, np.ones((side, side), int))[:rows, :cols]
    other = (truth + rng.integers(1, classes, truth.shape)) % classes
    share = rng.beta(1.4, 4.4, (rows, cols, 1))
    light = 1 + 0.1 * rng.standard_normal((rows, cols, 1))
    values = (pure[truth] * (1 - share) + pure[other] * share) * light + 0.02 * rng.standard_normal((rows, cols, bands))
    stored = np.clip(values / SCALE, 10, 15_000).astype(np.int16).transpose(2, 0, 1).copy()
    stored[rng.random(stored.shape) < 0.002] = NODATA
    hole = rng.random((rows, cols)) < 0.01
    hole[: rows // 5, : cols // 4] = hole[rows // 2] = hole[:, -3] = True
    stored[:, hole] = NODATA
    # As the engine sees it: too many missing bands make a pixel invalid.
    missing = (stored == NODATA).sum(0) > 0.1 * bands
    return Scene(stored, np.where(missing, 0, truth + 1).astype(np.uint8), nm)


def write_scene(folder: Path, scene: Scene, per_class: int = 60) -> Path:
    """scene.tif, labels.tif (a few pixels of each class) and truth.tif; returns the scene's path."""
    path = write_geotiff(folder / "scene.tif", scene.values, scene.nm, scale=SCALE, nodata=NODATA, tiled=True, blockxsize=128, blockysize=128)
    write_codes(folder / "labels.tif", scene.labels(per_class))
    write_codes(folder / "truth.tif", scene.truth)
    return path


def write_codes(path: Path, codes: np.ndarray, **profile: object) -> Path:
    """A raster of class codes on the scene's grid."""
    import rasterio

    place = {**PLACE, "nodata": 0, **profile}
    with rasterio.open(path, "w", driver="GTiff", width=codes.shape[1], height=codes.shape[0], count=1, dtype="uint8", **place) as target:
        target.write(codes.astype(np.uint8), 1)
    return path
