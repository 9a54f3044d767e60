"""What is written is what hsikit's own readers open: pixels, grid, spectral axis, sensor, quantity."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsikit.geo.grid import Grid
from hsikit.layers import Layer
from hsikit.scene import read_window
from hsikit.sensors import open_source
from hsikit.writers import write_raster
from tests.writers.arrays import ArrayPixels, cube

FORMATS = ["c.tif", "c.img", "c.hdr", "c.zarr", "c.nc"]
COS, SIN = math.cos(0.3), math.sin(0.3)
GRIDS = {
    "utm": Grid((23, 37), (30.0, 0.0, 400000.0, 0.0, -30.0, 5800000.0), "EPSG:32633"),
    "geographic": Grid((23, 37), (0.001, 0.0, 13.0, 0.0, -0.002, 52.0), "EPSG:4326"),
    "rotated": Grid((23, 37), (4 * COS, 4 * SIN, 4e5, 4 * SIN, -4 * COS, 5.8e6), "EPSG:32633"),
    "nowhere": Grid((23, 37)),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("place", GRIDS)
def test_cube(tmp_path: Path, name: str, place: str) -> None:
    grid = GRIDS[place]
    layer, values = cube(grid)
    write_raster(layer, grid, ArrayPixels(values), tmp_path / name)
    source = open_source(tmp_path / name)
    info = source.info
    try:
        np.testing.assert_array_equal(read_window(source, grid.whole), values)
    finally:
        source.close()
    assert info.grid.shape == grid.shape and info.grid.crs == grid.crs
    np.testing.assert_allclose(info.grid.transform, grid.transform, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(info.bands.wavelength, layer.wavelength, rtol=1e-11)
    np.testing.assert_allclose(info.bands.fwhm, layer.fwhm, rtol=1e-11)
    np.testing.assert_array_equal(info.bands.good, layer.good)
    assert info.bands.names == layer.band_names and (info.sensor, info.quantity) == ("enmap", "surface_reflectance")


@given(
    rows=st.integers(1, 30), cols=st.integers(1, 30), name=st.sampled_from(FORMATS), dtype=st.sampled_from(["int16", "uint16", "float32", "float64"]),
    wavelength=st.lists(st.fractions(Fraction(380), Fraction(2500)), min_size=1, max_size=12, unique_by=lambda nm: round(float(nm), 2)),
)  # fmt: skip
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cube_of_any_shape_and_type(tmp_path: Path, rows: int, cols: int, name: str, dtype: str, wavelength: list[Fraction]) -> None:
    centres = np.array(sorted(float(nm) for nm in wavelength))
    layer = Layer("cube", dtype=dtype, bands=len(centres), nodata=7, wavelength=centres, quantity="dn")
    values = np.random.default_rng(rows).integers(0, 100, (len(centres), rows, cols)).astype(dtype)
    values[:, 0, 0] = 8  # a band of fill alone would be marked as bad
    grid = Grid((rows, cols), GRIDS["utm"].transform, "EPSG:32633")
    write_raster(layer, grid, ArrayPixels(values), tmp_path / name)
    source = open_source(tmp_path / name)
    try:
        np.testing.assert_array_equal(read_window(source, grid.whole), np.where(values == 7, np.nan, values.astype(np.float32)))
        np.testing.assert_allclose(source.info.bands.wavelength, centres, rtol=1e-11)
    finally:
        source.close()
