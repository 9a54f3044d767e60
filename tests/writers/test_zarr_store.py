import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import rioxarray  # noqa: F401  registers .rio
import xarray as xr

from hsikit.geo.grid import Grid
from hsikit.layers import Layer
from hsikit.writers import blocks, write_raster
from tests.writers.arrays import UTM, ArrayPixels, class_map, cube, floats


def opened(path: Path) -> xr.Dataset:
    """The store as xarray opens it, where any warning about it is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return xr.open_zarr(path, chunks=None)


def test_cube_is_read_back_by_xarray_and_rioxarray(tmp_path: Path) -> None:
    layer, values = cube()
    path = tmp_path / "cube.zarr"
    assert write_raster(layer, UTM, ArrayPixels(values), path, tags={"model": "svm"}) == [path]
    dataset = opened(path)
    array = dataset["cube"]
    assert array.dims == ("wavelength", "y", "x") and array.dtype == np.float32
    np.testing.assert_array_equal(array.values, values)
    np.testing.assert_array_equal(array.wavelength.values, layer.wavelength)
    assert array.wavelength.attrs["units"] == "nm" and array.wavelength.attrs["standard_name"] == "radiation_wavelength"
    np.testing.assert_array_equal(array.fwhm.values, layer.fwhm)
    np.testing.assert_array_equal(array.good_band.values, layer.good)
    assert tuple(array.band.values) == layer.band_names
    assert array.attrs["sensor"] == "enmap" and array.attrs["quantity"] == "surface_reflectance" and array.attrs["units"] == "1"
    assert array.rio.crs.to_epsg() == 32633
    np.testing.assert_allclose(array.rio.transform(recalc=True)[:6], UTM.transform)
    assert array.rio.transform() == UTM.affine and np.isnan(array.rio.encoded_nodata)
    assert dataset.attrs["model"] == "svm"
    assert list(dataset.data_vars) == ["cube"]


def test_class_map_keeps_codes_and_fill(tmp_path: Path) -> None:
    layer, values = class_map()
    write_raster(layer, UTM, ArrayPixels(values), tmp_path / "map.zarr")
    raw = xr.open_zarr(tmp_path / "map.zarr", chunks=None, mask_and_scale=False)["map"]
    assert raw.dims == ("y", "x") and raw.dtype == np.uint8
    np.testing.assert_array_equal(raw.values, values[0])
    assert raw.attrs["_FillValue"] == 0 and raw.attrs["flag_values"] == [0, 1, 3, 7, 254, 255] and raw.attrs["flag_meanings"].split()[0] == "no_data"
    assert np.isnan(opened(tmp_path / "map.zarr")["map"].values).sum() == (values == 0).sum()


def test_layers_of_several_bands(tmp_path: Path) -> None:
    layer, values = floats(UTM, 3, band_names=("a", "b", "c"))
    write_raster(layer, UTM, ArrayPixels(values), tmp_path / "p.zarr")
    array = opened(tmp_path / "p.zarr")["scores"]
    assert array.dims == ("band", "y", "x") and list(array.band.values) == [1, 2, 3] and array.attrs["band_names"] == ["a", "b", "c"]
    np.testing.assert_array_equal(array.values, values)


def test_rotated_grid_keeps_its_transform(tmp_path: Path) -> None:
    cos, sin = math.cos(0.3), math.sin(0.3)
    grid = Grid((40, 50), (4 * cos, 6 * sin, 4e5, 4 * sin, -6 * cos, 5.8e6), "EPSG:32633")
    layer, values = floats(grid)
    write_raster(layer, grid, ArrayPixels(values), tmp_path / "r.zarr")
    array = opened(tmp_path / "r.zarr")["scores"]
    assert array.rio.transform() == grid.affine and array.rio.crs.to_epsg() == 32633
    assert "x" not in array.coords


def test_no_georeference_is_not_invented(tmp_path: Path) -> None:
    layer, values = floats(Grid((9, 8)))
    write_raster(layer, Grid((9, 8)), ArrayPixels(values), tmp_path / "n.zarr")
    array = opened(tmp_path / "n.zarr")["scores"]
    assert array.rio.crs is None and "spatial_ref" not in array.coords
    np.testing.assert_allclose(array.x.values[:2], [0.5, 1.5])


def test_geographic_axes_are_named_by_cf(tmp_path: Path) -> None:
    grid = Grid((9, 8), (0.1, 0.0, 10.0, 0.0, -0.1, 50.0), "EPSG:4326")
    layer, values = floats(grid)
    write_raster(layer, grid, ArrayPixels(values), tmp_path / "g.zarr")
    assert opened(tmp_path / "g.zarr").x.attrs["standard_name"] == "longitude"


@pytest.mark.parametrize("budget", [1, 5_000, 10_000_000])
def test_pieces_of_any_size_give_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    monkeypatch.setattr(blocks, "PIECE_BYTES", budget)
    values = np.arange(70 * 3 * 41, dtype=np.int16).reshape(3, 70, 41)
    done: list[int] = []
    write_raster(Layer("x", dtype="int16", bands=3, nodata=-1), Grid((70, 41)), ArrayPixels(values), tmp_path / "x.zarr", rows_done=done.append)
    array = xr.open_zarr(tmp_path / "x.zarr", chunks=None, mask_and_scale=False)["x_layer"]  # x is a coordinate
    np.testing.assert_array_equal(array.values, values)
    assert sum(done) == 70


def test_an_older_store_is_replaced_whole(tmp_path: Path) -> None:
    layer, values = cube()
    write_raster(layer, UTM, ArrayPixels(values), tmp_path / "a.zarr")
    layer, values = class_map()
    write_raster(layer, UTM, ArrayPixels(values), tmp_path / "a.zarr")
    assert list(opened(tmp_path / "a.zarr").data_vars) == ["map"]
