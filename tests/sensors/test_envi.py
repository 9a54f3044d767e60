"""ENVI: every layout against NumPy and GDAL, the header's variants, and what is refused."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.windows import Window as RasterWindow

from hsikit.errors import SceneError, WavelengthError
from hsikit.geo.grid import IDENTITY, Window, tile_windows
from hsikit.scene import read_window
from hsikit.sensors import envi_read, open_source
from tests.products.envi import CODES, write_envi

RNG = np.random.default_rng(3)


def numbers(shape: tuple[int, int, int], dtype: str = "i2") -> np.ndarray:
    if dtype[0] == "f":
        return RNG.normal(0, 100, shape).astype(dtype)
    return RNG.integers(0, 200, shape).astype(dtype)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    interleave=st.sampled_from(["bsq", "bil", "bip"]),
    dtype=st.sampled_from(sorted(CODES)),
    byte_order=st.integers(0, 1),
    offset=st.sampled_from([0, 1, 7, 512]),
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(2, 11)),  # GDAL, the oracle, takes no file of a single byte
    gap=st.sampled_from([0, 8, 1 << 20]),
    scratch=st.sampled_from([1, 64, 1 << 18]),
    data=st.data(),
)
def test_any_layout_and_window_reads_what_was_written(tmp_path_factory, monkeypatch, interleave, dtype, byte_order, offset, sizes, gap, scratch, data):
    monkeypatch.setattr(envi_read, "GAP_BYTES", gap)
    monkeypatch.setattr(envi_read, "SCRATCH_BYTES", scratch)
    bands, rows, cols = sizes
    cube = numbers(sizes, dtype)
    header = write_envi(tmp_path_factory.mktemp("envi") / "a.hdr", cube, interleave, byte_order, offset)
    row, col = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    window = Window(row, col, data.draw(st.integers(1, rows - row)), data.draw(st.integers(1, cols - col)))
    chosen = np.array(sorted(data.draw(st.sets(st.integers(0, bands - 1), min_size=1))))
    source = open_source(header, inspect=False)
    raw = source.read(window, chosen)
    expected = cube[chosen][(slice(None), *window.slices())]
    np.testing.assert_array_equal(raw.values, expected)
    assert raw.values.dtype.newbyteorder("=") == cube.dtype
    with rasterio.open(header.with_suffix(".img")) as peer:
        theirs = peer.read((chosen + 1).tolist(), window=RasterWindow(col, row, window.cols, window.rows))
    np.testing.assert_array_equal(raw.values, theirs)
    np.testing.assert_array_equal(read_window(source, window, chosen), expected.astype(np.float32))


@pytest.mark.parametrize("suffix", ["", ".img", ".dat", ".bsq", ".raw"])
def test_header_and_data_find_each_other(tmp_path: Path, suffix: str) -> None:
    cube = numbers((3, 4, 5))
    header = write_envi(tmp_path / "scene.hdr", cube, suffix=suffix)
    for path in (header, header.with_suffix(suffix)):
        source = open_source(path)
        assert source.info.driver == "envi"
        assert source.info.name == str(path)
        np.testing.assert_array_equal(read_window(source, Window(0, 0, 4, 5)), cube)


def test_double_suffix_and_several_candidates(tmp_path: Path) -> None:
    cube = numbers((3, 4, 5))
    write_envi(tmp_path / "scene.hdr", cube).rename(tmp_path / "scene.img.hdr")
    (tmp_path / "scene.dat").write_bytes(b"other")
    np.testing.assert_array_equal(read_window(open_source(tmp_path / "scene.img"), Window(0, 0, 4, 5)), cube)
    np.testing.assert_array_equal(read_window(open_source(tmp_path / "scene.img.hdr"), Window(0, 0, 4, 5)), cube)


def test_candidate_whose_size_fits_is_the_data(tmp_path: Path) -> None:
    cube = numbers((3, 4, 5))
    header = write_envi(tmp_path / "scene.hdr", cube, suffix=".dat")
    (tmp_path / "scene.img").write_bytes(b"a quicklook")
    np.testing.assert_array_equal(read_window(open_source(header), Window(0, 0, 4, 5)), cube)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("Nanometers", 1),
        ("nm", 1),
        ("NANOMETRES", 1),
        ("Micrometers", 1e-3),
        ("um", 1e-3),
        ("µm", 1e-3),
        ("microns", 1e-3),
        ("Angstroms", 10),
        ("Unknown", 1),
        ("Unknown", 1e-3),
        (None, 1),
        (None, 1e-3),
    ],
)
def test_units_in_many_spellings(tmp_path: Path, unit: str | None, factor: float) -> None:
    nm = np.array([450.0, 660.0, 2200.0])
    header = write_envi(tmp_path / "a.hdr", numbers((3, 2, 2)), wavelength=list(nm * factor), fwhm=list(np.array([8.0, 9, 10]) * factor), wavelength_units=unit)
    bands = open_source(header).info.bands
    np.testing.assert_allclose(bands.wavelength, nm, rtol=1e-12)
    np.testing.assert_allclose(bands.fwhm, [8, 9, 10], rtol=1e-12)


@pytest.mark.parametrize(
    ("wavelengths", "unit"),
    [
        ([10000, 8000, 5000], "Wavenumber"),
        ([10000, 8000, 5000], "cm-1"),
        ([1, 2, 3], None),
        ([0.4, 0.5, 0.6], "Nanometers"),
        ([450, 550, 650], "Micrometers"),
        ([450, 550, float("nan")], "nm"),
        ([0.45, 550, 650], None),
        (["blue", "green", "red"], "nm"),
        ([450, 550], "nm"),
    ],
)
def test_implausible_wavelengths_are_refused(tmp_path: Path, wavelengths: list[object], unit: str | None) -> None:
    header = write_envi(tmp_path / "odd.hdr", numbers((3, 2, 2)), wavelength=wavelengths, wavelength_units=unit)
    with pytest.raises(WavelengthError, match=r"odd\.hdr.*--sensor NAME or --wavelengths FILE\.csv"):
        open_source(header)


def test_without_wavelengths_the_user_names_them(tmp_path: Path) -> None:
    header = write_envi(tmp_path / "a.hdr", numbers((3, 2, 2)), wavelength=None)
    with pytest.raises(WavelengthError, match=r"a\.hdr: no wavelengths.*--sensor NAME or --wavelengths FILE\.csv"):
        open_source(header)
    np.testing.assert_array_equal(open_source(header, wavelengths=[450, 550, 650]).info.bands.wavelength, [450, 550, 650])


def test_bands_are_sorted_and_read_in_that_order(tmp_path: Path) -> None:
    cube = numbers((5, 3, 4))
    header = write_envi(tmp_path / "a.hdr", cube, "bil", wavelength=[900, 450, 700, 700, 500], bbl=[1, 1, 0, 1, 1], band_names=list("abcde"))
    source = open_source(header)
    np.testing.assert_allclose(source.info.bands.wavelength, [450, 500, 700, 700.001, 900])
    assert source.info.bands.names == ("b", "e", "c", "d", "a")
    assert source.info.bands.good.tolist() == [True, True, False, True, True]
    np.testing.assert_array_equal(read_window(source, Window(0, 0, 3, 4)), cube[[1, 4, 2, 3, 0]])
    np.testing.assert_array_equal(source.read(Window(1, 1, 2, 2), np.array([0, 4])).values, cube[[1, 0], 1:, 1:3])
    assert any("sorted" in notice for notice in source.info.notices)


def test_scale_factor_gains_and_fill(tmp_path: Path) -> None:
    cube = np.array([[[100, -99], [5000, 10000]], [[0, -99], [1, 2]]], np.int16)
    scaled = open_source(write_envi(tmp_path / "a.hdr", cube, reflectance_scale_factor=10000, data_ignore_value=-99))
    assert scaled.info.quantity == "surface_reflectance"
    assert scaled.info.nodata == -99
    np.testing.assert_allclose(read_window(scaled, Window(0, 0, 2, 2)), [[[0.01, np.nan], [0.5, 1]], [[0, np.nan], [1e-4, 2e-4]]], rtol=1e-6)
    gained = open_source(write_envi(tmp_path / "b.hdr", cube, data_gain_values=[2, 0.5], data_offset_values=[1, -1], data_ignore_value=-99))
    assert gained.info.quantity == "dn"
    np.testing.assert_allclose(read_window(gained, Window(0, 0, 2, 2)), [[[201, np.nan], [10001, 20001]], [[-1, np.nan], [-0.5, 0]]], rtol=1e-6)
    named = open_source(tmp_path / "b.hdr", scale=2.0, offset=0.0, nodata=0, quantity="radiance")
    assert named.info.units == "W m-2 sr-1 um-1"
    np.testing.assert_allclose(read_window(named, Window(0, 0, 2, 1)), [[[200], [10000]], [[np.nan], [2]]])


@pytest.mark.parametrize("rotation", ["", "rotation=71", "rotation=-33.5"])
def test_map_info_as_gdal_places_it(tmp_path: Path, rotation: str) -> None:
    info = ["UTM", 1, 1, 716737.4, 4322229.1, 14.9, 14.9, 10, "North", "WGS-84", "units=Meters", *([rotation] if rotation else [])]
    header = write_envi(tmp_path / "a.hdr", numbers((2, 3, 4)), map_info=info)
    grid = open_source(header).info.grid
    assert grid.crs == "EPSG:32610"
    with rasterio.open(header.with_suffix(".img")) as peer:
        np.testing.assert_allclose(grid.transform, tuple(peer.transform)[:6], rtol=0, atol=1e-6)


def test_reference_pixel_is_counted_from_the_corner(tmp_path: Path) -> None:
    header = write_envi(tmp_path / "a.hdr", numbers((2, 6, 8)), map_info=["UTM", 3.5, 2, 1000, 2000, 10, 20, 33, "South", "WGS-84"])
    grid = open_source(header).info.grid
    assert grid.crs == "EPSG:32733"
    assert grid.transform == (10, 0, 975, 0, -20, 2020)


@pytest.mark.parametrize(
    ("info", "crs"),
    [
        (["Geographic Lat/Lon", 1, 1, 13.0, 52.5, 0.001, 0.001, "WGS-84", "units=Degrees"], "EPSG:4326"),
        (["UTM", 1, 1, 500000, 4000000, 30, 30, 11, "North", "North America 1983"], "EPSG:26911"),
        (["UTM", 1, 1, 500000, 4000000, 30, 30, 11, "North", "NAD-27"], "EPSG:26711"),
        (["Gauss-Krueger", 1, 1, 500000, 4000000, 30, 30, "Potsdam"], None),
        (["Arbitrary", 1, 1, 0, 0, 1, 1, "units=Meters"], None),
    ],
)
def test_crs_of_map_info_alone(tmp_path: Path, info: list[object], crs: str | None) -> None:
    assert open_source(write_envi(tmp_path / "a.hdr", numbers((2, 3, 3)), map_info=info)).info.grid.crs == crs


def test_coordinate_system_string_wins(tmp_path: Path) -> None:
    wkt = rasterio.crs.CRS.from_epsg(3035).to_wkt(version="WKT1_ESRI")
    header = write_envi(tmp_path / "a.hdr", numbers((2, 3, 3)), map_info=["LAEA", 1, 1, 4e6, 3e6, 30, 30, "x"], coordinate_system_string="{" + wkt + "}")
    assert open_source(header).info.grid.crs == "EPSG:3035"


def test_no_map_info_is_no_georeference(tmp_path: Path) -> None:
    grid = open_source(write_envi(tmp_path / "a.hdr", numbers((2, 3, 3)))).info.grid
    assert grid.transform == IDENTITY
    assert not grid.georeferenced


def test_headers_as_people_write_them(tmp_path: Path) -> None:
    cube = numbers((2, 3, 3))
    header = write_envi(tmp_path / "a.hdr", cube)
    text = (
        header.read_text().replace("samples", "Samples").replace("bsq", "BSQ").replace("ENVI\n", "ENVI\ndescription = {Über\n den Wäldern}\n; a comment = 1\n")
    )
    for raw in (text.encode("latin-1"), b"\xef\xbb\xbf" + text.encode(), text.replace("\n", "\r\n").encode()):
        header.write_bytes(raw)
        np.testing.assert_array_equal(read_window(open_source(header), Window(0, 0, 3, 3)), cube)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data_type": 99}, "data type 99 is not known"),
        ({"data_type": 6}, "complex"),
        ({"interleave": "bxx"}, "interleave"),
        ({"samples": "many"}, "no whole number"),
        ({"lines": None}, "does not say 'lines'"),
        ({"bands": 0}, "makes no sense"),
        ({"byte_order": 3}, "byte order"),
        ({"header_offset": -4}, "makes no sense"),
        ({"file_type": "ENVI Spectral Library"}, "spectral library"),
        ({"file_compression": 1}, "compressed"),
        ({"data_ignore_value": "none at all"}, "no number"),
        ({"reflectance_scale_factor": 0}, "not positive"),
        ({"map_info": ["UTM", "here"]}, "map info"),
        ({"data_gain_values": [1, 2, 3]}, "data gain values"),
    ],
)
def test_headers_that_make_no_sense_are_refused(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    header = write_envi(tmp_path / "odd.hdr", numbers((2, 3, 3)))
    told = {"interleave": "bsq", "byte_order": 0, **fields}
    lines = [line for line in header.read_text().splitlines() if line.partition("=")[0].strip().replace(" ", "_") not in told]
    text = [
        f"{key.replace('_', ' ')} = {'{' + ', '.join(map(str, value)) + '}' if isinstance(value, list) else value}"
        for key, value in told.items()
        if value is not None
    ]
    header.write_text("\n".join([*lines, *text]) + "\n")
    with pytest.raises(SceneError, match=message) as caught:
        open_source(header)
    assert "odd.hdr" in str(caught.value)


@pytest.mark.parametrize("change", [-1, 1])
def test_size_must_be_what_the_header_says(tmp_path: Path, change: int) -> None:
    header = write_envi(tmp_path / "short.hdr", numbers((2, 3, 3)))
    data = header.with_suffix(".img")
    data.write_bytes((data.read_bytes() + b"\0")[: 36 + change])
    with pytest.raises(SceneError, match=rf"short\.img.*{36 + change} bytes where short\.hdr says 36"):
        open_source(header)


def test_header_alone_data_alone_and_broken_headers(tmp_path: Path) -> None:
    header = write_envi(tmp_path / "alone.hdr", numbers((2, 3, 3)))
    data = header.with_suffix(".img")
    data.unlink()
    with pytest.raises(SceneError, match=r"alone\.hdr: has no data file"):
        open_source(header)
    header.unlink()
    data.write_bytes(b"\0" * 36)
    with pytest.raises(SceneError, match=r"alone\.img.*\.hdr"):
        open_source(data)
    for text in ("not a header", "ENVI\nsamples = 3\nwavelength = {1, 2,\n"):
        header.write_text(text)
        with pytest.raises(SceneError, match=r"alone\.hdr"):
            open_source(header)


def test_a_file_cut_after_opening_gives_an_error_and_no_zeros(tmp_path: Path) -> None:
    for interleave in ("bsq", "bil", "bip"):
        header = write_envi(tmp_path / f"{interleave}.hdr", numbers((3, 8, 8)), interleave)
        source = open_source(header, inspect=False)
        with header.with_suffix(".img").open("r+b") as file:
            file.truncate(300)
        for window in (Window(0, 0, 8, 8), Window(2, 2, 6, 3)):
            with pytest.raises(SceneError, match="truncated"):
                source.read(window, np.arange(3))


def test_threads_share_a_source_and_close_is_safe(tmp_path: Path) -> None:
    cube = numbers((4, 40, 30))
    source = open_source(write_envi(tmp_path / "a.hdr", cube, "bil"))
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(60):
            row, col = int(rng.integers(0, 30)), int(rng.integers(0, 20))
            window = Window(row, col, 10, 10)
            if not np.array_equal(read_window(source, window), cube[(slice(None), *window.slices())]):
                wrong.append(seed)
            if rng.random() < 0.2:
                source.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
def test_windows_side_by_side_come_out_of_one_strip(tmp_path: Path, interleave: str) -> None:
    cube = numbers((4, 12, 30))
    source = open_source(write_envi(tmp_path / "a.hdr", cube, interleave))
    chosen = np.array([0, 2, 3])
    for window in tile_windows(Window(0, 0, 12, 30), (5, 7)):
        for bands in (np.arange(4), chosen):
            for _ in range(3):
                np.testing.assert_array_equal(source.read(window, bands).values, cube[bands][(slice(None), *window.slices())])


def test_window_outside_the_scene_is_refused(tmp_path: Path) -> None:
    source = open_source(write_envi(tmp_path / "a.hdr", numbers((2, 3, 3))))
    with pytest.raises(SceneError, match="outside"):
        source.read(Window(0, 0, 4, 3), np.arange(2))


def test_identity_follows_the_files(tmp_path: Path) -> None:
    header = write_envi(tmp_path / "a.hdr", numbers((2, 3, 3)))
    before = open_source(header).info.identity
    assert [part[0] for part in before] == [str(header), str(header.with_suffix(".img")), "reading"]
    assert before == open_source(header.with_suffix(".img")).info.identity
    header.write_text(header.read_text() + "\n")
    assert before != open_source(header).info.identity
