"""Labels on swaths: polygons, points and rasters placed by longitude and latitude of the pixels' centres."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer

import hsikit.geo.inside as inside_module
import hsikit.geo.places as places_module
from hsikit.errors import LabelError, OptionError
from hsikit.geo.swath import swath_of_arrays
from hsikit.train.label_export import write_label_pixels
from hsikit.train.labels import read_labels
from tests.geo.swaths import tilted_positions

SHAPE = (40, 30)
LON, LAT = tilted_positions(SHAPE)
EASTING, NORTHING = Transformer.from_crs(4326, 32633, always_xy=True).transform(LON, LAT)


@pytest.fixture
def swath(memory_source, monkeypatch):
    """A scene on the sensor's grid, whose positions are read in strips of nine rows, and looked at in blocks of seven."""
    monkeypatch.setattr(places_module, "STRIP_PIXELS", 270)
    monkeypatch.setattr(inside_module, "BLOCK", 7)
    source = memory_source(SHAPE, georeferenced=False, name="granule.nc")
    source.info = source.info.with_(swath=swath_of_arrays(LON, LAT))
    return source


def fields(crs=32633):
    """Two discs, 15 and 12 pixels across, in UTM or elsewhere."""
    discs = [shapely.Point(EASTING[r, c], NORTHING[r, c]).buffer(size) for r, c, size in ((12, 8, 800), (30, 20, 650))]
    return geopandas.GeoDataFrame({"crop": ["wheat", "corn"], "plot": ["p1", "p2"]}, geometry=discs, crs=32633).to_crs(crs)


def as_map(labelled):
    out = np.zeros(SHAPE, np.uint8)
    out[labelled.rows, labelled.cols] = labelled.codes
    return out


def expected_map():
    discs = fields().geometry
    return np.where(shapely.contains_xy(discs[0], EASTING, NORTHING), 2, np.where(shapely.contains_xy(discs[1], EASTING, NORTHING), 1, 0))


def test_polygons_label_the_centres_inside(swath, tmp_path):
    expected = expected_map()
    assert (expected == 1).sum() > 80 and (expected == 2).sum() > 100
    labelled = read_labels(swath, fields(), class_field="crop")
    np.testing.assert_array_equal(as_map(labelled), expected)
    assert np.array_equal(np.lexsort((labelled.cols, labelled.rows)), np.arange(len(labelled))) and len(np.unique(labelled.groups)) == 2
    fields().to_file(tmp_path / "fields.gpkg")
    labelled = read_labels(swath, tmp_path / "fields.gpkg", class_field="crop", group_field="plot")
    np.testing.assert_array_equal(as_map(labelled), expected)
    assert labelled.group_names == ("p1", "p2")


@pytest.mark.parametrize("crs", [4326, 3035])
def test_any_crs_agrees_but_for_the_curve_of_an_edge(swath, crs):
    assert (as_map(read_labels(swath, fields(crs), class_field="crop")) != expected_map()).sum() <= 2


def test_shrunk_polygons(swath):
    labelled = read_labels(swath, fields(4326), class_field="crop", buffer=150)
    discs = fields().buffer(-150)
    expected = np.where(shapely.contains_xy(discs[0], EASTING, NORTHING), 2, np.where(shapely.contains_xy(discs[1], EASTING, NORTHING), 1, 0))
    assert 0 < (expected > 0).sum() < (expected_map() > 0).sum()
    assert (as_map(labelled) != expected).sum() <= 2
    with pytest.raises(LabelError, match="no polygon is left after shrinking by 900"):
        read_labels(swath, fields(), class_field="crop", buffer=900)


def test_points_label_the_pixel_that_they_fall_in(swath):
    points = [shapely.Point(EASTING[3, 4] + 20, NORTHING[3, 4] - 20), shapely.MultiPoint([(EASTING[r, 9], NORTHING[r, 9]) for r in (7, 8, 7)])]
    far = shapely.Point(EASTING[0, 0] - 5000, NORTHING[0, 0])
    frame = geopandas.GeoDataFrame({"crop": [3, 5, 5]}, geometry=[*points, far], crs=32633)
    labelled = read_labels(swath, frame.to_crs(4326), class_field="crop")
    assert list(zip(labelled.rows, labelled.cols, labelled.codes, strict=True)) == [(3, 4, 3), (7, 9, 5), (8, 9, 5)]


def test_two_classes_in_one_pixel_are_an_error(swath):
    frame = fields()
    frame.loc[2] = {"crop": "oats", "plot": "p3", "geometry": frame.geometry[0].buffer(-500)}
    with pytest.raises(LabelError, match=r"features 0 \(wheat\) and 2 \(oats\) both claim pixel"):
        read_labels(swath, frame.set_crs(32633), class_field="crop")


@pytest.mark.parametrize(("option", "given"), [("--min-coverage", {"min_coverage": 0.9}), ("--all-touched", {"all_touched": True})])
def test_shares_of_a_pixel_are_only_known_on_maps(swath, option, given):
    with pytest.raises(OptionError, match=rf"{option}: the outlines of a swath's pixels are not known"):
        read_labels(swath, fields(), class_field="crop", **given)


def test_labels_elsewhere_give_both_extents(swath, tmp_path):
    away = fields().set_geometry(fields().translate(1e5))
    with pytest.raises(LabelError, match=r"no label lies inside the scene: .*the scene at left 1[12]\.\d+.*EPSG:4326"):
        read_labels(swath, away, class_field="crop")
    away.to_file(tmp_path / "away.gpkg")
    with pytest.raises(LabelError, match=r"no label lies inside the scene: .*EPSG:32633\), the scene at left 1[12]\."):
        read_labels(swath, tmp_path / "away.gpkg", class_field="crop")
    write_raster(tmp_path / "away.tif", np.ones((9, 9), np.uint8), 0.0, 1.0)
    with pytest.raises(LabelError, match=r"no label lies inside the scene: .*the scene at left 1[12]\."):
        read_labels(swath, tmp_path / "away.tif")


def write_raster(path, codes, left, top, step=0.0007, crs="EPSG:4326"):
    with rasterio.open(path, "w", driver="GTiff", height=codes.shape[0], width=codes.shape[1], count=1, dtype="uint8", nodata=0, crs=crs,
                       transform=rasterio.transform.from_origin(left, top, step, step)) as out:  # fmt: skip
        out.write(codes, 1)


def test_rasters_give_the_label_at_the_centre(swath, tmp_path):
    codes = np.kron(np.random.default_rng(0).integers(0, 4, (20, 20)), np.ones((5, 5), int)).astype(np.uint8)
    left, top = LON.min() + 0.005123, LAT.max() - 0.004456
    write_raster(tmp_path / "codes.tif", codes, left, top)
    row, col = np.floor((top - LAT) / 0.0007).astype(int), np.floor((LON - left) / 0.0007).astype(int)
    inside = (row >= 0) & (row < 100) & (col >= 0) & (col < 100)
    expected = np.where(inside, codes[row.clip(0, 99), col.clip(0, 99)], 0)
    assert 0 < (expected > 0).sum() < inside.sum() < inside.size
    np.testing.assert_array_equal(as_map(read_labels(swath, tmp_path / "codes.tif")), expected)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_a_raster_of_the_scenes_shape_without_georeference_is_taken_pixel_by_pixel(swath, tmp_path):
    codes = np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)
    with rasterio.open(tmp_path / "codes.tif", "w", driver="GTiff", height=40, width=30, count=1, dtype="uint8") as out:
        out.write(codes, 1)
    np.testing.assert_array_equal(as_map(read_labels(swath, tmp_path / "codes.tif")), codes)
    np.testing.assert_array_equal(as_map(read_labels(swath, codes)), codes)


def test_label_pixels_are_written_where_they_lie(swath, tmp_path):
    labelled = read_labels(swath, fields(), class_field="crop")
    write_label_pixels([labelled], tmp_path / "pixels.gpkg")
    points = geopandas.read_file(tmp_path / "pixels.gpkg")
    assert points.crs.to_epsg() == 4326
    np.testing.assert_allclose(points.geometry.x, LON[points["row"], points["col"]], atol=1e-12)
    np.testing.assert_allclose(points.geometry.y, LAT[points["row"], points["col"]], atol=1e-12)
    assert (as_map(labelled)[points["row"], points["col"]] == points["code"]).all() and len(points) == len(labelled)
