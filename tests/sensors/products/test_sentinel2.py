"""Traps of Sentinel-2 products."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import HsikitError, OptionError, SceneError
from hsikit.scene import QUALITY_FLAGS, Source, read_window
from hsikit.sensors import open_source
from tests.products import sentinel2 as msi

CLOUDS = f"{msi.GRANULE}/QI_DATA/MSK_CLOUDS_B00.gml"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return msi.level_1(tmp_path_factory.mktemp("msi"), raster_masks=False).path


@pytest.fixture
def copy(product: Path, tmp_path: Path) -> Path:
    return shutil.copytree(product, tmp_path / product.name)


def cube(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def whole_quality(source: Source) -> np.ndarray:
    assert source.info.quality is not None
    return source.info.quality.read(source.info.grid.whole)


def opened(path: Path, **options) -> Source:
    return open_source(path, inspect=False, **options)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_offset_comes_from_the_metadata_never_from_the_date(copy: Path) -> None:
    with_offset = cube(opened(copy))
    metadata = copy / "MTD_MSIL1C.xml"
    edit(metadata, "2017-12-07", "2023-12-07")
    np.testing.assert_array_equal(cube(opened(copy)), with_offset)
    text = metadata.read_text()
    first, last = text.index("<Radiometric_Offset_List>"), text.index("</Radiometric_Offset_List>")
    metadata.write_text(text[:first] + text[last + len("</Radiometric_Offset_List>") :])
    offsets = np.array([msi.OFFSETS[number] for number, *_ in sorted(msi.BANDS, key=lambda band: band[5])]) / 10000
    np.testing.assert_allclose(cube(opened(copy)) + offsets[:, None, None], with_offset, atol=1e-6)
    assert any("names no offset" in notice for notice in opened(copy).info.notices)
    edit(metadata, ">04.00<", ">03.01<")
    assert not any("offset" in notice for notice in opened(copy).info.notices)


def test_the_divisor_comes_from_the_metadata(copy: Path) -> None:
    usual = cube(opened(copy))
    edit(copy / "MTD_MSIL1C.xml", ">10000</QUANTIFICATION_VALUE>", ">20000</QUANTIFICATION_VALUE>")
    np.testing.assert_allclose(2 * cube(opened(copy)), usual, rtol=1e-5)


@pytest.mark.parametrize("resolution", [10, 20, 60])
def test_three_grids_meet_on_one_corner(tmp_path: Path, resolution: int) -> None:
    built = msi.level_1(tmp_path, resolution)
    source = opened(built.path, resolution=resolution)
    assert source.info.grid.transform == (resolution, 0.0, msi.LEFT, 0.0, -resolution, msi.TOP)
    assert source.info.grid.shape == msi.shape_of(resolution)
    np.testing.assert_allclose(cube(source), built.truth, rtol=1e-5, atol=1e-6)


def test_a_resolution_that_is_not_delivered_is_refused(product: Path) -> None:
    with pytest.raises(OptionError, match="10, 20 and 60 m, not 30"):
        opened(product, resolution=30)


def test_saturated_numbers_are_missing_and_flagged(tmp_path: Path) -> None:
    path = msi.level_1(tmp_path).path
    stored = np.full(msi.shape_of(10), 3000, np.uint16)
    stored[0, 0] = 65535  # one of four: the mean is that of the others
    stored[2:4, 2:4] = 65535
    msi.write_jp2(path / msi.GRANULE / "IMG_DATA" / "T55JEJ_20171207T002051_B02.jp2", stored, 10)
    source = opened(path)
    blue = cube(source)[source.info.bands.names.index("B2")]
    assert blue[0, 0] == pytest.approx((3000 + msi.OFFSETS[1]) / 10000)
    assert np.isnan(blue[1, 1])
    assert np.isfinite(blue).sum() == blue.size - 1
    assert source.info.quality is not None
    flags = source.info.quality.read(source.info.grid.whole)
    assert flags[0, 0] & flags[1, 1] & QUALITY_FLAGS["saturated"]


def test_centres_are_the_product_s_own(product: Path) -> None:
    bands = opened(product).info.bands
    assert bands.wavelength[bands.names.index("B2")] == 496.6  # published tables say 492.7
    expected = [msi.fwhm_of(low, high) for *_, low, high, _ in sorted(msi.BANDS, key=lambda band: band[5])]
    np.testing.assert_allclose(bands.fwhm, expected, rtol=0.01)


def test_a_renamed_metadata_file_opens(copy: Path) -> None:
    renamed = (copy / "MTD_MSIL1C.xml").rename(copy / "metadata.xml")
    assert opened(renamed).info.driver == "sentinel-2"


def test_rasters_without_georeference_lie_where_the_tile_says(copy: Path) -> None:
    for file in sorted((copy / msi.GRANULE / "IMG_DATA").iterdir()):
        data = file.read_bytes()
        for box in (b"uuid", b"asoc"):  # free boxes: a reader passes over them
            data = data.replace(box, b"free")
        file.write_bytes(data)
    grid = opened(copy).info.grid
    assert grid.transform == (20.0, 0.0, msi.LEFT, 0.0, -20.0, msi.TOP)
    assert grid.crs == msi.CRS


def test_a_place_at_odds_with_the_metadata_is_told(copy: Path) -> None:
    edit(copy / msi.GRANULE / "MTD_TL.xml", "<ULX>499980</ULX>", "<ULX>399960</ULX>")
    info = opened(copy).info
    assert info.grid.transform[2] == msi.LEFT
    assert any("the rasters' own grid is used" in notice for notice in info.notices)


def test_a_missing_band_is_named(copy: Path) -> None:
    (copy / msi.GRANULE / "IMG_DATA" / "T55JEJ_20171207T002051_B05.jp2").unlink()
    with pytest.raises(SceneError, match=r"lacks .*_B05\.jp2"):
        opened(copy)


def test_a_band_without_an_image_in_the_metadata_is_named(copy: Path) -> None:
    edit(next(copy.glob("MTD_MSIL1C.xml")), "_B05</IMAGE_FILE>", "_C05</IMAGE_FILE>")
    with pytest.raises(SceneError, match="names no image of B5 in its metadata"):
        opened(copy)


def test_a_band_that_the_metadata_does_not_describe_is_named(copy: Path) -> None:
    edit(next(copy.glob("MTD_MSIL1C.xml")), 'physicalBand="B5"', 'physicalBand="B15"')
    with pytest.raises(SceneError, match="describes no B05 in its metadata"):
        opened(copy)


def test_a_folder_with_two_products_is_refused(product: Path, tmp_path: Path) -> None:
    for name in ("a.SAFE", "b.SAFE"):
        shutil.copytree(product, tmp_path / name)
    with pytest.raises(SceneError, match="holds 2 products"):
        opened(tmp_path)


def test_a_path_out_of_the_product_is_not_followed(copy: Path) -> None:
    (copy.parent / "T55JEJ_20171207T002051_B05.jp2").write_bytes(b"elsewhere")
    edit(copy / "MTD_MSIL1C.xml", f"{msi.GRANULE}/IMG_DATA/T55JEJ_20171207T002051_B05", "../T55JEJ_20171207T002051_B05")
    with pytest.raises(SceneError, match="lacks"):
        opened(copy)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("MTD_MSIL1C.xml", "10000</QUANT", "ten thousand</QUANT"),
        ("MTD_MSIL1C.xml", "10000</QUANT", "0</QUANT"),
        ("MTD_MSIL1C.xml", "-1000</RADIO", "minus</RADIO"),
        ("MTD_MSIL1C.xml", "<CENTRAL", "<SOMEWHERE"),
        ("MTD_MSIL1C.xml", "<SPACECRAFT_NAME>", "<SPACECRAFT>"),
        (f"{msi.GRANULE}/MTD_TL.xml", "<ULX>499980", "<ULX>nan"),
        (f"{msi.GRANULE}/MTD_TL.xml", "Geoposition", "Place"),
        (CLOUDS, "120.5", ""),
        (CLOUDS, 'srsDimension="3"', 'srsDimension="7"'),
        (CLOUDS, "<eop:Mask ", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><eop:Mask '),
    ],
)
def test_damaged_metadata_is_a_scene_error(copy: Path, file: str, old: str, new: str) -> None:
    edit(copy / file, old, new)
    with pytest.raises(SceneError):
        whole_quality(opened(copy))


def test_truncated_rasters_are_a_scene_error(copy: Path) -> None:
    file = copy / msi.GRANULE / "IMG_DATA" / "T55JEJ_20171207T002051_B05.jp2"
    data = file.read_bytes()
    for length in (0, 10, len(data) // 3):
        file.write_bytes(data[:length])
        with pytest.raises(HsikitError):
            cube(opened(copy))


def test_one_of_several_tiles_must_be_named(tmp_path: Path) -> None:
    built = msi.level_1_of_2016(tmp_path)
    with pytest.raises(OptionError, match=r"has 2 tiles.*Name one of T53HLA, T55JEJ"):
        opened(built.path)
    with pytest.raises(OptionError, match=r"no tile 'T99XXX'"):
        opened(built.path, variable="T99XXX")
    by_file = opened(next(built.path.glob("S2A_OPER_MTD_SAFL1C_*.xml")), variable="55jej")
    np.testing.assert_array_equal(cube(by_file), cube(opened(built.path, variable="T55JEJ")))
    assert not np.array_equal(cube(by_file), cube(opened(built.path, variable="T53HLA")), equal_nan=True)


def test_a_product_of_2016_with_one_tile_opens_by_itself(tmp_path: Path) -> None:
    built = msi.level_1_of_2016(tmp_path)
    shutil.rmtree(next((built.path / "GRANULE").glob("*_T53HLA_*")))
    np.testing.assert_allclose(cube(opened(built.path)), built.truth, atol=1e-6)


def test_a_band_s_mask_of_another_band_than_the_scene_s_does_not_count(tmp_path: Path) -> None:
    built = msi.level_2(tmp_path)
    before = whole_quality(opened(built.path))
    masks = next(built.path.glob("GRANULE/*/QI_DATA"))
    msi.write_jp2(masks / "MSK_QUALIT_B10.jp2", np.ones((8, *msi.shape_of(60)), np.uint8), 60)  # Level 2A has no band 10
    np.testing.assert_array_equal(whole_quality(opened(built.path)), before)


def test_a_mask_with_too_few_layers_is_a_scene_error(copy: Path) -> None:
    msi.write_jp2(copy / msi.GRANULE / "QI_DATA" / "MSK_QUALIT_B02.jp2", np.ones((6, *msi.shape_of(10)), np.uint8), 10)
    with pytest.raises(SceneError, match="has 6 layers, and 8 are expected"):
        opened(copy)


def test_the_real_product_opens_in_its_zip(shared_data: Path) -> None:
    source = opened(next((shared_data / "sensors").glob("S2A_MSIL1C_*.zip")))
    info = source.info
    assert (info.driver, info.sensor, info.quantity, info.acquired) == ("sentinel-2", "sentinel-2a", "toa_reflectance", "2017-12-07T00:22:52.127Z")
    assert info.bands.names[:3] == ("B1", "B2", "B3")
    assert info.bands.wavelength[1] == 496.6
    assert info.bands.fwhm[7] == pytest.approx(115.5, abs=0.1)  # B8 by the response in the metadata; later tables say 105
    assert info.grid.transform[2] == 499980.0
    assert info.grid.transform[5] == 6900040.0
    assert info.grid.crs == "EPSG:32755"
    # its imagery is a placeholder: 86 pixels of 1280 m where the metadata says 5490 of 20 m
    assert info.grid.shape == (86, 86)
    assert any("1280" in notice for notice in info.notices)
    values = cube(source)
    assert values[info.bands.names.index("B5"), 0, 0] == pytest.approx(0.1408)
    assert values[info.bands.names.index("B1"), 0, 0] == pytest.approx(0.1152)
    assert info.quality is not None
    assert not (info.quality.read(info.grid.whole) & QUALITY_FLAGS["cloud"]).any()
    assert info.attrs["processor_version"] == "baseline 02.06"
    assert float(info.attrs["view_zenith"]) == pytest.approx(8.3, abs=1.5)
