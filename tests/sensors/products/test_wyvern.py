"""Traps of Wyvern's scenes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsikit.errors import SceneError
from hsikit.scene import Source, read_window
from hsikit.sensors import open_source
from tests.products import wyvern
from tests.products.geotiff import write_geotiff


def cube(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def opened(path: Path, **options) -> Source:
    return open_source(path, inspect=False, **options)


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    item = json.loads(path.read_text())
    change(item)
    path.write_text(json.dumps(item))


def image_of(item: Any) -> Any:
    return item["assets"]["Cloud optimized GeoTiff"]


def test_pixels_of_level_1_are_not_square(tmp_path: Path) -> None:
    grid = opened(wyvern.level_1(tmp_path).path).info.grid
    assert grid.crs == "EPSG:4326"
    assert grid.pixel_size == pytest.approx((5.86e-5, 4.49e-5))
    assert (grid.transform[2], grid.transform[5]) == (-97.5, 40.0)


def test_level_2_is_scaled_and_says_that_it_is_not_orthorectified(tmp_path: Path) -> None:
    info = opened(wyvern.level_2(tmp_path).path).info
    assert (info.dtype, info.nodata, info.quantity) == ("uint16", 0, "surface_reflectance")
    assert any("not orthorectified" in notice for notice in info.notices)


def test_the_item_opens_its_image(tmp_path: Path) -> None:
    built = wyvern.level_1(tmp_path)
    np.testing.assert_array_equal(cube(opened(built.path.with_suffix(".json"))), built.truth)
    np.testing.assert_array_equal(cube(opened(tmp_path)), built.truth)


def test_a_renamed_pair_opens(tmp_path: Path) -> None:
    built = wyvern.level_1(tmp_path)
    for suffix in (".tiff", ".json"):
        built.path.with_suffix(suffix).rename(tmp_path / f"field{suffix}")
    np.testing.assert_array_equal(cube(opened(tmp_path / "field.tiff")), built.truth)
    np.testing.assert_array_equal(cube(opened(tmp_path / "field.json")), built.truth)


def test_the_scale_and_offset_are_the_item_s(tmp_path: Path) -> None:
    built = wyvern.level_1(tmp_path)

    def change(item: Any) -> None:
        for number, raster in enumerate(image_of(item)["raster:bands"]):
            raster |= {"scale": number + 1.0, "offset": 10.0 * number}

    edit(built.path.with_suffix(".json"), change)
    number = np.arange(wyvern.BANDS)[:, None, None]
    np.testing.assert_allclose(cube(opened(built.path)), built.truth * (number + 1) + 10 * number, rtol=1e-6)


def test_a_mask_that_is_not_delivered_says_nothing(tmp_path: Path) -> None:
    built = wyvern.level_1(tmp_path)
    next(tmp_path.glob("*_data_mask.tiff")).unlink()
    assert opened(built.path).info.quality is None


@pytest.mark.parametrize(
    "change",
    [
        lambda item: image_of(item)["eo:bands"].pop(),
        lambda item: image_of(item)["raster:bands"][0].__setitem__("scale", "much"),
        lambda item: image_of(item)["raster:bands"][0].__setitem__("scale", 0),
        lambda item: image_of(item)["raster:bands"][0].__setitem__("unit", "furlong"),
        lambda item: item["assets"].pop("Cloud optimized GeoTiff"),
        lambda item: image_of(item)["eo:bands"][2].__setitem__("center_wavelength", "green"),
    ],
)
def test_a_damaged_item_is_a_scene_error(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    path = wyvern.level_1(tmp_path).path
    edit(path.with_suffix(".json"), change)
    with pytest.raises(SceneError):
        opened(path)


@pytest.mark.parametrize("text", ['{"stac_version": "1.0.0", "id": "wyvern', '{"stac_version": "1.0.0", "id": "wyvern", "a": ' + "[" * 100_000])
def test_an_item_that_is_no_json_is_a_scene_error(tmp_path: Path, text: str) -> None:
    path = wyvern.level_1(tmp_path).path
    path.with_suffix(".json").write_text(text)
    with pytest.raises(SceneError, match="JSON"):
        opened(path)


@pytest.mark.parametrize("text", ['{"type": "FeatureCollection", "features": []}', "", '{"stac_version": "1.0.0", "id": "other"}'])
def test_a_foreign_json_beside_a_tiff_does_no_harm(tmp_path: Path, text: str) -> None:
    path = write_geotiff(tmp_path / "a.tif", np.ones((5, 4, 3), np.float32))
    (tmp_path / "a.json").write_text(text)
    assert opened(path).info.driver == "geotiff"


def test_fields_of_stac_that_not_every_item_has(tmp_path: Path) -> None:
    built = wyvern.level_1(tmp_path)
    item = json.loads(built.path.with_suffix(".json").read_text())
    told = {"processing:software": {"pipeline": "4.2.0", "lut": ""}, "processing:facility": "Wyvern Inc.", "view:incidence_angle": 12.375}
    item["properties"] |= told
    built.path.with_suffix(".json").write_text(json.dumps(item))
    attrs = opened(built.path).info.attrs
    assert (attrs["processor"], attrs["processor_version"], attrs["view_zenith"]) == ("Wyvern Inc.", "pipeline 4.2.0, lut", "12.3750")
    item["properties"] |= {"processing:version": "5.0", "view:incidence_angle": "steep"}
    built.path.with_suffix(".json").write_text(json.dumps(item))
    attrs = opened(built.path).info.attrs
    assert (attrs["processor_version"], attrs["view_zenith"]) == ("5.0", "11.5000")
