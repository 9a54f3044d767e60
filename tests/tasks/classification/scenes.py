"""Small labelled scenes in memory, and an engine that runs a job with tiles of a given size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from hsikit.engine import compute
from hsikit.geo.grid import Grid, Window
from hsikit.layers import Legend
from hsikit.method import Job
from hsikit.scene import Bands, Decoding, Raw, SceneInfo, read_window
from hsikit.spectral.sensor_change import sensor_change
from hsikit.train.labelled import LabelledScene

UTM = (30.0, 0.0, 500_000.0, 0.0, -30.0, 5_800_000.0)


@dataclass
class ArraySource:
    info: SceneInfo
    values: np.ndarray
    block: tuple[int, int] = (1, 1)

    def read(self, window: Window, bands: np.ndarray) -> Raw:
        return Raw(self.values[(bands, *window.slices())], window, Decoding())

    def close(self) -> None: ...


def bands(count: int, shift: float = 0.0) -> Bands:
    return Bands(np.linspace(420, 2450, count) + shift, np.full(count, 12.0), np.ones(count, bool), tuple(f"b{i}" for i in range(count)))


def source(values: np.ndarray, crs: str | None = "EPSG:32633", name: str = "scene.tif", **changes: Any) -> ArraySource:
    grid = Grid(values.shape[1:], UTM, crs) if crs else Grid(values.shape[1:])
    info = SceneInfo(name, grid, bands(len(values)), "float32", "array", sensor="toy", quantity="dn").with_(**changes)
    return ArraySource(info, values.astype(np.float32))


def fields(rows: int, cols: int, classes: int, count: int, seed: int = 0, noise: float = 0.3, holes: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A scene of square fields: values (count, rows, cols) with brightness, noise and holes of NaN; truth (rows, cols), 1 to `classes`."""
    rng = np.random.default_rng(seed)
    spectra = np.cumsum(rng.normal(size=(classes, count)), 1)
    size = 9
    parcels = rng.permutation(np.arange(((rows // size) + 1) * ((cols // size) + 1)) % classes).reshape(rows // size + 1, cols // size + 1)
    truth = np.kron(parcels, np.ones((size, size), int))[:rows, :cols]
    values = (spectra[truth] * rng.uniform(0.5, 1.5, (rows, cols, 1)) + 20 + rng.normal(size=(rows, cols, count)) * noise).transpose(2, 0, 1)
    if holes:
        values[:, rows // 3 : rows // 3 + 5, cols // 2 : cols // 2 + 4] = np.nan
        values[:, rng.random((rows, cols)) < 0.02] = np.nan
        values[count // 2, rng.random((rows, cols)) < 0.02] = np.nan
    return values.astype(np.float32), (truth + 1).astype(np.uint8)


def labelled(scene: ArraySource, truth: np.ndarray, per_class: int = 25, seed: int = 0) -> LabelledScene:
    rng = np.random.default_rng(seed)
    valid = ~np.isnan(scene.values).all(0)
    chosen = np.concatenate([rng.permutation(np.flatnonzero((truth == k) & valid))[:per_class] for k in np.unique(truth)])
    rows, cols = np.unravel_index(np.sort(chosen), truth.shape)
    legend = Legend.of({int(k): f"class {k}" for k in np.unique(truth)})
    return LabelledScene(scene, rows, cols, truth[rows, cols], np.arange(len(rows)), legend, "labels.tif")


def run_with(**options: Any) -> Any:
    return partial(compute, threads=1, **options)


def layers_of(job: Job, scene: ArraySource, tile: int | None, *names: str) -> Mapping[str, np.ndarray]:
    return compute(job, {"cube": scene}, layers=names, threads=1, tile=tile).layers


BROAD = ([580.0, 870.0, 1150.0, 1440.0, 1730.0, 2020.0], [200.0] * 6)
"""Centres and widths (nm) of a sensor of few broad bands, all within those of `fifteen_bands`."""


def fifteen_bands(per_class: int = 12) -> tuple[ArraySource, np.ndarray, LabelledScene]:
    """A scene of four classes and fifteen bands of known width, its truth, and some labels."""
    values, truth = fields(40, 43, 4, 15, noise=0.5)
    scene = source(np.abs(values) + 1)
    scene.info = scene.info.with_(bands=replace(scene.info.bands, fwhm=np.full(15, 140.0)))
    return scene, truth, labelled(scene, truth, per_class)


def as_sensor(scene: ArraySource, centres: list[float], widths: list[float], sensor: str = "other") -> ArraySource:
    """The scene as bands of another sensor, sums of its own."""
    own = scene.info.bands
    change = sensor_change(own.wavelength, own.fwhm, centres, widths)
    assert len(change.used) == len(centres)
    values = np.tensordot(change.weights, read_window(scene, scene.info.grid.whole).astype(float), 1).astype(np.float32)
    other = source(values, name="other.tif")
    bands = Bands(np.array(centres), np.array(widths), np.ones(len(centres), bool), tuple(f"b{c:g}" for c in centres))
    other.info = other.info.with_(bands=bands, sensor=sensor)
    return other
