"""Bands that say nothing are found by a sample, in any layout; scenes without any value stay open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsikit.geo.grid import Grid, Window
from hsikit.scene import Bands, SceneInfo, Source
from hsikit.sensors import ArraySource, inspection, open_source
from hsikit.sensors.inspection import SAMPLE_BYTES, sample_scene, sample_windows
from tests.products.envi import write_envi
from tests.products.geotiff import write_geotiff


def spoilt_cube() -> np.ndarray:
    cube = np.random.default_rng(0).integers(1, 5000, (6, 40, 50)).astype(np.float32)
    cube[:, :5, :] = -9999
    cube[1] = 7  # constant wherever anything is
    cube[2] = -9999
    cube[4] = np.nan
    return cube


@pytest.mark.parametrize("kind", ["envi", "tiff"])
def test_constant_fill_and_nan_bands_are_marked_with_one_notice(tmp_path: Path, kind: str) -> None:
    cube = spoilt_cube()
    path = write_envi(tmp_path / "a.hdr", cube, data_ignore_value=-9999) if kind == "envi" else write_geotiff(tmp_path / "a.tif", cube, nodata=-9999)
    info = open_source(path).info
    assert info.bands.good.tolist() == [True, False, False, True, False, True]
    assert len([notice for notice in info.notices if "constant or empty" in notice]) == 1
    assert open_source(path, inspect=False).info.bands.good.all()


def test_water_vapour_alone_is_not_bad(tmp_path: Path) -> None:
    cube = np.random.default_rng(1).integers(1, 5000, (3, 8, 8)).astype(np.int16)
    assert open_source(write_envi(tmp_path / "a.hdr", cube, wavelength=[1380, 1900, 2200])).info.bands.good.all()


@pytest.mark.parametrize("value", [-9999, 5])
def test_a_scene_of_nodata_or_of_one_value_stays_open(tmp_path: Path, value: int) -> None:
    info = open_source(write_geotiff(tmp_path / "a.tif", np.full((3, 20, 20), value, np.int16), nodata=-9999)).info
    assert info.bands.good.all()
    assert info.attrs["missing_share"] == ("1.000" if value < 0 else "0.000")
    assert any("--nodata" in notice for notice in info.notices) == (value == 5)


def test_a_handful_of_pixels_condemns_no_band(tmp_path: Path) -> None:
    cube = np.arange(6, dtype=np.int16).reshape(3, 1, 2)
    cube[1] = 4
    assert open_source(write_envi(tmp_path / "a.hdr", cube)).info.bands.good.all()


def virtual(shape: tuple[int, int], count: int, block: tuple[int, int]) -> Source:
    bands = Bands(np.linspace(400, 2400, count), np.full(count, 10.0), np.ones(count, bool), tuple(map(str, range(count))))
    info = SceneInfo("virtual", Grid(shape), bands, "int16", "array", identity=("none",))
    source = ArraySource(np.broadcast_to(np.int16(1), (count, *shape)), info)
    source.block = block
    return source


@pytest.mark.parametrize(
    ("shape", "block"), [((10, 7), (1, 7)), ((4000, 3000), (1, 3000)), ((4000, 3000), (256, 256)), ((500, 9000), (500, 9000)), ((5, 5), (512, 512))]
)
def test_the_sample_is_small_spread_and_inside(shape: tuple[int, int], block: tuple[int, int]) -> None:
    windows = list(sample_windows(virtual(shape, 200, block)))
    assert sum(w.size for w in windows) * 400 <= SAMPLE_BYTES * 1.01
    assert len(set(windows)) == len(windows)
    assert all(w.intersect(Window.whole(shape)) == w and w.size for w in windows)
    if block[0] < shape[0]:
        assert max(w.row_end for w in windows) - min(w.row for w in windows) > 0.5 * shape[0]


def test_missing_share_of_a_known_hole() -> None:
    values = np.random.default_rng(0).normal(size=(3, 64, 10)).astype(np.float32)
    values[:, :16] = np.nan
    source = virtual((64, 10), 3, (1, 10))
    sample = sample_scene(ArraySource(values, source.info.with_(dtype="float32")))
    assert sample.missing == 0.25
    assert sample.usable.all()


def test_layers_that_are_no_spectrum_may_be_constant() -> None:
    values = np.stack([np.zeros((8, 8)), np.arange(64.0).reshape(8, 8)]).astype(np.float32)
    unknown = np.full(2, np.nan)
    source = ArraySource(values, SceneInfo("flags", Grid((8, 8)), Bands(unknown, unknown, np.ones(2, bool), ("cloud", "angle")), "float32", "array"))
    inspection.inspect(source)
    assert source.info.bands.good.all()
    assert not source.info.notices
