"""Swaths in memory with a table of their own, in any order of axes, and what plain NumPy makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from hsikit.geo.grid import Grid
from hsikit.geo.swath import NOTHING, ArrayTable, Swath, swath_of_arrays
from hsikit.scene import Bands, Decoding, SceneInfo
from hsikit.sensors.array import ArraySource

from ..geo.swaths import tilted_positions

MAP = Grid((101, 90), (60.0, 0.0, 3e5, 0.0, -60.0, 4e6), "EPSG:32633")
ORDERS = {"bands first": (0, 1, 2), "lines": (1, 0, 2), "spectra": (1, 2, 0), "columns": (2, 1, 0)}


def turned_table(shape=(75, 48), grid=MAP, angle=35.0, finer=1.3) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the sensor's pixels on a map that is turned against them."""
    y, x = np.mgrid[0 : grid.shape[0], 0 : grid.shape[1]] - np.array(grid.shape)[:, None, None] / 2
    turn = np.radians(angle)
    row = np.floor((y * np.cos(turn) + x * np.sin(turn)) / finer + shape[0] / 2)
    col = np.floor((-y * np.sin(turn) + x * np.cos(turn)) / finer + shape[1] / 2)
    inside = (row >= 0) & (row < shape[0]) & (col >= 0) & (col < shape[1])
    return np.where(inside, row, NOTHING).astype(np.int32), np.where(inside, col, NOTHING).astype(np.int32)


def swath_scene(shape=(75, 48), bands=5, dtype="float32", order="bands first", table: Any = "turned", seed=0, decoding=None, **facts: Any) -> ArraySource:
    """Random numbers on the sensor's grid; `facts` go into its `SceneInfo`."""
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 250, (bands, *shape)).astype(dtype)
    axes = ORDERS[order]
    values = np.ascontiguousarray(values.transpose(axes)).transpose(np.argsort(axes))
    lon, lat = tilted_positions(shape, lon=15.0, lat=36.0)
    if isinstance(table, str):
        table = ArrayTable(MAP, *turned_table(shape))
    spectral = Bands(np.linspace(400, 2400, bands), np.full(bands, 8.0), np.arange(bands) != 1, tuple(f"b{i}" for i in range(bands)))
    told = {"sensor": "emit", "quantity": "surface_reflectance", "acquired": "2023-05-06T07:08:09Z", "swath": swath_of_arrays(lon, lat, table), **facts}
    return ArraySource(values, SceneInfo("granule", Grid(shape), spectral, dtype, "array", **told), decoding or Decoding(nodata=told.get("nodata")))


def stored(source: Any) -> np.ndarray:
    """All stored numbers of a scene, (bands, rows, cols)."""
    return np.asarray(source.read(source.info.grid.whole, np.arange(len(source.info.bands))).values)


def gathered(source: ArraySource, fill: float, dtype: str) -> np.ndarray:
    """The scene put through its table, by plain NumPy."""
    swath: Swath = source.info.swath
    lookup = swath.table.read(swath.table.grid.whole)
    return np.where(lookup.filled, stored(source).astype(dtype)[:, lookup.rows, lookup.cols], np.asarray(fill, dtype))
