"""Traps of Landsat products, and the real ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio

from hsikit.errors import HsikitError, SceneError
from hsikit.scene import QUALITY_FLAGS, Source, read_window
from hsikit.sensors import open_source
from tests.products import landsat


def cube(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def opened(path: Path, **options) -> Source:
    return open_source(path, inspect=False, **options)


def test_level_1_is_divided_by_the_sine_of_the_sun_s_elevation(shared_data: Path) -> None:
    folder = shared_data / "sensors" / "landsat8_l1tp_mini"
    source = opened(folder)
    assert source.info.bands.names == ("B1", "B2", "B3", "B4", "B5", "B9", "B6", "B7")
    with rasterio.open(next(folder.glob("*_B4.TIF"))) as file:
        stored, transform = file.read(1).astype(float), file.transform
    elevation = 56.77807119  # SUN_ELEVATION of its MTL
    expected = np.where(stored == 0, np.nan, (2e-5 * stored - 0.1) / math.sin(math.radians(elevation)))
    np.testing.assert_allclose(cube(source)[3], expected, rtol=1e-5, atol=1e-7)
    assert source.info.grid.transform == tuple(transform)[:6]
    assert (source.info.quantity, source.info.sensor) == ("toa_reflectance", "landsat-8")


def test_the_pan_band_of_a_real_level_1_is_on_its_own_grid(shared_data: Path) -> None:
    source = opened(shared_data / "sensors" / "landsat8_l1tp_mini", role="pan")
    assert len(source.info.bands) == 1
    assert source.info.grid.pixel_size[0] == 1600  # the copies at hand are thinned: 3200 m where Landsat has 30


def test_real_surface_reflectance_with_its_quality(shared_data: Path) -> None:
    folder = shared_data / "sensors" / "landsat8_l2sr"
    source = opened(folder)
    with rasterio.open(next(folder.glob("*_SR_B5.TIF"))) as file:
        stored = file.read(1).astype(float)
    with rasterio.open(next(folder.glob("*_QA_PIXEL.TIF"))) as file:
        pixel = file.read(1)
    np.testing.assert_allclose(cube(source)[4], np.where(stored == 0, np.nan, 2.75e-5 * stored - 0.2), rtol=1e-5, atol=1e-6)
    assert source.info.quality is not None
    flags = source.info.quality.read(source.info.grid.whole)
    for flag, bits in {"cloud": 0b1010, "cirrus": 0b100, "shadow": 0b10000, "snow": 0b100000, "water": 0b10000000, "no-data": 1}.items():
        np.testing.assert_array_equal(flags & QUALITY_FLAGS[flag] != 0, pixel & bits != 0, err_msg=flag)
    assert source.info.attrs["correction"] == "LaSRC_1.5.0"


@pytest.mark.parametrize("suffix", ["txt", "xml", "json"])
def test_each_form_of_the_metadata_says_the_same(shared_data: Path, suffix: str) -> None:
    folder = shared_data / "sensors" / "landsat8_l2sr"
    info = opened(next(folder.glob(f"*_MTL.{suffix}"))).info
    whole = opened(folder).info
    assert (info.grid, info.acquired, info.attrs) == (whole.grid, whole.acquired, whole.attrs)
    np.testing.assert_array_equal(info.bands.wavelength, whole.bands.wavelength)


def test_level_2_has_no_pan_band_though_its_metadata_names_that_of_level_1(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="no panchromatic band"):
        opened(landsat.level_2(tmp_path).path, role="pan")


def test_an_older_collection_is_refused(tmp_path: Path) -> None:
    path = landsat.level_1(tmp_path).path
    metadata = next(path.glob("*_MTL.txt"))
    metadata.write_text(metadata.read_text().replace("COLLECTION_NUMBER = 2", "COLLECTION_NUMBER = 1"))
    with pytest.raises(SceneError, match="collection 1"):
        opened(path)


def test_the_scanner_of_landsat_4_is_read_only_as_tm(tmp_path: Path) -> None:
    path = landsat.product(tmp_path, "L1TP", "5").path
    metadata = next(path.glob("*_MTL.txt"))
    metadata.write_text(metadata.read_text().replace('SENSOR_ID = "TM"', 'SENSOR_ID = "MSS"'))
    with pytest.raises(SceneError, match="multispectral scanner"):
        opened(path)


@pytest.mark.parametrize("key", ["SPACECRAFT_ID", "PROCESSING_LEVEL", "SUN_ELEVATION", "REFLECTANCE_MULT_BAND_3", "DATE_ACQUIRED", "FILE_NAME_BAND_2"])
def test_metadata_without_a_key_is_a_scene_error(tmp_path: Path, key: str) -> None:
    path = landsat.level_1(tmp_path).path
    metadata = next(path.glob("*_MTL.txt"))
    metadata.write_text("\n".join(line for line in metadata.read_text().splitlines() if line.split(" = ")[0].strip() != key))
    with pytest.raises(SceneError):
        opened(path)


def test_a_truncated_band_is_a_scene_error(tmp_path: Path) -> None:
    path = landsat.level_1(tmp_path).path
    band = next(path.glob("*_B4.TIF"))
    band.write_bytes(band.read_bytes()[:200])
    with pytest.raises(HsikitError):
        cube(opened(path))


def test_level_2_without_its_algorithm_is_not_uncorrected(tmp_path: Path) -> None:
    path = landsat.level_2(tmp_path).path
    metadata = next(path.glob("*_MTL.txt"))
    metadata.write_text("\n".join(line for line in metadata.read_text().splitlines() if "ALGORITHM" not in line))
    assert opened(path).info.attrs["correction"] == "atmosphere"
