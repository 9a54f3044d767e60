"""Every trap of a scene, built, found, and told with its cure; and scenes without any."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio

from hsikit.api import check
from hsikit.check import Finding, check_scene
from hsikit.errors import SceneError
from hsikit.geo.grid import Grid
from hsikit.geo.swath import ArrayTable, swath_of_arrays
from hsikit.scene import Bands, Decoding, Handled, PlaceDoubt, SceneInfo
from hsikit.sensors.array import ArraySource
from hsikit.sensors.catalogue import sensor_bands
from tests.products import neon, prisma
from tests.products.envi import write_envi
from tests.products.geotiff import write_geotiff

SHAPE = (30, 24)
PLACE = Grid(SHAPE, (30.0, 0.0, 365_000.0, 0.0, -30.0, 5_808_000.0), "EPSG:32633")
CENTRES = np.array([*np.arange(420.0, 1345, 25), *np.arange(1450.0, 1790, 25), *np.arange(1960.0, 2440, 25)])


COUNT = len(CENTRES)


def reflectance(count=COUNT, seed=0):
    """Values between nearly 0 and 0.6."""
    rng = np.random.default_rng(seed)
    return (0.6 * rng.beta(1.2, 3.0, (1, *SHAPE)) * np.linspace(0.7, 1.0, count)[:, None, None] + 0.001 * rng.random((count, *SHAPE))).astype(np.float32)


def bands(centres=CENTRES, width=10.0, good=None):
    names = tuple(f"band {k}" for k in range(len(centres)))
    return Bands(np.asarray(centres, float), np.full(len(centres), width), np.ones(len(centres), bool) if good is None else good, names)


def found(values, name, *, axis=None, quantity="surface_reflectance", decoding=None, grid=PLACE, **facts) -> Finding:
    """What one check says of a scene in memory."""
    info = SceneInfo("scene.tif", grid, axis or bands(), str(values.dtype), "array", quantity=quantity, **facts)
    return {finding.name: finding for finding in check_scene(ArraySource(values, info, decoding))}[name]


def test_a_good_scene_passes_everything():
    info = SceneInfo("scene.tif", PLACE, bands(), "float32", "array", quantity="surface_reflectance")
    assert {finding.state for finding in check_scene(ArraySource(reflectance(), info))} == {"pass", "skip"}


@pytest.mark.parametrize(
    ("factor", "quantity", "cure"),
    [
        (1e4, "surface_reflectance", "--scale 0.0001"),
        (100, "toa_reflectance", "--scale 0.01"),
        (1e-4, "surface_reflectance", "--scale 1"),
        (1e4, "radiance", "--scale with the product's factor"),
        (1, "radiance", "--scale 10"),
        (100, "brightness_temperature", "--scale and --offset"),
    ],
)
def test_wrong_scales(factor, quantity, cure):
    finding = found(reflectance() * np.float32(factor), "scale", quantity=quantity)
    assert finding.state == "warn" and finding.cure.startswith(cure)


@pytest.mark.parametrize(("factor", "quantity"), [(1, "surface_reflectance"), (1000, "radiance"), (700, "brightness_temperature")])
def test_right_scales(factor, quantity):
    assert found(reflectance() * np.float32(factor), "scale", quantity=quantity).state == "pass"


@pytest.mark.parametrize(
    ("values", "cure"),
    [
        ((reflectance() * 1e4).astype(np.int16), "--scale 0.0001 --quantity surface_reflectance"),
        (reflectance(), "--quantity surface_reflectance (or toa"),
        ((reflectance() * 100).astype(np.uint8), "--quantity surface_reflectance (or radiance"),
    ],
)
def test_an_unknown_quantity(values, cure):
    finding = found(values, "quantity", quantity="dn")
    assert finding.state == "warn" and finding.cure.startswith(cure)
    assert found(values, "quantity", quantity="radiance").state == "pass"


def test_offsets_left_in_and_applied_twice():
    finding = found(reflectance() + np.float32(0.1), "offset")
    assert finding.state == "warn" and finding.cure.startswith("--offset -0.1") and "Sentinel-2" in finding.what
    finding = found(reflectance() - np.float32(0.1), "offset")
    assert finding.state == "warn" and "negative" in finding.what and finding.cure.startswith("--offset 0")
    assert found(reflectance(), "offset").state == "pass"
    assert found(reflectance() - np.float32(0.1), "offset", quantity="radiance").state == "skip"


def test_bright_ground_is_no_offset():
    desert = reflectance() + np.linspace(0.1, 0.35, len(CENTRES), dtype=np.float32)[:, None, None]
    assert found(desert, "offset").state == "pass"


def test_an_undeclared_fill_value_is_told_as_it_is_stored():
    stored = (reflectance() * 1e4).astype(np.int16)
    stored[:, :5] = -32768
    finding = found(stored, "undeclared fill", decoding=Decoding(1e-4))
    assert finding.state == "warn" and finding.cure == "--nodata -32768" and finding.what.startswith("16.7%")
    assert found(stored, "undeclared fill", decoding=Decoding(1e-4), nodata=-32768.0).state == "pass"


def test_mostly_missing_scenes():
    values = reflectance()
    values[:, :20] = np.nan
    finding = found(values, "missing pixels")
    assert finding.state == "warn" and finding.what.startswith("67%")
    assert found(np.full_like(values, np.nan), "missing pixels").state == "warn"
    assert found(np.full_like(values, np.nan), "scale").state == "skip"


def test_empty_and_constant_bands():
    values = reflectance()
    values[3], values[7] = 0.2, np.nan
    finding = found(values, "empty bands")
    assert finding.state == "warn" and "2 bands are constant or empty (band 3, band 7)" in finding.what
    good = np.ones(len(CENTRES), bool)
    good[[3, 7]] = False
    finding = found(values, "empty bands", axis=bands(good=good))
    assert finding.state == "pass" and "2 are marked as bad" in finding.what


def test_water_vapour_that_is_not_marked():
    centres = np.arange(420.0, 2450, 25)
    finding = found(reflectance(len(centres)), "water vapour", axis=bands(centres))
    assert finding.state == "warn" and "band 38" in finding.what and "column good" in finding.cure
    dark = (centres > 1340) & (centres < 1430) | (centres > 1800) & (centres < 1950)
    assert found(reflectance(len(centres)), "water vapour", axis=bands(centres, good=~dark)).state == "pass"
    assert found(reflectance(13), "water vapour", axis=bands(np.linspace(440, 1375, 13))).state == "skip"


def test_radiance_of_a_product_passes_unless_the_user_brings_the_bands_back(tmp_path: Path):
    built = neon.radiance(tmp_path)
    assert {one.name: one for one in check(built.path)}["water vapour"].state == "pass"
    table = tmp_path / "bands.csv"
    table.write_text("\n".join(["wavelength,good", *(f"{nm},1" for nm in built.wavelength)]))
    told = check(built.path, wavelengths=table)
    assert {one.name: one for one in told}["water vapour"].state == "warn"
    assert not any("will not be used" in one.what for one in told)


def test_two_detectors_kept_twice():
    centres = np.sort(np.r_[np.arange(420.0, 1000, 7), np.arange(923.0, 1300, 8)])
    finding = found(reflectance(len(centres)), "overlapping detectors", axis=bands(centres))
    assert finding.state == "warn" and finding.cure.startswith("--wavelengths FILE.csv") and "between 9" in finding.what
    once = np.r_[np.arange(420.0, 1000, 7), np.arange(1003.0, 1300, 9)]
    assert found(reflectance(len(once)), "overlapping detectors", axis=bands(once)).state == "pass"


@pytest.mark.parametrize(("shift", "state"), [(0.0, "pass"), (1.0, "pass"), (5.0, "warn")])
def test_centres_off_the_sensors_table(shift, state):
    table = sensor_bands("enmap")
    axis = Bands(np.sort(table.wavelength) + shift, table.fwhm, np.ones(len(table.fwhm), bool), tuple(map(str, range(len(table.fwhm)))))
    finding = found(reflectance(len(axis)), "sensor's table", axis=axis, sensor="enmap")
    assert finding.state == state and (state == "pass" or "width: 5.0 nm" in finding.what)


def test_tables_that_cannot_be_compared():
    assert found(reflectance(), "sensor's table").state == "skip"
    assert found(reflectance(), "sensor's table", sensor="a toy").state == "skip"
    few = bands([560.0, 900.0], width=20.0)
    finding = found(reflectance(2), "sensor's table", axis=few, sensor="sentinel-2")
    assert finding.state == "pass" and finding.what.startswith("1 centres")


def test_layers_without_wavelengths():
    assert found(reflectance(3), "wavelengths", axis=bands([np.nan] * 3)).state == "skip"


def test_bands_out_of_order_and_equal(tmp_path: Path):
    nm = np.linspace(450, 2400, 30)[::-1].copy()
    nm[4] = nm[5]
    path = write_geotiff(tmp_path / "scene.tif", (reflectance(30) * 1e4).astype(np.int16), nm, scale=1e-4)
    told = {finding.name: finding for finding in check(path)}
    assert told["band order"].state == "warn" and told["equal wavelengths"].state == "warn" and told["equal wavelengths"].what.startswith("1 bands")
    path = write_geotiff(tmp_path / "good.tif", (reflectance(30) * 1e4).astype(np.int16), np.linspace(450, 2400, 30), scale=1e-4)
    told = {finding.name: finding for finding in check(path)}
    assert told["band order"].state == told["equal wavelengths"].state == told["half a pixel"].state == told["corner or centre"].state == "pass"


def test_scenes_without_a_place():
    assert found(reflectance(), "CRS", grid=Grid(SHAPE)).cure.startswith("Georeference it")
    assert "gdal_edit.py -a_srs" in found(reflectance(), "CRS", grid=Grid(SHAPE, PLACE.transform)).cure
    assert found(reflectance(), "CRS").what == "EPSG:32633"


@pytest.mark.parametrize(
    ("across", "down", "words"), [(0.5, -0.5, "corner of the first pixel for its centre"), (3.0, 0.0, "one of them is wrong"), (0.0, 0.0, "")]
)
def test_a_world_file_that_disagrees(tmp_path: Path, across, down, words):
    path = write_envi(tmp_path / "scene.hdr", (reflectance(8) * 1e4).astype(np.int16), wavelength=list(np.linspace(450, 900, 8)),
                      map_info=["UTM", 1, 1, 365000, 5808000, 30, 30, 33, "North", "WGS-84"])  # fmt: skip
    step = 30.0
    (tmp_path / "scene.wld").write_text(f"{step}\n0\n0\n-{step}\n{365000 + step * (0.5 + across)}\n{5808000 - step * (0.5 + down)}\n")
    finding = {one.name: one for one in check(path)}["half a pixel"]
    assert finding.state == ("warn" if words else "pass") and words in finding.what and "scene.wld" in finding.what
    assert not words or f"{across:+.2f} columns and {down:+.2f} rows" in finding.what


def test_a_side_car_that_moves_a_geotiff(tmp_path: Path):
    path = write_geotiff(tmp_path / "scene.tif", (reflectance(8) * 1e4).astype(np.int16), scale=1e-4)
    Path(f"{path}.aux.xml").write_text("<PAMDataset><GeoTransform>365015, 30, 0, 5807985, 0, -30</GeoTransform></PAMDataset>")
    finding = {one.name: one for one in check(path)}["half a pixel"]
    assert finding.state == "warn" and "corner of the first pixel for its centre" in finding.what and finding.what.startswith("the GeoTIFF's own tags")


DOCTYPE = "<!DOCTYPE a [<!ENTITY b 'c'>]><PAMDataset>&b;</PAMDataset>"


@pytest.mark.parametrize("text", [DOCTYPE, "<PAM", "<PAMDataset><GeoTransform>1,2</GeoTransform></PAMDataset>"])
def test_side_cars_that_say_nothing(tmp_path: Path, text):
    path = write_envi(tmp_path / "scene.hdr", (reflectance(8) * 1e4).astype(np.int16), wavelength=list(np.linspace(450, 900, 8)),
                      map_info=["UTM", 1, 1, 365000, 5808000, 30, 30, 33, "North", "WGS-84"])  # fmt: skip
    Path(f"{path}.aux.xml").write_text(text)
    (tmp_path / "scene.wld").write_text("no numbers here")
    assert {one.name: one for one in check(path)}["half a pixel"].state == "pass"


def test_notices_of_the_reader_are_told():
    info = SceneInfo("scene.tif", PLACE, bands(), "float32", "array", quantity="surface_reflectance")
    doubts = ("its metadata names no offset; none is added (--offset)", "its bands (all) are odd")
    told = check_scene(ArraySource(reflectance(), info.with_(notices=(*doubts, Handled("38 bands will not be used")))))
    found = [finding for finding in told if finding.name == "reader's notice"]
    assert [finding.state for finding in found] == ["warn", "warn", "pass"]
    assert [finding.what for finding in found] == [*doubts, "38 bands will not be used"]
    assert found[0].cure == "--offset" and "hsikit info" in found[1].cure


@pytest.mark.parametrize("place", [{}, {"grid": Grid(SHAPE)}])
def test_a_place_told_in_two_ways_is_no_pass(place):
    info = SceneInfo("scene.tif", PLACE, bands(), "float32", "array", quantity="surface_reflectance", notices=(PlaceDoubt("here, and there"),))
    told = {finding.name: finding for finding in check_scene(ArraySource(reflectance(), info.with_(**place)))}
    assert told["half a pixel"].state == "warn" and told["half a pixel"].what == "here, and there" and told["half a pixel"].cure
    assert told["reader's notice"].state == "pass"


def test_products_that_contradict_themselves(tmp_path: Path, shared_data: Path):
    told = {finding.name: finding for finding in check(next((shared_data / "sensors").glob("S2A_MSIL1C_*.zip")))}
    assert told["half a pixel"].state == "warn" and "the rasters' own grid is used" in told["half a pixel"].what
    path = prisma.product(tmp_path, "2D", centres=False).path
    assert {finding.name: finding for finding in check(path)}["half a pixel"].state == "pass"
    extents_of_centres(path)
    told = [finding for finding in check(path) if finding.state == "warn"]
    assert any("the positions are followed" in finding.what and finding.name == "half a pixel" for finding in told)


def extents_of_centres(path: Path) -> None:
    """Gives a PRISMA product extents of the size that they have between corners, measured from a pixel's centre."""
    with h5py.File(path, "r+") as file:
        for axis, shift in (("easting", 15), ("northing", -15)):
            for corner in ("UL", "UR", "LL", "LR"):
                name = f"Product_{corner}corner_{axis}"
                file.attrs[name] = file.attrs[name] + shift


def test_a_geotiff_of_points(tmp_path: Path):
    path = write_geotiff(tmp_path / "scene.tif", (reflectance(8) * 1e4).astype(np.int16), scale=1e-4)
    with rasterio.open(path, "r+") as file:
        file.update_tags(AREA_OR_POINT="Point")
    assert {one.name: one for one in check(path)}["corner or centre"].state == "warn"


def granule(table=None):
    lon, lat = np.meshgrid(12 + 0.0005 * (np.arange(SHAPE[1]) + 0.5), 52 - 0.0005 * (np.arange(SHAPE[0]) + 0.5))
    return {"grid": Grid(SHAPE), "swath": swath_of_arrays(lon, lat, table)}


def table_shifted(cols=0.0, rows=0.0):
    """A table of each measurement's own pixel, whose map is shifted."""
    index = np.indices(SHAPE).astype(np.int32)
    return ArrayTable(Grid(SHAPE, (0.0005, 0.0, 12 + cols * 0.0005, 0.0, -0.0005, 52 - rows * 0.0005), "EPSG:4326"), index[0], index[1])


def test_swaths_with_and_without_a_table():
    assert found(reflectance(), "CRS", **granule()).state == "pass"
    assert found(reflectance(), "lookup table", **granule()).cure.startswith("--radius")
    assert found(reflectance(), "lookup table", **granule(table_shifted())).state == "pass"
    assert found(reflectance(), "lookup table").state == "skip"


@pytest.mark.parametrize(("cols", "rows", "state"), [(0.0, 0.0, "pass"), (0.2, -0.1, "pass"), (0.5, 0.5, "warn"), (0.0, 1.0, "warn")])
def test_tables_and_positions_that_disagree(cols, rows, state):
    finding = found(reflectance(), "table and positions", **granule(table_shifted(cols, rows)))
    assert finding.state == state and f"{0 - cols:+.2f} columns and {0 - rows:+.2f} rows" in finding.what


def test_a_damaged_scene_is_an_error(tmp_path: Path):
    path = write_geotiff(tmp_path / "scene.tif", (reflectance(8) * 1e4).astype(np.int16), scale=1e-4)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(SceneError):
        check(path)


def test_real_landsat_and_emit(shared_data: Path):
    told = {finding.name: finding for finding in check(shared_data / "sensors" / "landsat8_l1tp_mini")}
    assert told["quantity"].state == told["scale"].state == told["offset"].state == told["sensor's table"].state == "pass"
    told = {finding.name: finding for finding in check(next((shared_data / "sensors" / "emit").glob("EMIT_L1B_OBS*.nc")))}
    assert told["lookup table"].state == told["table and positions"].state == "pass" and told["wavelengths"].state == "skip"
