"""NetCDF-4 as the NetCDF library itself (through GDAL) reads it, and by the rules of CF and of the format."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio

from hsikit.errors import OutputError
from hsikit.geo.grid import Grid
from hsikit.geo.swath import swath_of_arrays
from hsikit.layers import Layer
from hsikit.writers import blocks, write_raster
from tests.writers.arrays import UTM, ArrayPixels, class_map, cube, floats

COS, SIN = math.cos(0.3), math.sin(0.3)


def by_gdal(path: Path, variable: str) -> Any:
    return rasterio.open(f"netcdf:{path}:{variable}")


@pytest.mark.parametrize(
    "grid",
    [
        UTM,
        Grid(UTM.shape, (0.001, 0.0, 13.0, 0.0, -0.002, 52.0), "EPSG:4326"),
        Grid(UTM.shape, (4 * COS, 6 * SIN, 4e5, 4 * SIN, -6 * COS, 5.8e6), "EPSG:32633"),
    ],
    ids=["utm", "geographic", "rotated"],
)
def test_the_netcdf_library_reads_pixels_and_place(tmp_path: Path, grid: Grid) -> None:
    layer, values = cube(grid)
    path = tmp_path / "c.nc"
    assert write_raster(layer, grid, ArrayPixels(values), path, tags={"model": "svm", "ünï": "grüße"}) == [path]
    with by_gdal(path, "cube") as found:
        np.testing.assert_array_equal(found.read(), values)
        assert found.crs.to_epsg() == int(str(grid.crs).partition(":")[2]) and np.isnan(found.nodata)
        np.testing.assert_allclose(found.transform[:6], grid.transform, rtol=1e-9)
        tags = found.tags()
        assert tags["NC_GLOBAL#Conventions"] == "CF-1.8" and tags["NC_GLOBAL#model"] == "svm" and tags["NC_GLOBAL#ünï"] == "grüße"
        assert tags["wavelength#standard_name"] == "radiation_wavelength" and tags["wavelength#units"] == "nm"
        centres = [float(found.tags(band)["NETCDF_DIM_wavelength"]) for band in range(1, 13)]
        np.testing.assert_allclose(centres, layer.wavelength, rtol=1e-6)


def test_class_map_by_the_netcdf_library(tmp_path: Path) -> None:
    layer, values = class_map()
    write_raster(layer, UTM, ArrayPixels(values), tmp_path / "m.nc")
    with by_gdal(tmp_path / "m.nc", "map") as found:
        np.testing.assert_array_equal(found.read(), values)
        assert found.nodata == 0 and found.dtypes == ("uint8",)
    with h5py.File(tmp_path / "m.nc") as file:
        attrs = file["map"].attrs
        assert attrs["flag_values"].tolist() == [0, 1, 3, 7, 254, 255] and attrs["flag_values"].dtype == np.uint8
        assert attrs["flag_meanings"].decode().split()[:2] == ["no_data", "corn"]


def test_layers_of_several_bands_and_of_one(tmp_path: Path) -> None:
    layer, values = floats(UTM, 3, band_names=("a", "b", "c"))
    write_raster(layer, UTM, ArrayPixels(values), tmp_path / "p.nc")
    layer, single = floats(UTM)
    write_raster(layer, UTM, ArrayPixels(single), tmp_path / "s.nc")
    with by_gdal(tmp_path / "p.nc", "scores") as found:
        np.testing.assert_array_equal(found.read(), values)
    with by_gdal(tmp_path / "s.nc", "scores") as found:
        np.testing.assert_array_equal(found.read(), single)
    with h5py.File(tmp_path / "p.nc") as file:
        assert file["scores"].attrs["band_names"].tolist() == ["a", "b", "c"] and file["scores"].shape == (3, *UTM.shape)


def test_every_dimension_is_a_scale_with_its_number(tmp_path: Path) -> None:
    """What the NetCDF library needs to know a dimension by, whether it has a coordinate or not."""
    layer, values = cube(Grid((9, 8)))
    write_raster(layer, Grid((9, 8)), ArrayPixels(values), tmp_path / "n.nc")
    with h5py.File(tmp_path / "n.nc") as file:
        scales = [next(iter(axis.values())) for axis in file["cube"].dims]
        assert [scale.name for scale in scales] == ["/wavelength", "/y", "/x"] and all(scale.is_scale for scale in scales)
        assert [int(scale.attrs["_Netcdf4Dimid"]) for scale in scales] == [0, 1, 2]
        assert file["y"].attrs["NAME"] == b"This is a netCDF dimension but not a netCDF variable.%10d" % 9
        assert "spatial_ref" not in file and file["cube"].attrs["coordinates"] == b"band fwhm good_band"
        assert [b"".join(row).decode() for row in file["band"][...]] == list(layer.band_names)
        assert file["good_band"].dtype == np.int8 and file["good_band"].attrs["dtype"] == b"bool"


def test_a_swath_has_its_positions_as_coordinates(tmp_path: Path) -> None:
    grid = Grid((30, 20))
    layer, values = cube(grid)
    row, col = np.mgrid[:30, :20].astype(float)
    lon, lat = 13 + 0.01 * col + 0.001 * row, 52 - 0.01 * row
    write_raster(layer, grid, ArrayPixels(values), tmp_path / "s.nc", swath=swath_of_arrays(lon, lat))
    with by_gdal(tmp_path / "s.nc", "cube") as found:
        assert found.tags()["cube#coordinates"] == "band fwhm good_band longitude latitude"
    with by_gdal(tmp_path / "s.nc", "longitude") as found:
        np.testing.assert_array_equal(found.read(1)[::-1], lon)  # without a coordinate, GDAL takes the first row as the southernmost
    with h5py.File(tmp_path / "s.nc") as file:
        np.testing.assert_array_equal(file["latitude"], lat)
        assert file["latitude"].attrs["units"] == b"degrees_north" and "x" not in file["x"].attrs


def test_only_some_formats_take_a_swath(tmp_path: Path) -> None:
    layer, values = cube(Grid((3, 2)))
    swath = swath_of_arrays(np.zeros((3, 2)), np.zeros((3, 2)))
    for name in ("s.tif", "s.hdr"):
        with pytest.raises(OutputError, match="positions of a swath"):
            write_raster(layer, Grid((3, 2)), ArrayPixels(values), tmp_path / name, swath=swath)


@pytest.mark.parametrize("budget", [1, 5_000, 10_000_000])
def test_pieces_of_any_size_give_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    monkeypatch.setattr(blocks, "PIECE_BYTES", budget)
    values = np.arange(70 * 3 * 41, dtype=np.int16).reshape(3, 70, 41)
    done: list[int] = []
    write_raster(Layer("x", dtype="int16", bands=3, nodata=-1), Grid((70, 41)), ArrayPixels(values), tmp_path / "x.nc", rows_done=done.append)
    with h5py.File(tmp_path / "x.nc") as file:
        np.testing.assert_array_equal(file["x_layer"], values)  # x is a coordinate
    assert sum(done) == 70


def test_long_and_empty_texts_are_kept(tmp_path: Path) -> None:
    layer, values = floats(Grid((3, 2)))
    write_raster(layer, Grid((3, 2)), ArrayPixels(values), tmp_path / "t.nc", tags={"long": "ä" * 100_000, "empty": "", "_odd/name": "1"})
    with h5py.File(tmp_path / "t.nc") as file:
        assert file.attrs["long"] == "ä" * 100_000 and file.attrs["empty"] == "" and file.attrs["odd_name"] == b"1"


LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from hsikit.errors import OutputError
from hsikit.geo.grid import Grid
from hsikit.layers import Layer
from hsikit.writers import write_raster

class Noise:
    def read(self, window):
        return np.random.default_rng(0).random((5, *window.shape), np.float32)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_raster(Layer("noise", bands=5), Grid((300, 200)), Noise(), Path(sys.argv[1]))
except OutputError as error:
    print(error)
"""


def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / "f.nc")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "f.nc") in done.stdout and "the disk is full" in done.stdout
