"""Small scenes in memory, on a map or as a swath, stored as floats or integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hsikit.geo.grid import Grid
from hsikit.geo.swath import swath_of_arrays
from hsikit.scene import Bands, Decoding, Quality, SceneInfo
from hsikit.sensors.array import ArraySource

UTM = (30.0, 0.0, 400_000.0, 0.0, -30.0, 5_800_000.0)
COS, SIN = 20 * math.cos(0.3), 20 * math.sin(0.3)
PLACES: dict[str, tuple[Any, str | None]] = {
    "utm": (UTM, "EPSG:32633"),
    "rotated": ((COS, SIN, 4e5, SIN, -COS, 5.8e6), "EPSG:32633"),
    "geographic": ((0.001, 0.0, 13.0, 0.0, -0.002, 52.0), "EPSG:4326"),
    "nowhere": ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), None),
}
SWATHS = ("swath",)


def positions(rows: int, cols: int) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of an oblique swath."""
    row, col = np.mgrid[:rows, :cols].astype(float)
    return 13.0 + 0.001 * col + 0.0003 * row, 52.0 - 0.0008 * row + 0.0002 * col


def scene(rows: int = 20, cols: int = 15, nm: Any = None, place: str = "utm", seed: int = 0, **facts: Any) -> ArraySource:
    """Random int16 with fill (-9999), scale 1e-4; some bands bad, one width unknown where there are several."""
    centres = np.linspace(450, 2400, 7) if nm is None else np.asarray(nm, float)
    count, rng = len(centres), np.random.default_rng(seed)
    values = rng.integers(1, 9000, (count, rows, cols)).astype(np.int16)
    values[:, rng.random((rows, cols)) < 0.1] = -9999
    values[:, 0, 0] = rng.permutation(9000)[0] + 1
    good = np.ones(count, bool)
    good[1::3] = False
    bands = Bands(centres, np.full(count, 10.5), good, tuple(f"b{i + 1}" for i in range(count)))
    transform, crs = PLACES.get(place, PLACES["nowhere"])
    told: dict[str, Any] = {"sensor": "enmap", "quantity": "surface_reflectance", "acquired": "2024-09-09T09:15:00Z", "nodata": -9999.0}
    told["attrs"] = {"processing_level": "L2A", "sun_zenith": "52.1"}
    if place in SWATHS:
        told["swath"] = swath_of_arrays(*positions(rows, cols))
    info = SceneInfo("scene.dat", Grid((rows, cols), transform, crs), bands, "int16", "array", **{**told, **facts})
    return ArraySource(values, info, Decoding(1e-4, 0.0, -9999.0))


def quality(flags: np.ndarray) -> Quality:
    """Flags in memory, of clouds and shadows."""
    return Quality(("cloud", "shadow"), lambda window: flags[window.slices()])
