"""Traps of WorldView scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import HsikitError, SceneError
from hsikit.scene import Source, read_window
from hsikit.sensors import open_source
from tests.products import worldview as maxar


def cube(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def opened(path: Path, **options) -> Source:
    return open_source(path, inspect=False, **options)


def test_radiance_is_the_calibration_by_the_bandwidth(tmp_path: Path) -> None:
    built = maxar.ortho_ready(tmp_path)
    stored = round(float(built.truth[2, 3, 3]) / (9.713071e-03 / 6.3e-02))
    assert cube(opened(built.path))[2, 3, 3] == pytest.approx(stored * 9.713071e-03 / 6.3e-02, rel=1e-6)


def test_bands_are_those_of_the_metadata_s_groups_in_their_order(tmp_path: Path) -> None:
    """Four bands come as blue, green, red, near infrared, or turned round."""
    bands = {"N": (831.0, 118.0, 1.2e-02, 9.89e-02), **{key: maxar.WV02[key] for key in "RGB"}}
    path = tmp_path / "a.tif"
    stored = maxar.write(path, np.random.default_rng(1), 4, **maxar.PLACE)
    (tmp_path / "a.imd").write_text(maxar.imd(bands))
    source = opened(path)
    assert source.info.bands.names == ("BLUE", "GREEN", "RED", "NIR1")
    np.testing.assert_allclose(cube(source), maxar.radiance(stored, list(bands.values()))[::-1], rtol=1e-6)


def test_the_pan_band_is_had_by_its_role(tmp_path: Path) -> None:
    path = maxar.swir_zip(tmp_path).path
    info = opened(path, role="pan").info
    assert len(info.bands) == 1
    assert info.bands.wavelength[0] == pytest.approx(643.47)
    assert info.quantity == "radiance"


def test_a_tile_is_opened_by_its_own_name(tmp_path: Path) -> None:
    for tile in ("R1C1", "R1C2"):
        maxar.write(tmp_path / f"14MAY03100615-M2AS_{tile}-500000000000_01_P001.TIF", np.random.default_rng(2), 5, **maxar.PLACE)
    (tmp_path / f"{maxar.STEM}.IMD").write_text(maxar.imd(maxar.WV02))
    assert opened(tmp_path / "14MAY03100615-M2AS_R1C2-500000000000_01_P001.TIF").info.driver == "worldview"
    with pytest.raises(SceneError, match="holds 2 tiles"):
        opened(tmp_path)


def test_polynomials_beside_the_image_place_it(tmp_path: Path) -> None:
    maxar.write(tmp_path / "a.tif", np.random.default_rng(3), 5)
    (tmp_path / "a.IMD").write_text(maxar.imd(maxar.WV02, level="LV1B"))
    model = maxar.rpc()
    lists = {"lineNumCoef": model.line_num_coeff, "lineDenCoef": model.line_den_coeff, "sampNumCoef": model.samp_num_coeff, "sampDenCoef": model.samp_den_coeff}
    numbers = {"lineOffset": model.line_off, "sampOffset": model.samp_off, "latOffset": model.lat_off, "longOffset": model.long_off,
               "heightOffset": model.height_off, "lineScale": model.line_scale, "sampScale": model.samp_scale, "latScale": model.lat_scale,
               "longScale": model.long_scale, "heightScale": model.height_scale}  # fmt: skip
    text = "".join(f"\t{key} = {value};\n" for key, value in numbers.items())
    text += "".join("\t{} = (\n\t\t\t{});\n".format(key, ",\n\t\t\t".join(map(str, values))) for key, values in lists.items())
    (tmp_path / "a.RPB").write_text(
        f'satId = "WV02";\nbandId = "Multi";\nSpecId = "RPC00B";\nBEGIN_GROUP = IMAGE\n\terrBias = 1.0;\n\terrRand = 0.1;\n{text}END_GROUP = IMAGE\nEND;\n'
    )
    source = opened(tmp_path / "a.tif")
    assert source.info.swath is not None
    np.testing.assert_allclose(source.info.swath.locate(source.info.grid.whole), maxar.positions(), atol=1e-9)


def test_a_scene_with_an_enhancement_is_no_radiance(tmp_path: Path) -> None:
    path = maxar.ortho_ready(tmp_path).path
    path.with_suffix(".IMD").write_text(maxar.imd(maxar.WV02, enhancement="ACOMP"))
    info = opened(path).info
    assert info.quantity == "dn"
    assert any("ACOMP" in notice for notice in info.notices)


def test_another_satellite_s_tiff_stays_a_plain_tiff(tmp_path: Path) -> None:
    path = maxar.ortho_ready(tmp_path).path
    path.with_suffix(".IMD").write_text(maxar.imd(maxar.WV02, satellite="GE01"))
    assert opened(path, wavelengths=[430, 480, 550, 600, 660]).info.driver == "geotiff"


def test_an_imd_and_an_xml_of_one_image_are_one_scene(tmp_path: Path) -> None:
    built = maxar.ortho_ready(tmp_path)
    built.path.with_suffix(".XML").write_text(maxar.xml(maxar.WV02, "WV02", "LV2A"))
    np.testing.assert_allclose(cube(opened(tmp_path)), built.truth, rtol=1e-6)
    np.testing.assert_allclose(cube(opened(built.path.with_suffix(".XML"))), built.truth, rtol=1e-6)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\tabsCalFactor = 9.713071e-03;\n", ""),
        ("effectiveBandwidth = 6.300000e-02", "effectiveBandwidth = 0"),
        ("absCalFactor = 9.713071e-03", "absCalFactor = nan"),
        ("BAND_G", "BAND_S3"),
        ("BEGIN_GROUP = BAND_Y", "BEGIN_GROUP = SOMETHING"),
    ],
)
def test_damaged_metadata_is_a_scene_error(tmp_path: Path, old: str, new: str) -> None:
    path = maxar.ortho_ready(tmp_path).path
    metadata = path.with_suffix(".IMD")
    assert old in metadata.read_text()
    metadata.write_text(metadata.read_text().replace(old, new))
    with pytest.raises(SceneError):
        opened(path)


def test_truncated_files_are_scene_errors(tmp_path: Path) -> None:
    path = maxar.ortho_ready(tmp_path).path
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(HsikitError):
        cube(opened(path))


def test_without_the_elevation_of_the_satellite_the_view_is_the_one_off_nadir(tmp_path: Path) -> None:
    path = maxar.ortho_ready(tmp_path).path
    metadata = path.with_suffix(".IMD")
    assert opened(path).info.attrs["view_zenith"] == "14.4000"
    metadata.write_text(metadata.read_text().replace("\tmeanSatEl =  75.6;\n", ""))
    assert opened(path).info.attrs["view_zenith"] == "12.7000"
