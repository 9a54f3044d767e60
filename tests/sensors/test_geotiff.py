"""GeoTIFF: wavelengths in each convention, scales and fill, threads, and damage."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsikit.errors import SceneError, WavelengthError
from hsikit.geo.grid import Window, tile_windows
from hsikit.scene import read_window
from hsikit.sensors import open_source
from tests.products.geotiff import write_geotiff

CUBE = np.random.default_rng(5).integers(1, 9000, (4, 20, 30), dtype=np.int16)
NM = [450.0, 660.0, 1650.0, 2200.0]


@pytest.mark.parametrize("convention", ["imagery", "tags", "lists", "descriptions"])
def test_wavelengths_in_each_convention(tmp_path: Path, convention: str) -> None:
    bands = open_source(write_geotiff(tmp_path / "a.tif", CUBE, NM, convention)).info.bands
    np.testing.assert_allclose(bands.wavelength, NM, rtol=1e-9)
    if convention != "descriptions":
        np.testing.assert_allclose(bands.fwhm, 9.5, rtol=1e-9)
    assert bands.good.tolist() == [True, convention != "tags", True, True]


@pytest.mark.parametrize("name", ["a.csv", "a_wavelengths.csv"])
def test_wavelengths_in_a_table_beside_it(tmp_path: Path, name: str) -> None:
    path = write_geotiff(tmp_path / "a.tif", CUBE, convention="none")
    (tmp_path / name).write_text("wavelength,fwhm,good,name\n" + "".join(f"{nm},8,{int(nm < 2000)},b{i}\n" for i, nm in enumerate(NM)))
    bands = open_source(path).info.bands
    np.testing.assert_array_equal(bands.wavelength, NM)
    assert bands.good.tolist() == [True, True, True, False]
    assert bands.names == ("b0", "b1", "b2", "b3")


def test_a_table_of_something_else_beside_it_is_not_meant(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "a.tif", CUBE, convention="none")
    (tmp_path / "a.csv").write_text("plot,crop\n1,wheat\n")
    with pytest.raises(WavelengthError, match=r"a\.tif: no wavelengths.*--sensor NAME or --wavelengths FILE\.csv"):
        open_source(path)


@pytest.mark.parametrize("text", ["Band 1 (0.55 um)", "0.55 micrometers", "550nm", "B03 550.0 Nanometers", ".55 µm"])
def test_descriptions_in_words(tmp_path: Path, text: str) -> None:
    path = write_geotiff(tmp_path / "a.tif", CUBE[:1], convention="none")
    with rasterio.open(path, "r+") as target:
        target.set_band_description(1, text)
    np.testing.assert_allclose(open_source(path).info.bands.wavelength, [550])


def test_some_bands_without_wavelengths_are_refused(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "a.tif", CUBE, convention="none")
    with rasterio.open(path, "r+") as target:
        target.update_tags(2, ns="IMAGERY", CENTRAL_WAVELENGTH_UM="0.66")
    with pytest.raises(WavelengthError, match=r"a\.tif"):
        open_source(path)


def test_scales_fill_grid_and_facts(tmp_path: Path) -> None:
    cube = CUBE.copy()
    cube[:, :3, :4] = -9999
    source = open_source(write_geotiff(tmp_path / "a.tif", cube, scale=1e-4, nodata=-9999))
    info = source.info
    assert (info.driver, info.dtype, info.quantity, info.nodata, info.grid.crs) == ("geotiff", "int16", "surface_reflectance", -9999, "EPSG:32633")
    assert info.grid.transform == (30, 0, 365000, 0, -30, 5808000)
    assert info.attrs["missing_share"] == f"{12 / 600:.3f}"
    got = read_window(source, Window(0, 0, 20, 30))
    np.testing.assert_allclose(got, np.where(cube == -9999, np.nan, cube * 1e-4), rtol=1e-6)


def test_landsat_like_offset(tmp_path: Path) -> None:
    source = open_source(write_geotiff(tmp_path / "a.tif", CUBE, scale=2.75e-5, offset=-0.2), quantity="surface_reflectance")
    np.testing.assert_allclose(read_window(source, Window(2, 3, 4, 5)), CUBE[:, 2:6, 3:8] * 2.75e-5 - 0.2, rtol=1e-5, atol=1e-7)


def test_unsorted_bands_give_the_sorted_scene(tmp_path: Path) -> None:
    turn = [2, 0, 3, 1]
    plain = open_source(write_geotiff(tmp_path / "a.tif", CUBE, NM))
    turned = open_source(write_geotiff(tmp_path / "b.tif", CUBE[turn], [NM[i] for i in turn]))
    np.testing.assert_array_equal(turned.info.bands.wavelength, plain.info.bands.wavelength)
    index = np.array([1, 3])
    np.testing.assert_array_equal(read_window(turned, Window(3, 4, 5, 6), index), read_window(plain, Window(3, 4, 5, 6), index))


LAYOUTS = [
    {"interleave": "band"},
    {"interleave": "pixel"},
    {"interleave": "band", "tiled": True, "blockxsize": 16, "blockysize": 16},
    {"interleave": "pixel", "tiled": True, "blockxsize": 16, "blockysize": 16},
    {"interleave": "pixel", "tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate", "predictor": 2},
    {"interleave": "band", "compress": "lzw"},
]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layout=st.sampled_from(LAYOUTS), part=st.floats(0.02, 0.98))
def test_a_cut_file_gives_an_error_and_never_zeros(tmp_path_factory: pytest.TempPathFactory, layout: dict[str, object], part: float) -> None:
    path = write_geotiff(tmp_path_factory.mktemp("cut") / "cut.tif", CUBE, **layout)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    try:
        source = open_source(path, inspect=False)
    except SceneError as error:
        assert "cut.tif" in str(error)
        return
    failed = 0
    for window in tile_windows(Window(0, 0, 20, 30), (5, 30)):
        try:
            np.testing.assert_array_equal(read_window(source, window), CUBE[(slice(None), *window.slices())])
        except SceneError as error:
            assert "cut.tif" in str(error)
            failed += 1
    assert failed


@pytest.mark.parametrize(("content", "message"), [(b"", "is empty"), (b"this is no image", "no GeoTIFF"), (b"II*\0" + b"\xff" * 40, "no GeoTIFF")])
def test_what_is_no_geotiff_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "text.tif"
    path.write_bytes(content)
    with pytest.raises(SceneError, match=rf"text\.tif.*{message}"):
        open_source(path)


def test_missing_and_unknown_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"missing\.tif: does not exist"):
        open_source(tmp_path / "missing.tif")
    (tmp_path / "notes.docx").write_bytes(b"PK and so on")
    with pytest.raises(SceneError, match=r"notes\.docx: is of no kind that is known here"):
        open_source(tmp_path / "notes.docx")


def test_complex_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="complex64"):
        open_source(write_geotiff(tmp_path / "a.tif", CUBE.astype(np.complex64)))


def test_threads_read_side_by_side(tmp_path: Path) -> None:
    source = open_source(write_geotiff(tmp_path / "a.tif", CUBE, compress="deflate"))
    windows = list(tile_windows(Window(0, 0, 20, 30), (4, 7))) * 4
    with ThreadPoolExecutor(4) as pool:
        for window, got in zip(windows, pool.map(lambda w: read_window(source, w), windows), strict=True):
            np.testing.assert_array_equal(got, CUBE[(slice(None), *window.slices())])
    source.close()
    np.testing.assert_array_equal(read_window(source, windows[0]), CUBE[(slice(None), *windows[0].slices())])


def test_pan_without_wavelengths(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "pan.tif", CUBE[:1], convention="none")
    assumed = open_source(path, role="pan")
    assert (assumed.info.bands.wavelength[0], assumed.info.bands.fwhm[0]) == (550, 300)
    assert any("400 to 700 nm" in notice for notice in assumed.info.notices)
    named = open_source(path, role="pan", pan_range=(450, 700)).info
    assert (named.bands.wavelength[0], named.bands.fwhm[0], named.notices) == (575, 250, ())
    own = open_source(write_geotiff(tmp_path / "own.tif", CUBE[:1], [620.0]), role="pan").info
    assert own.bands.wavelength[0] == 620
    with pytest.raises(SceneError, match="has 4 bands"):
        open_source(write_geotiff(tmp_path / "b.tif", CUBE), role="pan")


def test_real_enmap_tile(shared_data: Path) -> None:
    source = open_source(shared_data / "classification/enmap_potsdam/images/enmap_potsdam_tile_128_0.tif")
    assert len(source.info.bands) == 224
    assert source.info.quantity == "surface_reflectance"
    values = read_window(source, source.info.grid.whole)
    assert 0 < np.nanmedian(values) < 0.6
