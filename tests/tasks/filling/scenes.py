"""Small scenes with bands that are bad, and values that single pixels lack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hsikit.engine import compute
from hsikit.engine.compute import Result
from hsikit.geo.grid import Grid
from hsikit.scene import Bands, SceneInfo
from hsikit.sensors.array import ArraySource
from hsikit.tasks.filling.base import BandFilling

BANDS, ROWS, COLS = 14, 30, 26
NM = np.linspace(450.0, 2400.0, BANDS) + 20 * np.sin(np.arange(BANDS))


def spectra(seed: int = 0, rows: int = ROWS, cols: int = COLS, bands: int = BANDS) -> np.ndarray:
    """Four materials in smooth shares, of rough spectra, with noise: float32 (bands, rows, cols)."""
    rng = np.random.default_rng(seed)
    shapes = 0.3 + 0.1 * rng.standard_normal((4, bands))
    shares = rng.standard_normal((4, rows, cols)).cumsum(1).cumsum(2)
    values = np.tensordot(shapes, shares / shares.std((1, 2), keepdims=True), (0, 0)) + 2
    return (values + 0.002 * rng.standard_normal(values.shape)).astype(np.float32)


def holed(values: np.ndarray, share: float = 0.02, seed: int = 1) -> np.ndarray:
    """With a corner of no data, a stripe in three bands, and values that are missing by chance."""
    out = values.copy()
    out[np.random.default_rng(seed).random(values.shape) < share] = np.nan
    out[4:7, :, 11] = np.nan
    out[:, :4, :5] = np.nan
    return out


def source(values: np.ndarray, bad: tuple[int, ...] = (), nm: np.ndarray = NM) -> ArraySource:
    good = np.ones(len(nm), bool)
    good[list(bad)] = False
    bands = Bands(nm, np.full(len(nm), 12.0), good, tuple(f"b{k}" for k in range(len(nm))))
    info = SceneInfo("scene", Grid(values.shape[1:], (30.0, 0, 4e5, 0, -30.0, 5.8e6), "EPSG:32633"), bands, "float32", "array", quantity="surface_reflectance")
    return ArraySource(values, info)


def fill(method: BandFilling, scene: ArraySource, **options: object) -> Result:
    return compute(method.bind({"cube": scene.info}), {"cube": scene}, **options)


def set_aside(rows: int, cols: int) -> np.ndarray:
    """The pixels on which filling is checked, in a scene of fewer than 288 squares a side of 8 pixels."""
    return ((np.arange(rows) // 8) % 3 == 0)[:, None] & ((np.arange(cols) // 8) % 3 == 0)


def unnamed(scene: ArraySource) -> ArraySource:
    """Without wavelengths."""
    scene.info = replace(scene.info, bands=replace(scene.info.bands, wavelength=np.full(len(scene.info.bands), np.nan)))
    return scene
