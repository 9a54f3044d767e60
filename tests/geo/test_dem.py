"""Heights between samples, against SciPy's interpolation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from scipy.interpolate import RegularGridInterpolator

from hsikit.geo import dem
from hsikit.geo.dem import HeightModel

SIZE, STEP, LEFT, TOP = 50, 0.01, 10.0, 50.0


def write_dem(path: Path, values: np.ndarray, **profile: Any) -> Path:
    told = {"crs": "EPSG:4326", "transform": from_origin(LEFT, TOP, STEP, STEP), "nodata": -9999, "dtype": values.dtype, **profile}
    with rasterio.open(path, "w", driver="GTiff", width=values.shape[1], height=values.shape[0], count=1, **told) as target:
        target.write(values, 1)
    return path


@pytest.mark.parametrize("samples", [4 << 20, 100])
def test_between_samples_it_is_bilinear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, samples: int) -> None:
    monkeypatch.setattr(dem, "SAMPLES", samples)
    rng = np.random.default_rng(0)
    values = rng.normal(500, 100, (SIZE, SIZE)).astype(np.float32)
    model = HeightModel(write_dem(tmp_path / "d.tif", values))
    centres = np.arange(SIZE) + 0.5
    truth = RegularGridInterpolator((centres, centres), values.astype(float))
    row, col = rng.uniform(0.5, SIZE - 0.5, (2, 20, 30))
    found = model.heights(LEFT + col * STEP, TOP - row * STEP)
    np.testing.assert_allclose(found, truth(np.stack([row, col], axis=-1)), atol=1e-6)


def test_at_the_edge_the_outermost_sample_holds_and_beyond_there_is_none(tmp_path: Path) -> None:
    model = HeightModel(write_dem(tmp_path / "d.tif", np.full((SIZE, SIZE), 7, np.int16)))
    lon = LEFT + np.array([0.001, 0.499, 0.5, 0.501, -0.001])
    np.testing.assert_array_equal(model.heights(lon, np.full(5, TOP - 0.2)), [7, 7, 7, np.nan, np.nan])


def test_holes_are_not_mixed_in(tmp_path: Path) -> None:
    values = np.full((SIZE, SIZE), 3.0, np.float32)
    values[10:13, 10:13] = -9999
    model = HeightModel(write_dem(tmp_path / "d.tif", values))
    lon = LEFT + STEP * np.array([9.7, 10.2, 11.5])
    np.testing.assert_array_equal(model.heights(lon, np.full(3, TOP - 11.5 * STEP)), [3.0, 3.0, np.nan])


def test_scale_and_offset_of_the_raster_count(tmp_path: Path) -> None:
    path = write_dem(tmp_path / "d.tif", np.full((SIZE, SIZE), 100, np.int16))
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (0.5,), (10.0,)
    assert HeightModel(path).heights(np.array([LEFT + 0.1]), np.array([TOP - 0.1])) == 60.0


def test_places_that_are_none_have_no_height(tmp_path: Path) -> None:
    model = HeightModel(write_dem(tmp_path / "d.tif", np.ones((SIZE, SIZE), np.float32)))
    assert np.isnan(model.heights(np.array([np.nan, np.inf, 10.1]), np.array([49.9, 49.9, np.nan]))).all()
    model.close()
    assert model.heights(np.array([LEFT + 0.1]), np.array([TOP - 0.1])) == 1.0
