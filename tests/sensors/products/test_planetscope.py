"""Traps of PlanetScope scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from hsikit.errors import HsikitError, SceneError
from hsikit.scene import Source, read_window
from hsikit.sensors import open_source
from tests.products import planetscope as planet


def cube(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def opened(path: Path, **options) -> Source:
    return open_source(path, inspect=False, **options)


def test_coefficients_go_by_the_number_of_their_band_not_by_their_place(tmp_path: Path) -> None:
    built = planet.top_of_atmosphere(tmp_path)
    text = next(tmp_path.glob("*.xml")).read_text()
    assert text.index("<ps:bandNumber>4<") < text.index("<ps:bandNumber>1<")
    np.testing.assert_allclose(cube(opened(built.path)), built.truth, rtol=1e-6)


def test_surface_reflectance_is_known_by_its_tag_under_another_name(tmp_path: Path) -> None:
    planet.surface(tmp_path)
    path = next(tmp_path.glob("*_SR_*.tif")).rename(tmp_path / f"{planet.STEM}_3B_AnalyticMS_x.tif")
    info = opened(path).info
    assert info.quantity == "surface_reflectance"
    assert info.quality is not None


def test_a_scene_without_its_mask_says_nothing_of_quality(tmp_path: Path) -> None:
    planet.surface(tmp_path)
    next(tmp_path.glob("*udm2*")).unlink()
    assert opened(tmp_path).info.quality is None


def test_another_instrument_is_refused(tmp_path: Path) -> None:
    built = planet.top_of_atmosphere(tmp_path)
    next(tmp_path.glob("*.xml")).write_text(planet.metadata("L3B", 4, instrument="PS2"))
    with pytest.raises(SceneError, match="instrument PS2"):
        opened(built.path)


def test_two_images_need_a_choice(tmp_path: Path) -> None:
    planet.surface(tmp_path)
    planet.write(tmp_path / f"{planet.STEM}_3B_AnalyticMS_8b_clip.tif", np.ones((8, planet.ROWS, planet.COLS), np.uint16), **planet.PLACE)
    with pytest.raises(SceneError, match="has 2 images"):
        opened(tmp_path)
    assert opened(tmp_path / f"{planet.STEM}_3B_AnalyticMS_8b_clip.tif").info.quantity == "toa_reflectance"
    assert opened(next(tmp_path.glob("*_SR_*.tif"))).info.quantity == "surface_reflectance"


def test_a_mask_on_another_grid_is_refused(tmp_path: Path) -> None:
    planet.surface(tmp_path)
    planet.write(next(tmp_path.glob("*udm2*")), np.zeros((8, 3, 3), np.uint8), **planet.PLACE)
    with pytest.raises(HsikitError, match="udm2"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<ps:bandNumber>3<", "<ps:bandNumber>2<"),
        ("<ps:reflectanceCoefficient>2.3e-05<", "<ps:reflectanceCoefficient>none<"),
        ("<ps:reflectanceCoefficient>2.3e-05<", "<ps:reflectanceCoefficient>-1<"),
        ("bandSpecificMetadata", "bandMetadata"),
        ("</ps:EarthObservation>", ""),
        ("<ps:EarthObservation ", '<!DOCTYPE a [<!ENTITY b "c">]><ps:EarthObservation '),
    ],
)
def test_damaged_metadata_is_a_scene_error(tmp_path: Path, old: str, new: str) -> None:
    built = planet.top_of_atmosphere(tmp_path)
    path = next(tmp_path.glob("*.xml"))
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SceneError):
        opened(built.path)


def test_an_image_without_its_metadata_is_a_plain_tiff(tmp_path: Path) -> None:
    built = planet.top_of_atmosphere(tmp_path)
    next(tmp_path.glob("*.xml")).unlink()
    assert opened(built.path, sensor="planetscope-0e").info.driver == "geotiff"


def test_a_description_that_tells_no_algorithm_leaves_planet_s_own(tmp_path: Path) -> None:
    built = planet.surface(tmp_path)
    image = next(tmp_path.glob("*_SR_*.tif"))
    for description in ('{"atmospheric_correction": {}}', '{"atmospheric_correction": 3}', "atmospheric_correction: yes"):
        with rasterio.open(image, "r+") as file:
            file.update_tags(TIFFTAG_IMAGEDESCRIPTION=description)
        assert opened(built.path).info.attrs["correction"] == "atmosphere (6S)"
