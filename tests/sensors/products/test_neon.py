"""Traps of NEON's products."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hsikit.errors import HsikitError, OptionError, SceneError
from hsikit.scene import Source, read_window
from hsikit.sensors import open_source
from tests.products import neon

PLACE = "LIRO/Reflectance/Metadata/Coordinate_System"


def cube(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def opened(path: Path, **options) -> Source:
    return open_source(path, inspect=False, **options)


def changed(path: Path, change: Callable[[Any], None]) -> Path:
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replace(file: Any, name: str, value: Any) -> None:
    del file[name]
    file[name] = value


def test_radiance_is_the_sum_of_its_parts_in_si_units(tmp_path: Path) -> None:
    built = neon.radiance(tmp_path)
    with h5py.File(built.path) as file:
        whole, decimal = (file[f"LIRO/Radiance/Radiance{part}Part"][1, 2, 3] for part in ("Integer", "Decimal"))
    assert cube(opened(built.path))[3, 1, 2] == pytest.approx(10 * (int(whole) + int(decimal) / 50000), rel=1e-6)


def test_radiance_is_missing_where_either_part_is_fill(tmp_path: Path) -> None:
    path = neon.radiance(tmp_path).path

    def fill(file: Any) -> None:
        file["LIRO/Radiance/RadianceIntegerPart"][0, 0, 0] = 255
        file["LIRO/Radiance/RadianceDecimalPart"][0, 1, 0] = 65535

    values = cube(opened(changed(path, fill)))
    assert np.isnan(values[0, 0, :2]).all()
    assert np.isfinite(values[1, 0, :2]).all()


def test_the_scale_of_the_decimal_part_is_the_file_s(tmp_path: Path) -> None:
    path = neon.radiance(tmp_path).path
    before = cube(opened(path))

    def scale(file: Any) -> None:
        attributes = file["LIRO/Radiance/RadianceDecimalPart"].attrs
        del attributes["Scale"]
        attributes["Scale_Factor"] = 100000.0

    after = cube(opened(changed(path, scale)))
    whole = np.floor(before / 10 + 1e-5) * 10
    np.testing.assert_allclose(2 * (after - whole), before - whole, atol=1e-3)


def test_bad_bands_are_the_product_s_windows(tmp_path: Path) -> None:
    path = neon.reflectance(tmp_path).path
    info = opened(changed(path, lambda file: file["LIRO/Reflectance"].attrs.__setitem__("Band_Window_1_Nanometers", np.array([500, 700])))).info
    wavelength = info.bands.wavelength
    np.testing.assert_array_equal(~info.bands.good, ((wavelength >= 500) & (wavelength <= 700)) | ((wavelength >= 1790) & (wavelength <= 1955)))
    assert sum("water vapour" in notice for notice in info.notices) == 1


def test_bad_bands_of_radiance_are_the_product_s_windows_too(tmp_path: Path) -> None:
    path = neon.radiance(tmp_path).path
    wavelength = neon.NM
    info = opened(changed(path, lambda file: file["LIRO/Radiance"].attrs.__setitem__("Band_Window_1_Nanometers", np.array([500, 700])))).info
    np.testing.assert_array_equal(~info.bands.good, (wavelength >= 500) & (wavelength <= 700))
    assert sum("water vapour absorbs (500 to 700 nm)" in notice for notice in info.notices) == 1


def test_an_ancillary_image_opens_as_layers(tmp_path: Path) -> None:
    path = neon.reflectance(tmp_path).path
    info = opened(path, variable="Slope").info
    assert info.bands.names == ("Slope",)
    assert not info.bands.spectral
    assert info.grid.transform == neon.GRID.transform
    assert len(opened(neon.directional(tmp_path).path, variable="Weather_Quality_Indicator").info.bands) == 3
    with pytest.raises(OptionError, match="no ancillary image"):
        opened(path, variable="Moon")


def test_a_rotated_map_info_keeps_its_corner(tmp_path: Path) -> None:
    path = neon.reflectance(tmp_path).path
    info = np.bytes_("UTM, 1.000, 1.000, 290000.00, 5098000.0, 1.0, 1.0, 16, North, WGS-84, units=Meters, rotation=30")
    grid = opened(changed(path, lambda file: replace(file, f"{PLACE}/Map_Info", info))).info.grid
    assert grid.rotation == pytest.approx(30)
    assert (grid.transform[2], grid.transform[5]) == (290000.0, 5098000.0)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: replace(file, f"{PLACE}/Map_Info", np.bytes_("UTM, somewhere")),
        lambda file: replace(file, f"{PLACE}/EPSG Code", np.bytes_("nowhere")),
        lambda file: replace(file, f"{PLACE}/EPSG Code", np.bytes_("999999")),
        lambda file: replace(file, "LIRO/Reflectance/Metadata/Spectral_Data/Wavelength", np.arange(400.0, 410.0)),
        lambda file: replace(file, "LIRO/Reflectance/Reflectance_Data", np.zeros((3, 4), np.int16)),
        lambda file: file["LIRO/Reflectance/Reflectance_Data"].attrs.__setitem__("Scale_Factor", 0.0),
        lambda file: file.pop(f"{PLACE}/Map_Info"),
        lambda file: file.pop("LIRO/Reflectance/Metadata"),
    ],
)
def test_damage_is_a_scene_error(tmp_path: Path, change: Callable[[Any], None]) -> None:
    with pytest.raises(SceneError):
        opened(changed(neon.reflectance(tmp_path).path, change))


def test_a_truncated_file_is_a_scene_error(tmp_path: Path) -> None:
    path = neon.radiance(tmp_path).path
    data = path.read_bytes()
    for length in (600, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(HsikitError):
            cube(opened(path))


def test_a_renamed_file_opens(tmp_path: Path) -> None:
    assert opened(neon.radiance(tmp_path).path.rename(tmp_path / "x.h5")).info.driver == "neon"


@pytest.mark.parametrize(
    ("name", "level", "acquired"),
    [("NEON_D05_LIRO_DP1_L004-1_20220623_bidirectional_reflectance.h5", "L1", "2022-06-23"), ("mine.h5", "", "")],
)
def test_what_a_name_tells(tmp_path: Path, name: str, level: str, acquired: str) -> None:
    info = opened(neon.reflectance(tmp_path).path.rename(tmp_path / name)).info
    assert (info.attrs["processing_level"], info.acquired) == (level, acquired)


def test_angles_that_are_fill_are_left_out(tmp_path: Path) -> None:
    path = neon.reflectance(tmp_path).path
    changed(path, lambda file: file["LIRO/Reflectance/Metadata/to-sensor_zenith_angle"].__setitem__((slice(None), slice(None)), -9999))
    attrs = opened(path).info.attrs
    assert "view_zenith" not in attrs and attrs["view_azimuth"] == "283.5000"
