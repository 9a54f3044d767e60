"""Traps of JPL's scenes as ENVI files, and the real windows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsikit.errors import SceneError
from hsikit.geo.grid import Window
from hsikit.scene import Source, read_window
from hsikit.sensors import open_source
from tests.products import envi_jpl as jpl
from tests.products.case import Built, outside_water_vapour
from tests.products.envi import write_envi


def cube(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def opened(path: Path, **options) -> Source:
    return open_source(path, inspect=False, **options)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_real_aviris_window_is_known_by_its_band_centres(shared_data: Path) -> None:
    path = shared_data / "sensors" / "aviris" / "AV_mastercal_testdata.hdr"
    info = opened(path).info
    assert (info.driver, info.sensor, info.quantity) == ("aviris-classic-envi", "aviris-classic", "surface_reflectance")
    assert info.grid.crs == "EPSG:32610"
    assert info.grid.rotation == pytest.approx(71.0)
    assert (info.grid.transform[2], info.grid.transform[5]) == (716737.401375353, 4322229.096619)
    stored = np.fromfile(path.with_suffix(".bsq"), "<i2").reshape(194, 50, 50)
    order = np.argsort([float(x) for x in _field(path, "wavelength")], kind="stable")
    np.testing.assert_allclose(cube(opened(path)), stored[order] * 1e-4, rtol=1e-5)
    assert not any("no unit" in notice for notice in info.notices)  # the instrument is known, so its unit is
    assert any("--scale" in notice for notice in info.notices)


def test_the_real_aviris_ng_windows(shared_data: Path) -> None:
    folder = shared_data / "sensors" / "aviris_ng"
    path = next(folder.glob("*_2580-2590_540-550.hdr"))
    source = opened(path)
    assert (source.info.driver, source.info.sensor, source.info.acquired) == ("aviris-ng-envi", "aviris-ng", "2014-09-12T19:23:59Z")
    stored = np.fromfile(path.with_suffix(".img"), "<f4").reshape(10, 10, 432).transpose(2, 0, 1)
    values = cube(source)
    np.testing.assert_array_equal(values[~np.isnan(values)], stored[~np.isnan(values)])
    assert np.isnan(values).sum() == (stored == np.float32(-0.005)).sum()
    assert source.info.bands.good.sum() == 373
    outside = cube(opened(next(folder.glob("*_400-410_10-20.hdr"))))
    assert np.isnan(outside).all()  # outside the flight line, where the header names no fill value


def test_the_real_emit_window_is_reflectance_by_its_bad_bands(shared_data: Path) -> None:
    info = opened(shared_data / "sensors" / "emit" / "emit20250324t221005_jpl_unmix_ex").info
    assert (info.driver, info.sensor, info.quantity, info.acquired) == ("emit-envi", "emit", "surface_reflectance", "2025-03-24T22:10:05Z")
    values = cube(opened(shared_data / "sensors" / "emit" / "emit20250324t221005_jpl_unmix_ex.hdr"))
    np.testing.assert_allclose(values[~info.bands.good][:, 0, 0][5:15], -0.01, atol=1e-7)


def test_a_real_window_under_another_name_is_known(shared_data: Path, tmp_path: Path) -> None:
    path = next((shared_data / "sensors" / "aviris_ng").glob("*_2580-2590_540-550.hdr"))
    (tmp_path / "x.hdr").write_bytes(path.read_bytes())
    (tmp_path / "x.img").write_bytes(path.with_suffix(".img").read_bytes())
    assert opened(tmp_path / "x.hdr").info.driver == "aviris-ng-envi"


def test_centres_in_micrometres_without_a_unit_are_understood(tmp_path: Path) -> None:
    nm = np.linspace(366, 2496, 50)
    write_envi(tmp_path / "f970620t01p02_r03_sc01.a.rfl.hdr", np.ones((50, 2, 3), np.float32), suffix="", wavelength=list(nm / 1000), wavelength_units=None)
    info = opened(tmp_path / "f970620t01p02_r03_sc01.a.rfl.hdr").info
    assert (info.driver, info.quantity, info.acquired) == ("aviris-classic-envi", "surface_reflectance", "1997-06-20")
    np.testing.assert_allclose(info.bands.wavelength, nm)
    np.testing.assert_array_equal(info.bands.good, outside_water_vapour(nm))


def test_a_scene_known_by_its_centres_is_what_its_name_says(shared_data: Path, tmp_path: Path) -> None:
    path = next((shared_data / "sensors" / "aviris_ng").glob("*_2580-2590_540-550.hdr"))
    text = path.read_text().replace("correction factors", "other factors")
    (tmp_path / "field_rdn.hdr").write_text(text)
    (tmp_path / "field_rdn.img").write_bytes(path.with_suffix(".img").read_bytes())
    info = opened(tmp_path / "field_rdn.hdr").info
    assert (info.driver, info.quantity, info.nodata) == ("aviris-ng-envi", "radiance", -9999)


def test_radiance_without_gains_stays_as_stored(tmp_path: Path) -> None:
    path = jpl.classic_radiance(tmp_path).path
    next(tmp_path.glob("*.gain")).unlink()
    info = opened(path).info
    assert info.quantity == "dn"
    assert any("gain" in notice for notice in info.notices)
    np.testing.assert_array_equal(info.bands.good, outside_water_vapour(info.bands.wavelength))


@pytest.mark.parametrize("text", ["300 1\n", "a b\n" * 40, "0.0 1\n" * 40, ""])
def test_gains_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    path = jpl.classic_radiance(tmp_path).path
    next(tmp_path.glob("*.gain")).write_text(text)
    with pytest.raises(SceneError, match="gains"):
        opened(path)


def test_gains_may_stand_behind_the_number_of_their_band(tmp_path: Path) -> None:
    built = jpl.classic_radiance(tmp_path)
    path = next(tmp_path.glob("*.gain"))
    path.write_text("".join("{1} {0}\n".format(*line.split()) for line in path.read_text().splitlines()))
    np.testing.assert_allclose(cube(opened(built.path)), built.truth, rtol=1e-5)


def test_negative_numbers_of_a_lookup_table_are_infill(tmp_path: Path) -> None:
    built = jpl.ng_radiance(tmp_path)
    swath = opened(built.path).info.swath
    assert swath is not None
    assert swath.table is not None
    read = swath.table.read(swath.table.grid.whole)
    stored = np.fromfile(tmp_path / "ang20140912t192359_rdn_v1_glt", "<i4").reshape(9, 2, 8)
    np.testing.assert_array_equal(read.infill, (stored < 0).any(axis=1))
    np.testing.assert_array_equal(read.rows[read.infill], np.abs(stored[:, 1][read.infill]) - 1)
    part = swath.table.read(Window(2, 3, 4, 5))
    np.testing.assert_array_equal(part.cols, read.cols[2:6, 3:8])


def test_a_table_that_points_outside_the_scene_is_refused(tmp_path: Path) -> None:
    built = jpl.ng_radiance(tmp_path)
    path = tmp_path / "ang20140912t192359_rdn_v1_glt"
    stored = np.fromfile(path, "<i4")
    stored[5] = 999
    stored.tofile(path)
    swath = opened(built.path).info.swath
    assert swath is not None
    assert swath.table is not None
    with pytest.raises(SceneError, match="outside"):
        swath.table.read(swath.table.grid.whole)


def test_side_cars_of_another_line_or_shape_are_left_aside(tmp_path: Path) -> None:
    built = jpl.ng_radiance(tmp_path)
    for path in tmp_path.glob("*_loc*"):
        path.rename(path.with_name(path.name.replace("192359", "200000")))
    for path in tmp_path.glob("*_glt*"):
        path.unlink()
    write_envi(tmp_path / "ang20140912t192359_rdn_v1_igm.hdr", np.zeros((3, 2, 2)), suffix="", **jpl.IGM)
    info = opened(built.path).info
    assert info.swath is None
    assert any("igm" in notice and "not used" in notice for notice in info.notices)


def test_a_damaged_side_car_is_told(tmp_path: Path) -> None:
    built = jpl.ng_radiance(tmp_path)
    loc = tmp_path / "ang20140912t192359_rdn_v1_loc"
    loc.write_bytes(loc.read_bytes()[:100])
    info = opened(built.path).info
    assert any("_loc.hdr beside it is not used" in notice and "truncated" in notice for notice in info.notices)
    assert info.swath is not None  # by the lookup table


def test_map_coordinates_without_a_crs_are_not_guessed(tmp_path: Path) -> None:
    built = jpl.aviris_3_radiance(tmp_path)
    for path in tmp_path.glob("*_GLT*"):
        path.unlink()
    info = opened(built.path).info
    assert info.swath is None
    assert any("names the CRS" in notice for notice in info.notices)


def test_an_orthorectified_scene_needs_no_side_cars(tmp_path: Path) -> None:
    built = jpl.ng_reflectance(tmp_path)
    jpl.write_table(tmp_path / "ang20140912t192359_rdn_v1_glt.hdr", np.random.default_rng(1), jpl.UTM)
    assert opened(built.path).info.swath is None


def test_radiance_is_in_si_units_whatever_the_user_scales(tmp_path: Path) -> None:
    built = jpl.ng_radiance(tmp_path)
    np.testing.assert_allclose(cube(opened(built.path, scale=1.0)) * 10, cube(opened(built.path)), rtol=1e-6)


@pytest.mark.parametrize("build", [jpl.aviris_3_reflectance, jpl.classic_radiance])
def test_without_a_list_water_vapour_bands_are_lost_with_one_notice(tmp_path: Path, build: Callable[[Path], Built]) -> None:
    info = opened(build(tmp_path).path).info
    assert sum("water vapour" in notice for notice in info.notices) == 1


def test_a_list_of_radiance_is_of_the_detector_and_does_not_bring_water_vapour_back(tmp_path: Path) -> None:
    built = jpl.ng_radiance(tmp_path)
    listed = np.arange(30) != 3
    header = next(tmp_path.glob("*_rdn_v1_img.hdr"))
    header.write_text(header.read_text() + f"bbl = {{{', '.join(map(str, listed.astype(int)))}}}\n")
    np.testing.assert_array_equal(opened(built.path).info.bands.good, listed & outside_water_vapour(built.wavelength))


def test_nothing_is_said_of_the_bands_where_it_is_not_known_what_they_measure(tmp_path: Path) -> None:
    nm = np.linspace(380, 2500, 40)
    write_envi(tmp_path / "ang20140912t192359.hdr", np.ones((40, 2, 3), np.float32), suffix="", wavelength=list(nm))
    info = opened(tmp_path / "ang20140912t192359.hdr").info
    assert (info.driver, info.quantity, info.bands.good.all()) == ("aviris-ng-envi", "dn", True)


def test_side_cars_open_as_layers(tmp_path: Path) -> None:
    jpl.ng_radiance(tmp_path)
    loc = opened(tmp_path / "ang20140912t192359_rdn_v1_loc").info
    assert loc.driver == "envi-layers"
    assert loc.bands.names[0] == "Longitude (WGS-84)"
    assert not loc.bands.spectral
    assert opened(tmp_path / "ang20140912t192359_rdn_v1_obs.hdr").info.bands.names[0] == "Path length (m)"


def test_a_truncated_scene_is_refused(tmp_path: Path) -> None:
    path = jpl.emit_reflectance(tmp_path).path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SceneError, match="truncated"):
        opened(path)


@pytest.mark.parametrize(("old", "new"), [("wavelength = {", "wavelength = {x, "), ("bands = 80", "bands = 81"), ("data type = 4", "data type = 6"), ("}", "")])
def test_damaged_headers_are_scene_errors(tmp_path: Path, old: str, new: str) -> None:
    header = jpl.emit_reflectance(tmp_path).path.with_suffix(".hdr")
    edit(header, old, new)
    with pytest.raises(SceneError):
        opened(header)


def _field(path: Path, name: str) -> list[str]:
    text = path.read_text()
    return text[text.index("{", text.index(f"\n{name} =")) + 1 : text.index("}", text.index(f"\n{name} ="))].split(",")


def test_emit_s_names_tell_the_build_and_the_uncertainty_beside(tmp_path: Path) -> None:
    nm = jpl.centres(381.0056, 2492.9238, 80)
    for kind in ("rfl", "rfluncert"):
        name = f"emit20220827t060753_o23904_s001_l2a_{kind}_b0106_v01.hdr"
        write_envi(tmp_path / name, np.ones((80, 2, 3), np.float32), suffix=".img", **jpl.header(nm, 8.4))
    attrs = opened(tmp_path / "emit20220827t060753_o23904_s001_l2a_rfl_b0106_v01.hdr").info.attrs
    assert attrs["processor_version"] == "0106"
    assert attrs["uncertainty"] == "per pixel: emit20220827t060753_o23904_s001_l2a_rfluncert_b0106_v01.hdr"


def test_an_observation_on_another_grid_or_damaged_gives_no_angles(tmp_path: Path) -> None:
    path = jpl.ng_reflectance(tmp_path).path
    assert opened(path).info.attrs["sun_zenith"] == "37.7500"
    data = tmp_path / "ang20140912t192359_obs"
    data.write_bytes(data.read_bytes()[:100])
    assert "sun_zenith" not in opened(path).info.attrs


def test_a_folder_that_may_not_be_listed_costs_angles_and_gains_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("reflectance", "radiance"):
        (tmp_path / name).mkdir()
    reflectance, radiance = jpl.ng_reflectance(tmp_path / "reflectance"), jpl.classic_radiance(tmp_path / "radiance")

    def refusing(listing: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def guarded(path: Any = ".") -> Any:
            if Path(path).is_relative_to(tmp_path):
                raise PermissionError(13, "Permission denied", str(path))
            return listing(path)

        return guarded

    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    assert "sun_zenith" not in opened(reflectance.path).info.attrs
    info = opened(radiance.path).info
    assert info.quantity == "dn" and any("no .gain file" in notice for notice in info.notices)
