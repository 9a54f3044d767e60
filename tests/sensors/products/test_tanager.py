"""What is peculiar to Tanager: swath and grid in one format, the map's corner in a text, masks that say more than the fill."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from hsikit.errors import SceneError, WavelengthError
from hsikit.scene import Source, read_window
from hsikit.sensors import open_source
from tests.products import tanager

STRUCTURE = "HDFEOS INFORMATION/StructMetadata.0"
SWATH = "HDFEOS/SWATHS/HYP/Data Fields"
GRID = "HDFEOS/GRIDS/HYP"


def opened(path: Path, **options: object) -> Source:
    return open_source(path, inspect=False, **options)  # type: ignore[arg-type]


def whole(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def restructured(path: Path, text: str) -> None:
    with h5py.File(path, "r+") as file:
        del file[STRUCTURE]
        file.create_dataset(STRUCTURE, data=np.bytes_(text.encode()))


def test_a_renamed_product_is_known_by_its_content(tmp_path: Path) -> None:
    source = opened(tanager.ortho_reflectance(tmp_path).path.rename(tmp_path / "scene.he5"))
    assert source.info.driver == "tanager"
    assert source.info.acquired == "2024-10-06T15:41:00.12Z"  # of the strip


def test_pixels_without_data_are_missing_whatever_stands_in_them(tmp_path: Path) -> None:
    built = tanager.basic_radiance(tmp_path)
    with h5py.File(built.path) as file:
        stored, empty = file[f"{SWATH}/toa_radiance"][...], file[f"{SWATH}/nodata_pixels"][...] == 1
    assert (stored[:, empty] != tanager.FILL).any()  # else this shows nothing
    found = whole(opened(built.path))
    assert np.isnan(found[:, empty]).all()
    np.testing.assert_array_equal(found[:, ~empty], stored[:, ~empty])


@pytest.mark.parametrize(("zone", "epsg"), [(13, "EPSG:32613"), (-34, "EPSG:32734")])
def test_zones_of_the_south_are_negative(tmp_path: Path, zone: int, epsg: str) -> None:
    path = tanager.ortho_reflectance(tmp_path).path
    restructured(path, tanager.structure(zone))
    assert opened(path).info.grid.crs == epsg


def test_the_grids_own_code_wins(tmp_path: Path) -> None:
    path = tanager.ortho_reflectance(tmp_path).path
    with h5py.File(path, "r+") as file:
        file[GRID].attrs["epsg_code"] = np.int32(32614)
    assert opened(path).info.grid.crs == "EPSG:32614"


@pytest.mark.parametrize("text", ["", tanager.structure().replace("UpperLeft", "Upper"), tanager.structure(rows=8), tanager.structure(zone=77),
                                  tanager.structure().replace("(570300.00", "(870300.00")])  # fmt: skip
def test_a_map_that_the_structure_does_not_place_is_refused(tmp_path: Path, text: str) -> None:
    path = tanager.ortho_reflectance(tmp_path).path
    restructured(path, text)
    with pytest.raises(SceneError, match="StructMetadata"):
        opened(path)


def test_radiance_in_another_unit_is_converted(tmp_path: Path) -> None:
    built = tanager.basic_radiance(tmp_path)
    with h5py.File(built.path, "r+") as file:
        file[f"{SWATH}/toa_radiance"].attrs["units"] = "mW/(m^2*sr*nm)"
    np.testing.assert_allclose(whole(opened(built.path)), built.truth, rtol=1e-6)
    with h5py.File(built.path, "r+") as file:
        file[f"{SWATH}/toa_radiance"].attrs["units"] = "uW/cm^2/sr/nm"
    np.testing.assert_allclose(whole(opened(built.path)), 10 * built.truth, rtol=1e-6)


def test_a_list_of_radiance_does_not_bring_water_vapour_back_and_one_of_reflectance_counts(tmp_path: Path) -> None:
    radiance, reflectance = tanager.basic_radiance(tmp_path).path, tanager.ortho_reflectance(tmp_path).path
    listed = np.ones(len(tanager.GOOD), np.uint8)
    listed[0] = 0
    for path, name in ((radiance, f"{SWATH}/toa_radiance"), (reflectance, f"{GRID}/Data Fields/surface_reflectance")):
        with h5py.File(path, "r+") as file:
            file[name].attrs["good_wavelengths"] = listed
    np.testing.assert_array_equal(opened(radiance).info.bands.good, (listed == 1) & (tanager.GOOD == 1))
    np.testing.assert_array_equal(opened(reflectance).info.bands.good, listed == 1)
    with h5py.File(reflectance, "r+") as file:
        del file[f"{GRID}/Data Fields/surface_reflectance"].attrs["good_wavelengths"]
    np.testing.assert_array_equal(opened(reflectance).info.bands.good, tanager.GOOD == 1)


def test_other_images_by_name(tmp_path: Path) -> None:
    path = tanager.ortho_reflectance(tmp_path).path
    zenith = opened(path, variable="sun_zenith")
    assert (zenith.info.bands.names, zenith.info.quantity) == (("sun_zenith",), "dn")
    np.testing.assert_array_equal(whole(zenith), 41.25)
    with pytest.raises(SceneError, match="no image 'nothing'"):
        opened(path, variable="nothing")


def test_an_early_product_without_wavelengths_needs_them(tmp_path: Path) -> None:
    path = tanager.basic_radiance(tmp_path).path
    with h5py.File(path, "r+") as file:
        del file[f"{SWATH}/toa_radiance"].attrs["wavelengths"]
    with pytest.raises(WavelengthError, match="no wavelengths"):
        opened(path)
    np.testing.assert_array_equal(opened(path, wavelengths=tanager.WAVELENGTHS).info.bands.wavelength, tanager.WAVELENGTHS)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    built = tanager.ortho_reflectance(tmp_path)
    data = built.path.read_bytes()
    built.path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(SceneError, match=built.path.name):
        whole(opened(built.path))
