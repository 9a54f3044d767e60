"""The traps of EnMAP's products."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

from hsikit.errors import GridError, OptionError, SceneError
from hsikit.geo.grid import Grid
from hsikit.scene import read_window
from hsikit.sensors import open_source
from hsikit.sensors.archive import Delivery
from hsikit.sensors.products.enmap import _polynomials, _quality
from hsikit.sensors.products.metadata_xml import Fields
from hsikit.sensors.quality import flag_counts
from tests.products import enmap


def whole(path: Path, **options):
    source = open_source(path, inspect=False, **options)
    values = read_window(source, source.info.grid.whole)
    source.close()
    return source.info, values


@pytest.fixture
def l2a(tmp_path: Path) -> Path:
    return enmap.merged(tmp_path, "L2A").path


def metadata(folder: Path) -> Path:
    return next(folder.glob("*METADATA.XML"))


def replace(folder: Path, *changes: tuple[str, str]) -> None:
    text = metadata(folder).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    metadata(folder).write_text(text)


def test_background_and_bands_differ_before_the_launch_and_in_flight(tmp_path: Path) -> None:
    found = {}
    for before in (False, True):
        folder = tmp_path / str(before)
        folder.mkdir()
        found[before] = whole(enmap.merged(folder, "L2A", before=before).path)[0]
    assert (found[False].nodata, found[True].nodata) == (None, None)  # averaged, so decoded
    assert found[False].bands.wavelength[0] == pytest.approx(418.24)
    assert found[True].bands.wavelength[0] == pytest.approx(423.03)
    kept = {before: whole(tmp_path / str(before), detector_overlap="keep")[0].nodata for before in (False, True)}
    assert kept == {False: -32768, True: 0}


def test_metadata_of_the_official_test_products(tmp_path: Path, shared_data: Path) -> None:
    for level, gain, offset in (("L1C", 2.45729411573e-3, 46.4514843193), ("L2A", 1e-4, 0.0)):
        with zipfile.ZipFile(shared_data / "sensors" / "enmap" / f"enmap_{level}_gtif_qualification.zip") as archive:
            name = next(name for name in archive.namelist() if name.endswith("METADATA.XML"))
            text = archive.read(name)
        folder = tmp_path / level
        folder.mkdir()
        (folder / Path(name).name).write_bytes(text)
        stored = np.arange(218 * 72, dtype=np.int16).reshape(218, 8, 9)
        enmap._write(folder / Path(name).name.replace("METADATA.XML", "SPECTRAL_IMAGE.TIF"), stored)
        info, values = whole(folder, detector_overlap="keep")
        assert (len(info.bands), info.nodata, info.acquired) == (218, 0, "2017-06-26T10:20:20.999936Z")
        assert info.bands.wavelength[[0, 1, 217]] == pytest.approx([423.03, 428.8, 2438.6], abs=0.01)
        assert np.isnan(values[0, 0, 0])
        assert values[0, 0, 1] == pytest.approx(gain + offset, rel=1e-6)
        joined, _ = whole(folder)
        assert len(joined.bands) == 88 + 130 - 8  # eight bands of the SWIR lie within the range of the VNIR


def test_official_test_product_has_empty_images(shared_data: Path) -> None:
    with pytest.raises(SceneError, match=r"SPECTRAL_IMAGE\.TIF"):
        open_source(shared_data / "sensors" / "enmap" / "enmap_L2A_gtif_qualification.zip")


def test_real_layer_of_classes_has_the_share_of_water_that_the_metadata_name(shared_data: Path) -> None:
    delivery = Delivery(shared_data / "sensors" / "enmap" / "enmap_L2A_gtif_qualification.zip")
    name = delivery.need(r".*METADATA\.XML", "its metadata")
    grid = Grid((1212, 1128), (30.0, 0.0, 628785.0, 0.0, -30.0, 5294265.0), "EPSG:32632")
    quality = _quality(delivery, name, grid, {"CLASSES"}, {})
    assert quality is not None
    counts = flag_counts(quality, grid.whole)
    share = 100 * counts["water"] / (grid.whole.size - counts["no-data"])
    assert round(share) == Fields(delivery.xml(name), "test product").number("specific/qualityFlag/waterCover")


def test_real_pixels_of_the_flight(tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shared_data / "classification" / "enmap_potsdam"
    with (folder / "enmap_potsdam_srf.csv").open() as file:
        table = [(float(row["wavelength"]), float(row["fwhm"])) for row in csv.DictReader(file)]
    # The detectors interleave from the first band of the SWIR to the last of the VNIR; there, steps tell them apart.
    swir = [band for band in table if band[0] > 994 or band[0] in (902.257, 911.872, 921.624, 931.512, 941.53, 951.677, 961.948, 972.341, 982.851, 993.475)]
    monkeypatch.setattr(enmap, "FLIGHT", (tuple(band for band in table if band not in swir), tuple(swir)))
    built = enmap.merged(tmp_path, "L2A")
    with rasterio.open(next((folder / "images").glob("*.tif"))) as tile:
        pixels, profile = tile.read(), tile.profile
    with rasterio.open(next(tmp_path.glob("*SPECTRAL_IMAGE.TIF")), "w", **{**profile, "nodata": None}) as target:
        target.write(pixels)
    for layer in tmp_path.glob("*QL_*"):
        layer.unlink()
    source = open_source(built.path, detector_overlap="keep")
    assert (len(source.info.bands), source.info.bands.wavelength[0]) == (224, 418.24)
    values = read_window(source, source.info.grid.whole)
    np.testing.assert_allclose(values, np.where(pixels == -32768, np.nan, pixels * np.float32(1e-4)), rtol=1e-6)
    empty = (pixels == -32768).all(axis=(1, 2))
    assert empty.any()
    assert not source.info.bands.good[empty].any()
    joined = open_source(built.path)
    assert len(joined.info.bands) == 224 - 9  # the last band of the SWIR in the list lies behind the VNIR
    overlap = (joined.info.bands.wavelength > 902) & (joined.info.bands.wavelength < 994)
    spectra = read_window(joined, joined.info.grid.whole)[overlap]
    steps = np.abs(np.diff(spectra, 2, axis=0))
    zigzag = np.abs(np.diff(values[(source.info.bands.wavelength > 902) & (source.info.bands.wavelength < 994)], 2, axis=0))
    assert np.nanmedian(steps) < np.nanmedian(zigzag)


def test_image_wins_over_metadata_on_what_is_missing(tmp_path: Path) -> None:
    built = enmap.merged(tmp_path, "L2A", background=-32768, tag=-32768)
    replace(built.path, ("<backgroundValue>-32768<", "<backgroundValue>0<"))
    info, values = whole(built.path)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(built.truth))
    assert any("the image is followed" in notice for notice in info.notices)


def test_empty_band_becomes_bad_with_one_notice(l2a: Path) -> None:
    replace(l2a, ("<missingChannelsList>2<", "<missingChannelsList><"))
    source = open_source(l2a)
    assert not source.info.bands.good[1]
    assert sum("constant or empty" in notice for notice in source.info.notices) == 1


def test_radiance_is_per_micrometre(tmp_path: Path) -> None:
    info, values = whole(enmap.merged(tmp_path, "L1C").path)
    assert info.units == "W m-2 sr-1 um-1"
    assert 1 < np.nanmedian(values) < 200


def test_detectors_of_level_1b_are_two_scenes_at_two_places(tmp_path: Path) -> None:
    path = enmap.sensor_grid(tmp_path, "vnir").path
    vnir, _ = whole(path)
    swir, _ = whole(path, variable="swir")
    assert len(vnir.bands) == len(swir.bands) == 11
    assert vnir.bands.wavelength[-1] > swir.bands.wavelength[0]
    for info in (vnir, swir):
        assert not info.grid.georeferenced
        assert info.swath is not None
        assert any("not coregistered" in notice for notice in info.notices)
        assert any("--dem" in notice for notice in info.notices)
    rows = [info.swath.locate(info.grid.whole)[1][0, 0] for info in (vnir, swir) if info.swath is not None]
    assert rows[0] - rows[1] == pytest.approx(20 / 500 * 0.125, abs=1e-9)
    with pytest.raises(OptionError, match="no detector"):
        open_source(path, variable="pan")


def test_level_1b_without_polynomials_has_no_place(tmp_path: Path) -> None:
    path = enmap.sensor_grid(tmp_path, "vnir").path
    replace(path, ("<RPC>", "<RPCS>"), ("</RPC>", "</RPCS>"))
    info, _ = whole(path)
    assert info.swath is None
    assert any("no place on a map" in notice for notice in info.notices)


def test_polynomials_of_the_official_test_product(shared_data: Path) -> None:
    delivery = Delivery(shared_data / "sensors" / "enmap" / "enmap_L1C_gtif_qualification.zip")
    fields = Fields(delivery.xml(delivery.need(r".*METADATA\.XML", "its metadata")), "test product")
    corners = {
        point.findtext("frame"): (float(point.findtext("longitude") or ""), float(point.findtext("latitude") or ""))
        for point in fields.root.findall("base/spatialCoverage/boundingPolygon/point")
    }
    found = {}
    for detector, band in (("vnir", 0), ("swir", 88)):
        model = _polynomials(fields, band)
        assert model is not None
        found[detector] = model.to_image(*(np.array([corners[name][axis] for name in ("upper_left", "upper_right")]) for axis in (0, 1)), 1040.0)
    rows, cols = found["vnir"]
    np.testing.assert_allclose(rows, 0, atol=0.1)
    np.testing.assert_allclose(cols, [0, 999], atol=0.5)
    np.testing.assert_allclose(found["vnir"][0] - found["swir"][0], 19.6, atol=0.1)


def test_which_detector_is_not_said(l2a: Path) -> None:
    replace(l2a, ("<swirProductQuality>", "<other>"), ("</swirProductQuality>", "</other>"))
    info, _ = whole(l2a)
    assert len(info.bands) == 22
    assert any("which detector" in notice for notice in info.notices)


def test_folder_of_several_products_is_refused(tmp_path: Path) -> None:
    enmap.merged(tmp_path, "L2A")
    other = metadata(tmp_path)
    other.with_name(other.name.replace("_008_", "_009_")).write_text(other.read_text())
    with pytest.raises(SceneError, match="2 products"):
        open_source(tmp_path)
    assert len(whole(other)[0].bands) > 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<level>L2A<", "<level>L0<"),
        ("<GainOfBand>0.0001<", "<GainOfBand>one<"),
        ('<bandID number="3"><', '<bandID number="3"><FWHMOfBand>1</FWHMOfBand><'),
        (">418.24<", ">618.24<"),
        ("<backgroundValue>-32768</backgroundValue>", ""),
        ("<level_X", "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><level_X"),
        ("</level_X>", ""),
    ],
)
def test_damaged_metadata_are_refused(l2a: Path, old: str, new: str) -> None:
    replace(l2a, (old, new))
    with pytest.raises(SceneError):
        open_source(l2a)


def test_image_that_does_not_fit_its_metadata_is_refused(l2a: Path) -> None:
    enmap._write(next(l2a.glob("*SPECTRAL_IMAGE.TIF")), np.ones((5, enmap.ROWS, enmap.COLS), np.int16))
    with pytest.raises(SceneError, match="5 bands in its image"):
        open_source(l2a)


def test_layers_of_another_size_or_place_are_refused(l2a: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = next(l2a.glob("*QL_QUALITY_HAZE.TIF"))
    with monkeypatch.context() as patch:
        patch.setattr(enmap, "TRANSFORM", enmap.TRANSFORM @ enmap.Affine.translation(0.5, 0.5))
        enmap._write(layer, np.zeros((1, enmap.ROWS, enmap.COLS), np.uint8))
        with pytest.raises(GridError, match="HAZE"):
            open_source(l2a)
        patch.setattr(enmap, "ROWS", 4)
        enmap._write(layer, np.zeros((1, 4, enmap.COLS), np.uint8))
    with pytest.raises(SceneError, match="HAZE"):
        open_source(l2a)


def test_image_without_metadata_is_an_ordinary_raster(l2a: Path) -> None:
    metadata(l2a).unlink()
    source = open_source(next(l2a.glob("*SPECTRAL_IMAGE.TIF")), wavelengths=np.linspace(420, 2450, 22), inspect=False)
    assert source.info.driver == "geotiff"


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_image_is_refused(l2a: Path, share: float) -> None:
    image = next(l2a.glob("*SPECTRAL_IMAGE.TIF"))
    image.write_bytes(image.read_bytes()[: int(image.stat().st_size * share)])
    with pytest.raises(SceneError):
        whole(l2a)


def test_what_the_product_has_not_is_refused(l2a: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"'swir' is nothing.*pixelmask"):
        open_source(l2a, variable="swir")
    with pytest.raises(SceneError, match="lacks its raster QL_PIXELMASK"):
        open_source(l2a, variable="pixelmask")
    folder = tmp_path / "l1b"
    folder.mkdir()
    with pytest.raises(OptionError, match="vnir-pixelmask"):
        open_source(enmap.sensor_grid(folder, "vnir").path, variable="vnir-quality")


def test_a_user_s_scale_wins_over_that_of_the_pixelmask(tmp_path: Path) -> None:
    built = enmap.pixelmask(tmp_path, "L2A")
    np.testing.assert_array_equal(whole(built.path, variable="PIXELMASK", scale=3.0)[1], 3 * built.truth)
