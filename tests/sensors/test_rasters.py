"""Stacks of rasters on grids of several sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine

from hsikit.errors import GridError, SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.sensors.rasters import RasterReads, factors, raster_facts

RNG = np.random.default_rng(1)
FINE = RNG.integers(0, 1000, (2, 12, 18)).astype(np.uint16)
FINE[0, :5, :7] = 0


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("rasters") / "fine.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=12, width=18, count=2, dtype="uint16", crs="EPSG:32633", transform=Affine(10, 0, 500, 0, -10, 900)
    ) as file:
        file.write(FINE)
    return str(path)


def test_facts(raster: str) -> None:
    facts = raster_facts(raster)
    assert facts.grid == Grid((12, 18), (10.0, 0.0, 500.0, 0.0, -10.0, 900.0), "EPSG:32633")
    assert (facts.count, facts.dtype, facts.nodata) == (2, "uint16", None)


def test_factors_and_grids_that_do_not_fit() -> None:
    scene = Grid((6, 9), (20.0, 0.0, 500.0, 0.0, -20.0, 900.0), "EPSG:32633")
    assert factors(scene, Grid((12, 18), (10.0, 0.0, 500.0, 0.0, -10.0, 900.0), "EPSG:32633"), "r") == (1, 2)
    assert factors(scene, Grid((2, 3), (60.0, 0.0, 500.0, 0.0, -60.0, 900.0), "EPSG:32633"), "r") == (3, 1)
    assert factors(scene, scene, "r") == (1, 1)
    for wrong in (
        Grid((12, 18), (10.0, 0.0, 505.0, 0.0, -10.0, 900.0), "EPSG:32633"),  # half a pixel off
        Grid((4, 6), (30.0, 0.0, 500.0, 0.0, -30.0, 900.0), "EPSG:32633"),  # one and a half
        Grid((12, 18), (10.0, 0.0, 500.0, 0.0, -10.0, 900.0), "EPSG:32634"),
        Grid((11, 18), (10.0, 0.0, 500.0, 0.0, -10.0, 900.0), "EPSG:32633"),  # too few rows
    ):
        with pytest.raises(GridError):
            factors(scene, wrong, "r")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_finer_rasters_are_averaged_over_what_is_measured(raster: str, data) -> None:
    row, col = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 8))
    window = Window(row, col, data.draw(st.integers(1, 6 - row)), data.draw(st.integers(1, 9 - col)))
    found = RasterReads("r", nodata=0).read(raster, [1], window, shrink=2)[0]
    squares = FINE[0].reshape(6, 2, 9, 2).transpose(0, 2, 1, 3).reshape(6, 9, 4).astype(float)
    count = (squares > 0).sum(axis=2)
    whole = np.where(count > 0, np.rint(squares.sum(axis=2) / np.maximum(count, 1)), 0)
    np.testing.assert_array_equal(found, whole[window.slices()])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_coarser_rasters_are_repeated(raster: str, data) -> None:
    row, col = data.draw(st.integers(0, 30)), data.draw(st.integers(0, 50))
    window = Window(row, col, data.draw(st.integers(1, 36 - row)), data.draw(st.integers(1, 54 - col)))
    found = RasterReads("r").read(raster, [2, 1], window, zoom=3)
    np.testing.assert_array_equal(found, np.repeat(np.repeat(FINE, 3, axis=1), 3, axis=2)[::-1][(slice(None), *window.slices())])


def test_damage_is_named(tmp_path: Path, raster: str) -> None:
    cut = tmp_path / "cut.tif"
    cut.write_bytes(Path(raster).read_bytes()[:-700])
    with pytest.raises(SceneError, match="the product"):
        RasterReads("the product").read(str(cut), [1], Window(0, 0, 12, 18))
    (tmp_path / "other.tif").write_text('<VRTDataset rasterXSize="5" rasterYSize="5"></VRTDataset>')
    with pytest.raises(SceneError, match="cannot be read as a raster"):
        raster_facts(str(tmp_path / "other.tif"))
