"""CF NetCDF files of other programs, and what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsikit.errors import SceneError, WavelengthError
from hsikit.geo.grid import Window
from hsikit.scene import Source, read_window
from hsikit.sensors import open_source
from tests.products.netcdf_cf import COLS, NM, ROWS, build_map, dimension, placeholder, variable

CUBE = np.arange(len(NM) * ROWS * COLS, dtype=np.float32).reshape(len(NM), ROWS, COLS)


def opened(path: Path, **options: Any) -> Source:
    return open_source(path, inspect=False, **options)


def plain(path: Path, axes: tuple[int, int, int] = (0, 1, 2), told: dict[str, Any] | None = None, values: np.ndarray = CUBE, name: str = "radiance") -> Path:
    """A file with one cube, whose axes (bands, rows, cols) stand in another order."""
    with h5py.File(path, "w") as file:
        scales = [dimension(file, "wavelength", NM, units="nm"), placeholder(file, "y", ROWS), placeholder(file, "x", COLS)]
        variable(file, name, values.transpose(axes), [scales[axis] for axis in axes], **(told or {"units": "W m-2 sr-1 um-1"}))
    return path


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_axes_stand_in_any_order(tmp_path: Path, axes: tuple[int, int, int]) -> None:
    source = opened(plain(tmp_path / "a.nc", axes))
    np.testing.assert_array_equal(read_window(source, source.info.grid.whole), CUBE)
    window, bands = Window(3, 2, 5, 4), np.array([1, 2, 5])
    np.testing.assert_array_equal(read_window(source, window, bands), CUBE[1:6][[0, 1, 4]][:, 3:8, 2:6])


@given(row=st.integers(0, ROWS - 1), col=st.integers(0, COLS - 1), rows=st.integers(1, ROWS), cols=st.integers(1, COLS), data=st.data())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_window_is_the_slice_of_the_whole(tmp_path_factory: Any, row: int, col: int, rows: int, cols: int, data: st.DataObject) -> None:
    source = opened(build_map(tmp_path_factory.mktemp("w")).path)
    bands = np.array(sorted(data.draw(st.sets(st.integers(0, len(NM) - 1), min_size=1))))
    window = Window(row, col, rows, cols).intersect(source.info.grid.whole)
    whole = read_window(source, source.info.grid.whole)
    np.testing.assert_array_equal(read_window(source, window, bands), whole[(bands, *window.slices())])


def test_several_threads_read_at_once(tmp_path: Path) -> None:
    source = opened(plain(tmp_path / "a.nc", (1, 2, 0)))
    with ThreadPoolExecutor(4) as pool:
        for row, found in enumerate(pool.map(lambda row: read_window(source, Window(row, 0, 1, COLS)), list(range(ROWS)) * 5)):
            np.testing.assert_array_equal(found[:, 0], CUBE[:, row % ROWS])
    source.close()
    assert read_window(source, Window(0, 0, 1, 1)).shape == (len(NM), 1, 1)


@pytest.mark.parametrize(
    ("name", "told", "quantity", "factor"),
    [
        ("radiance", {"units": "uW/cm^2/SR/nm"}, "radiance", 10.0),
        ("L", {"units": "mW m-2 nm-1 sr-1"}, "radiance", 1.0),
        ("reflectance", {"units": "percent", "long_name": "surface reflectance"}, "surface_reflectance", 0.01),
        ("rhot", {"units": "1", "long_name": "Top of Atmosphere Reflectance"}, "toa_reflectance", 1.0),
        ("r", {"standard_name": "toa_bidirectional_reflectance"}, "toa_reflectance", 1.0),
        ("Rrs", {"units": "sr^-1"}, "rrs", 1.0),
        ("bt", {"units": "K", "long_name": "brightness temperature"}, "brightness_temperature", 1.0),
        ("stuff", {"units": "1"}, "dn", 1.0),
        ("stuff", {"quantity": "toa_reflectance", "units": "1"}, "toa_reflectance", 1.0),
    ],
)
def test_the_quantity_follows_from_names_and_units(tmp_path: Path, name: str, told: dict[str, Any], quantity: str, factor: float) -> None:
    source = opened(plain(tmp_path / "a.nc", told=told, name=name))
    assert source.info.quantity == quantity
    np.testing.assert_allclose(read_window(source, source.info.grid.whole), CUBE * factor, rtol=1e-6)
    assert any("--quantity" in notice for notice in source.info.notices) == (quantity == "dn")


def test_reflectance_of_unknown_height_is_taken_as_that_of_the_surface_and_said(tmp_path: Path) -> None:
    info = opened(plain(tmp_path / "a.nc", told={"units": "1"}, name="reflectance")).info
    assert info.quantity == "surface_reflectance" and any("--quantity" in notice for notice in info.notices)


@pytest.mark.parametrize(
    ("dtype", "told", "missing"),
    [
        ("i2", {"valid_min": np.int16(10)}, lambda v: v < 10),
        ("u1", {"valid_max": np.uint8(200)}, lambda v: v > 200),
        ("i2", {"scale_factor": 0.5, "valid_range": np.array([10.0, 100.0])}, lambda v: (v < 20) | (v > 200)),
        ("f4", {"valid_range": np.float32([10, 200]), "_FillValue": np.float32(50)}, lambda v: (v < 10) | (v > 200) | (v == 50)),
        ("f4", {"missing_value": np.float32([7, 9])}, lambda v: (v == 7) | (v == 9)),
        ("i4", {"_FillValue": np.int32(3), "missing_value": np.int32([4, 5])}, lambda v: (v >= 3) & (v <= 5)),
        ("u1", {"valid_range": np.uint8([0, 255])}, lambda v: v < 0),
    ],
)
def test_missing_values_and_valid_ranges(tmp_path: Path, dtype: str, told: dict[str, Any], missing: Any) -> None:
    stored = (CUBE % 250).astype(dtype)
    source = opened(plain(tmp_path / "a.nc", told=told, values=stored))
    expected = np.where(missing(stored.astype(int)), np.nan, stored.astype(np.float32) * np.float32(told.get("scale_factor", 1.0)))
    np.testing.assert_array_equal(read_window(source, source.info.grid.whole), expected)


def test_the_variable_can_be_named(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.nc")
    with h5py.File(path, "r+") as file:
        variable(file.create_group("deep"), "other", CUBE + 1, [file["wavelength"], file["y"], file["x"]])
    with pytest.raises(SceneError, match=r"several arrays that could be the scene: .*deep/other.*--variable"):
        opened(path)
    for name in ("other", "deep/other", "/deep/other"):
        np.testing.assert_array_equal(read_window(opened(path, variable=name), Window(0, 0, 1, 1)), CUBE[:, :1, :1] + 1)
    with pytest.raises(SceneError, match="no image 'nothing'"):
        opened(path, variable="nothing")


def test_wavelengths_may_come_from_the_user(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["cube"] = CUBE.transpose(1, 2, 0)
    with pytest.raises(WavelengthError, match="no wavelengths"):
        opened(tmp_path / "a.h5")
    source = opened(tmp_path / "a.h5", wavelengths=NM)
    np.testing.assert_array_equal(read_window(source, source.info.grid.whole), CUBE)


def test_without_dimension_scales_lengths_and_names_tell(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["cube"], file["wavelength"] = CUBE.transpose(1, 2, 0), NM
        file["wavelength"].attrs["units"] = "nm"
        file["longitude"], file["latitude"] = np.full((ROWS, COLS), 13.0), np.full((ROWS, COLS), 52.0)
    source = opened(tmp_path / "a.h5")
    np.testing.assert_array_equal(read_window(source, source.info.grid.whole), CUBE)
    assert source.info.swath is not None and source.info.swath.locate(Window(0, 0, 1, 1))[1] == 52.0


def test_a_file_that_gdal_writes(tmp_path: Path) -> None:
    """Rows from the south, the NetCDF library's own dimensions, two axes."""
    import rasterio.shutil
    from rasterio.transform import from_origin

    profile = {"width": COLS, "height": ROWS, "count": 1, "dtype": "float32", "crs": "EPSG:32633", "transform": from_origin(400_000, 5_800_000, 30, 20)}
    with rasterio.open(tmp_path / "g.tif", "w", driver="GTiff", **profile) as target:
        target.write(CUBE[:1])
    rasterio.shutil.copy(tmp_path / "g.tif", tmp_path / "g.nc", driver="netCDF", FORMAT="NC4")
    source = opened(tmp_path / "g.nc", role="pan", variable="Band1")
    assert source.info.grid.crs == "EPSG:32633" and source.info.grid.transform == (30.0, 0.0, 400_000.0, 0.0, -20.0, 5_800_000.0)
    np.testing.assert_array_equal(read_window(source, source.info.grid.whole), CUBE[:1])


def test_coordinates_that_are_not_even_give_no_place(tmp_path: Path) -> None:
    path = build_map(tmp_path).path
    with h5py.File(path, "r+") as file:
        file["x"][3] += 7
    info = opened(path).info
    assert not info.grid.georeferenced and any("not evenly spaced" in notice for notice in info.notices)


@pytest.mark.parametrize(
    "attrs", [{"epsg_code": "EPSG:32633"}, {"epsg": 32633}, {"spatial_ref": "EPSG:32633"}, {"proj4": "+proj=utm +zone=33 +datum=WGS84"}, "cf"]
)
def test_grid_mappings_in_the_wild(tmp_path: Path, attrs: Any) -> None:
    from pyproj import CRS

    path = build_map(tmp_path).path
    with h5py.File(path, "r+") as file:
        del file["crs"].attrs["crs_wkt"]
        told = {key: value for key, value in CRS.from_epsg(32633).to_cf().items() if key != "crs_wkt"} if attrs == "cf" else attrs
        file["crs"].attrs.update(told)
    found = CRS.from_user_input(opened(path).info.grid.crs)
    assert found.to_epsg(min_confidence=20) == 32633


def test_a_grid_mapping_that_nobody_understands_is_told(tmp_path: Path) -> None:
    path = build_map(tmp_path).path
    with h5py.File(path, "r+") as file:
        file["crs"].attrs["crs_wkt"] = "nonsense"
    info = opened(path).info
    assert not info.grid.georeferenced and any("not understood" in notice for notice in info.notices)


def test_classic_files_are_refused_with_what_to_do(tmp_path: Path) -> None:
    from scipy.io import netcdf_file

    with netcdf_file(tmp_path / "old.nc", "w") as file:
        file.createDimension("x", 3)
        file.createVariable("x", "f4", ("x",))[:] = 1
    with pytest.raises(SceneError, match=r"classic NetCDF.*nccopy"):
        opened(tmp_path / "old.nc")
    (tmp_path / "text.nc").write_text("nothing")
    with pytest.raises(SceneError, match="is not a NetCDF-4 file"):
        opened(tmp_path / "text.nc")


@pytest.mark.parametrize("told", [{"scale_factor": "one"}, {"_FillValue": "none"}, {"valid_range": "0 1"}])
def test_attributes_that_are_no_numbers_are_refused(tmp_path: Path, told: dict[str, Any]) -> None:
    with pytest.raises(SceneError, match="no number"):
        opened(plain(tmp_path / "a.nc", told=told))


def test_arrays_kept_in_other_files_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(CUBE.tobytes())
    with h5py.File(tmp_path / "a.nc", "w") as file:
        dimension(file, "wavelength", NM, units="nm")
        file.create_dataset("radiance", shape=CUBE.shape, dtype="f4", external=[(str(tmp_path / "secret"), 0, CUBE.nbytes)])
    with pytest.raises(SceneError, match="no array with three axes"):
        opened(tmp_path / "a.nc")


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.999])
def test_a_truncated_file_is_named(tmp_path: Path, share: float) -> None:
    path = build_map(tmp_path).path
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(SceneError, match=r"map\.nc"):
        opened(path)


def test_damaged_pixels_are_named_when_they_are_read(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.nc")
    with h5py.File(path) as file:
        place, size = file["radiance"].id.get_chunk_info(0).byte_offset, file["radiance"].id.get_chunk_info(0).size
    data = bytearray(path.read_bytes())
    data[place : place + size] = bytes(size)
    path.write_bytes(data)
    source = opened(path)
    with pytest.raises(SceneError, match="incomplete or damaged"):
        read_window(source, source.info.grid.whole)
