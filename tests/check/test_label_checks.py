"""Every trap of labels, built, found, and told with its cure."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import Affine
from rasterio.warp import transform_bounds

from hsikit.check import Finding, check_scene
from hsikit.geo.grid import Grid
from hsikit.geo.swath import swath_of_arrays
from hsikit.scene import QUALITY_FLAGS, Quality
from tests.laws.scenes import CRS, NODATA, TRANSFORM, as_source, make_scene

SIDE, LEFT, TOP = 30.0, TRANSFORM[2], TRANSFORM[5]


@pytest.fixture(scope="module")
def made():
    return make_scene(48, 40, 6, seed=2, classes=3, side=12)


@pytest.fixture
def scene(made):
    values = np.where(made.values == NODATA, 3000, made.values)
    values[:, :9, :10] = NODATA
    source = as_source(values, made.nm, TRANSFORM, "scene.tif")
    source.info = source.info.with_(acquired="2022-07-24T10:20:30Z")
    return source


def told(source, labels, **options) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_scene(source, labels, options)}


def square(row, col, size=10):
    return shapely.box(LEFT + SIDE * col, TOP - SIDE * (row + size), LEFT + SIDE * (col + size), TOP - SIDE * row)


def fields(**columns):
    shapes = [square(12, 14), square(24, 2), square(26, 26)]
    return geopandas.GeoDataFrame({"crop": ["rye", "rye", "oats"], **columns}, geometry=shapes, crs=CRS)


def write_raster(path, codes, cols=0.0, rows=0.0, step=SIDE, crs: str | None = CRS, **tags):
    transform = Affine(step, 0, LEFT + cols * SIDE, 0, -step, TOP - rows * SIDE)
    with rasterio.open(path, "w", driver="GTiff", height=codes.shape[0], width=codes.shape[1], count=1, dtype="uint8", crs=crs, transform=transform) as out:
        out.write(codes, 1)
        out.update_tags(**tags)
    return path


def test_good_polygons_pass(scene):
    found = told(scene, fields(), class_field="crop")
    assert {found[name].state for name in ("labels", "labels on missing pixels", "small classes")} == {"pass"}
    assert found["labels"].what == "300 pixels of 2 classes lie inside the scene"
    assert found["label grid"].state == found["label date"].state == found["labels under clouds"].state == "skip"


def test_without_labels_only_the_scene_is_looked_at(scene):
    assert not any("label" in finding.name for finding in check_scene(scene))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.set_geometry(frame.translate(1e5)), "no label lies inside the scene"),
        (lambda frame: frame.set_crs(None, allow_override=True), "CRS is unknown"),
        (lambda frame: frame.set_geometry([square(12, 14), square(24, 2), square(26, 3)]), "both claim pixel"),
        (lambda frame: frame.drop(columns="crop"), "has no class field 'crop'"),
    ],
)
def test_labels_that_cannot_be_read_are_a_warning(scene, change, words):
    found = told(scene, change(fields()), class_field="crop")
    assert found["labels"].state == "warn" and words in found["labels"].what and found["labels"].cure


def test_a_missing_file_is_a_warning(scene):
    assert "no such label file" in told(scene, "nowhere.gpkg")["labels"].what


def test_small_classes(scene):
    frame = fields()
    frame.loc[2, "geometry"] = square(26, 26, 4)
    found = told(scene, frame, class_field="crop")["small classes"]
    assert found.state == "warn" and "oats (16)" in found.what and "--crosswalk" in found.cure


def test_labels_where_the_scene_has_no_data(made, scene):
    frame = fields()
    frame.loc[1, "geometry"] = square(0, 0)
    found = told(scene, frame, class_field="crop")["labels on missing pixels"]
    assert found.state == "warn" and "at 90 of 300 label pixels the scene has no data" in found.what
    codes = np.zeros(made.truth.shape, np.uint8)
    codes[:9, :10] = 1
    assert "at all 90 label pixels" in told(scene, codes)["labels on missing pixels"].what


def test_labels_under_clouds(made, scene):
    flags = np.zeros(made.truth.shape, np.uint8)
    flags[12:17, 14:24] = QUALITY_FLAGS["cloud"] | QUALITY_FLAGS["water"]
    scene.info = scene.info.with_(quality=Quality(("cloud", "shadow", "water"), lambda window: flags[window.slices()]))
    found = told(scene, fields(), class_field="crop")["labels under clouds"]
    assert found.state == "warn" and found.what == "of 300 label pixels the product flags: cloud 50" and found.cure == "--mask cloud"
    flags[:] = QUALITY_FLAGS["water"]
    assert told(scene, fields(), class_field="crop")["labels under clouds"].state == "pass"


@pytest.mark.parametrize(
    ("columns", "state", "words"),
    [
        ({"year": [2022, 2022, 2022]}, "pass", "within 23 days"),
        ({"date": ["2015-07-01", "2022-07-01", "2022-07-02"]}, "warn", "up to 7.1 years older than the scene (2022-07-24)"),
        ({"surveyed": np.array(["2024-09-01"] * 3, "datetime64[D]")}, "warn", "up to 2.1 years newer"),
        ({"date": ["unknown"] * 3}, "skip", "no date"),
        ({"note": ["2015"] * 3}, "skip", "no date"),
    ],
)
@pytest.mark.parametrize("as_file", [False, True])
def test_labels_of_another_time(scene, tmp_path, columns, state, words, as_file):
    labels = fields(**columns)
    if as_file:
        labels.to_file(tmp_path / "fields.gpkg")
        labels = tmp_path / "fields.gpkg"
    found = told(scene, labels, class_field="crop")["label date"]
    assert found.state == state and words in found.what


def test_the_date_of_a_raster(scene, made, tmp_path):
    path = write_raster(tmp_path / "codes.tif", made.truth, TIFFTAG_DATETIME="2019:05:06 10:00:00")
    assert "3.2 years older" in told(scene, path)["label date"].what
    scene.info = scene.info.with_(acquired="")
    assert told(scene, path)["label date"].state == "skip"


@pytest.mark.parametrize(
    ("place", "state", "words"),
    [
        ({}, "pass", "on the scene's grid"),
        ({"cols": 3.0, "rows": -2.0}, "pass", "on the scene's grid"),
        ({"cols": 0.5, "rows": 0.5}, "warn", "by half a pixel"),
        ({"cols": 0.5}, "warn", "by half a pixel"),
        ({"cols": 0.2, "rows": 0.7}, "warn", "by 0.20 columns and 0.30 rows"),
        ({"step": 10.0}, "warn", "other pixels than the scene"),
    ],
)
def test_rasters_off_the_grid(scene, made, tmp_path, place, state, words):
    found = told(scene, write_raster(tmp_path / "codes.tif", made.truth, **place))["label grid"]
    assert found.state == state and words in found.what


def test_rasters_in_another_crs_and_without_any(scene, made, tmp_path):
    left, _, _, top = transform_bounds(CRS, 4326, *scene.info.grid.bounds)
    with rasterio.open(tmp_path / "codes.tif", "w", driver="GTiff", height=48, width=40, count=1, dtype="uint8", crs="EPSG:4326",
                       transform=Affine(0.0004, 0, left, 0, -0.0003, top)) as out:  # fmt: skip
        out.write(made.truth, 1)
    found = told(scene, tmp_path / "codes.tif")["label grid"]
    assert found.state == "warn" and "another CRS" in found.what
    with rasterio.open(tmp_path / "bare.tif", "w", driver="GTiff", height=48, width=40, count=1, dtype="uint8") as out:
        out.write(made.truth, 1)
    assert "pixel by pixel" in told(scene, tmp_path / "bare.tif")["label grid"].what


def test_labels_of_a_swath(scene, made, tmp_path):
    lon, lat = np.meshgrid(13 + 0.0004 * np.arange(40), 52 - 0.0003 * np.arange(48))
    scene.info = scene.info.with_(grid=Grid((48, 40)), swath=swath_of_arrays(lon, lat))
    with rasterio.open(tmp_path / "codes.tif", "w", driver="GTiff", height=48, width=40, count=1, dtype="uint8", crs="EPSG:4326",
                       transform=Affine(0.0004, 0, 12.9998, 0, -0.0003, 52.00015)) as out:  # fmt: skip
        out.write(made.truth, 1)
    found = told(scene, tmp_path / "codes.tif")
    assert found["labels"].state == "pass" and "under its centre" in found["label grid"].what
