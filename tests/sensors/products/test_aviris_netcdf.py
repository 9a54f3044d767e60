"""What is peculiar to AVIRIS's NetCDF: radiance on the sensor's grid and reflectance on a map, infill by negative numbers, two places for the corner."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from hsikit.errors import SceneError
from hsikit.geo.grid import Window
from hsikit.scene import Source, read_window
from hsikit.sensors import open_source
from tests.products import aviris_netcdf


def opened(path: Path, **options: object) -> Source:
    return open_source(path, inspect=False, **options)  # type: ignore[arg-type]


def whole(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def test_a_renamed_product_is_known_by_its_content(tmp_path: Path) -> None:
    built = aviris_netcdf.radiance(tmp_path)
    assert opened(built.path.rename(tmp_path / "line.h5")).info.driver == "aviris-netcdf"


def test_infill_is_told_from_measurements_by_the_sign(tmp_path: Path) -> None:
    built = aviris_netcdf.radiance(tmp_path)
    swath = opened(built.path).info.swath
    assert swath is not None and swath.table is not None
    window = Window(2, 1, 6, 7)
    table = swath.table.read(window)
    with h5py.File(built.path) as file:
        np.testing.assert_array_equal(table.infill, file["geolocation_lookup_table/line"][2:8, 1:8] < 0)
    assert table.infill.any() and (table.rows[table.infill] >= 0).all()


def test_coordinates_half_a_pixel_from_the_transform_are_told(tmp_path: Path) -> None:
    built = aviris_netcdf.reflectance(tmp_path)
    assert not any("GeoTransform" in notice for notice in opened(built.path).info.notices)
    with h5py.File(built.path, "r+") as file:
        file["easting"][...] = file["easting"][...] - aviris_netcdf.STEP / 2
    info = opened(built.path).info
    assert info.grid.transform[2] == aviris_netcdf.LEFT
    assert any("0.5 pixels from its GeoTransform" in notice for notice in info.notices)


def test_other_spellings_of_the_map(tmp_path: Path) -> None:
    built = aviris_netcdf.reflectance(tmp_path)
    with h5py.File(built.path, "r+") as file:
        file.move("transverse_mercator", "projection")
        file["projection"].attrs["GeoTransform"] = np.array([aviris_netcdf.LEFT, 3.0, 0.5, aviris_netcdf.TOP, 0.5, -3.0])
        file["projection"].attrs["crs_wkt"] = file["projection"].attrs["spatial_ref"]
        del file["projection"].attrs["spatial_ref"]
    grid = opened(built.path).info.grid
    assert grid.crs == "EPSG:32611"
    assert grid.transform == (3.0, 0.5, aviris_netcdf.LEFT, 0.5, -3.0, aviris_netcdf.TOP)


@pytest.mark.parametrize("text", ["", "1 2 3", "a b c d e f", "0 0 0 0 0 0", "nan 1 0 0 0 -1"])
def test_a_map_without_a_transform_is_refused(tmp_path: Path, text: str) -> None:
    built = aviris_netcdf.reflectance(tmp_path)
    with h5py.File(built.path, "r+") as file:
        file["transverse_mercator"].attrs["GeoTransform"] = np.bytes_(text.encode() or b"\0")
    with pytest.raises(SceneError, match="transform and coordinate system"):
        opened(built.path)


def test_other_arrays_by_name(tmp_path: Path) -> None:
    built = aviris_netcdf.reflectance(tmp_path)
    vapour = opened(built.path, variable="water_vapor")
    with h5py.File(built.path) as file:
        np.testing.assert_array_equal(whole(vapour)[0], file["water_vapor/water_vapor"][...])
    assert vapour.info.grid == opened(built.path).info.grid
    np.testing.assert_array_equal(whole(opened(built.path, variable="uncertainty")), aviris_netcdf.uncertainty(tmp_path).truth)
    with pytest.raises(SceneError, match=r"no image 'nothing'.*water_vapor/water_vapor"):
        opened(built.path, variable="nothing")
    next(tmp_path.glob("*_UNC_ORT.nc")).unlink()
    with pytest.raises(SceneError, match="UNC"):
        opened(built.path, variable="uncertainty")


def test_wavelengths_of_another_number_are_refused(tmp_path: Path) -> None:
    built = aviris_netcdf.reflectance(tmp_path)
    with h5py.File(built.path, "r+") as file:
        del file["reflectance/wavelength"]
        file["reflectance/wavelength"] = aviris_netcdf.WAVELENGTHS[:-1]
    with pytest.raises(SceneError, match="11 bands, and 10 are described"):
        opened(built.path)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    built = aviris_netcdf.radiance(tmp_path)
    data = built.path.read_bytes()
    built.path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(SceneError, match=built.path.name):
        whole(opened(built.path))


def test_a_layer_that_is_no_array_is_not_left_out_silently(tmp_path: Path) -> None:
    path = aviris_netcdf.observation(tmp_path).path
    with h5py.File(path, "a") as file:
        del file["observation_parameters/to_sun_zenith"]
        file["observation_parameters/to_sun_zenith"] = np.dtype(np.float32)
    with pytest.raises(SceneError, match="to_sun_zenith is no array"):
        opened(path)


def test_versions_are_those_that_the_file_states(tmp_path: Path) -> None:
    built = aviris_netcdf.radiance(tmp_path)
    with h5py.File(built.path, "r+") as file:
        file.attrs["product_version"], file.attrs["software_build_version"] = "V002", "1.2.0"
        file.attrs["title"], file.attrs["processing_level"] = "a flight line", "L1B"
    attrs = opened(built.path).info.attrs
    assert (attrs["product_version"], attrs["processor_version"], attrs["processing_level"]) == ("V002", "1.2.0", "L1B")


def test_a_damaged_observation_beside_is_told(tmp_path: Path) -> None:
    built = aviris_netcdf.reflectance(tmp_path)
    beside = next(tmp_path.glob("*_OBS.nc"))
    beside.write_bytes(beside.read_bytes()[:2000])
    info = opened(built.path).info
    assert "sun_zenith" not in info.attrs
    assert any("observation beside it is not used" in notice for notice in info.notices)
