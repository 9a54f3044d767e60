from __future__ import annotations

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.errors import LabelError, OptionError
from hsikit.layers import PALETTE, Legend
from hsikit.train.labels import combine_legends, read_labels

LEFT, TOP, SIDE = 500000.0, 5600000.0, 30.0


def at(row, col):
    return LEFT + SIDE * col, TOP - SIDE * row


def box(row, col, row_end, col_end):
    """A rectangle in pixel rows and columns."""
    return shapely.box(*at(row_end, col), *at(row, col_end))


def frame(shapes, crs="EPSG:32633", **columns):
    return geopandas.GeoDataFrame(columns, geometry=list(shapes), crs=crs)


def as_map(labelled):
    out = np.zeros(labelled.source.info.grid.shape, np.uint8)
    out[labelled.rows, labelled.cols] = labelled.codes
    return out


@pytest.fixture
def fields():
    return frame([box(2, 3, 6, 8), box(10, 10, 15, 20)], crop=["wheat", "corn"], parcel=["p1", "p2"])


def expected_map():
    out = np.zeros((20, 30), np.uint8)
    out[2:6, 3:8], out[10:15, 10:20] = 2, 1
    return out


def test_polygons_on_pixel_borders(memory_source, fields):
    labelled = read_labels(memory_source(), fields, class_field="crop")
    assert np.array_equal(as_map(labelled), expected_map())
    assert labelled.legend.names == ("corn", "wheat")
    assert np.array_equal(np.lexsort((labelled.cols, labelled.rows)), np.arange(len(labelled)))
    assert len(np.unique(labelled.groups)) == 2


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp"])
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "EPSG:3035"])
def test_files_in_any_crs(memory_source, fields, tmp_path, suffix, crs):
    path = tmp_path / f"fields.{suffix}"
    inner = fields.set_geometry(fields.buffer(-3)).to_crs(crs)
    inner.to_file(path)
    labelled = read_labels(memory_source(), path, class_field="crop")
    assert np.array_equal(as_map(labelled), expected_map())
    assert labelled.name == str(path)


def test_numbers_in_fields_are_codes(memory_source, fields):
    for codes in ([7, 9], ["7", "9"], [7.0, 9.0]):
        labelled = read_labels(memory_source(), fields.assign(code=codes), class_field="code")
        assert labelled.legend.codes == (7, 9)


def test_ignored_classes_and_empty_features(memory_source, fields):
    more = frame([*fields.geometry, None, box(0, 0, 2, 2)], crop=["wheat", "corn", "corn", None])
    labelled = read_labels(memory_source(), more, class_field="crop", ignore="corn")
    assert labelled.legend.names == ("wheat",)
    assert any("2 features" in note for note in labelled.notes)


def test_buffer_shrinks_by_metres(memory_source, fields):
    labelled = read_labels(memory_source(), fields, class_field="crop", buffer=30.0)
    expected = np.zeros((20, 30), np.uint8)
    expected[3:5, 4:7], expected[11:14, 11:19] = 2, 1
    assert np.array_equal(as_map(labelled), expected)
    with pytest.raises(LabelError, match="after shrinking by 500"):
        read_labels(memory_source(), fields, class_field="crop", buffer=500.0)


def test_buffer_is_in_metres_for_scenes_in_degrees(memory_source):
    source = memory_source(transform=(0.001, 0.0, 13.0, 0.0, -0.001, 52.0), crs="EPSG:4326")
    field = frame([shapely.box(13.002, 51.985, 13.022, 51.995)], crs="EPSG:4326", crop=["a"])
    whole = read_labels(source, field)
    inner = read_labels(source, field, buffer=140.0)  # 1.26 rows of 111 m, 2.04 columns of 68.5 m
    assert (np.ptp(whole.rows) + 1, np.ptp(whole.cols) + 1) == (10, 20)
    assert (np.ptp(inner.rows) + 1, np.ptp(inner.cols) + 1) == (8, 16)


def test_coverage_decides_about_border_pixels(memory_source):
    part = frame([box(2, 2, 5, 5.4)], crop=["a"])
    source = memory_source()
    assert read_labels(source, part).cols.max() == 4
    assert read_labels(source, part, min_coverage=0.4).cols.max() == 5
    assert read_labels(source, part, all_touched=True).cols.max() == 5
    with pytest.raises(LabelError, match="cover no pixel enough"):
        read_labels(source, frame([box(2.6, 2.6, 2.9, 2.9)], crop=["a"]))


def test_rotated_grids(memory_source):
    turn = np.deg2rad(30)
    a, b, d, e = 30 * np.cos(turn), 30 * np.sin(turn), 30 * np.sin(turn), -30 * np.cos(turn)
    source = memory_source(transform=(a, b, LEFT, d, e, TOP))
    corners = np.array([(3, 2), (8, 2), (8, 6), (3, 6)], float)  # column, row
    shape = shapely.polygons(np.column_stack([a * corners[:, 0] + b * corners[:, 1] + LEFT, d * corners[:, 0] + e * corners[:, 1] + TOP]))
    expected = np.zeros((20, 30), np.uint8)
    expected[2:6, 3:8] = 1
    assert np.array_equal(as_map(read_labels(source, frame([shape], crop=["a"]))), expected)


def test_points_take_the_pixel_they_fall_in(memory_source):
    points = frame([shapely.Point(at(2.5, 3.5)), shapely.Point(at(2.4, 4.1)), shapely.Point(at(9.9, 0.2)), shapely.Point(at(-5, 2))], c=[1, 1, 2, 2])
    labelled = read_labels(memory_source(), points)
    assert list(zip(labelled.rows, labelled.cols, labelled.codes, strict=True)) == [(2, 3, 1), (2, 4, 1), (9, 0, 2)]
    assert labelled.groups.tolist() == [0, 0, 1]


def test_overlapping_polygons_name_both_features(memory_source):
    wrong = frame([box(2, 2, 6, 6), box(5, 2, 9, 6)], crop=["a", "b"]).set_index(np.array([17, 23]))
    with pytest.raises(LabelError, match=r"features 17 \(a\) and 23 \(b\).*row 5, column 2.*4 such pixels"):
        read_labels(memory_source(), wrong)
    assert len(read_labels(memory_source(), wrong.assign(crop="a"))) == 28


def test_neighbours_share_border_pixels_by_the_larger_part(memory_source):
    near = frame([box(2, 2, 6, 4.3), box(2, 4.3, 6, 7)], crop=["a", "b"])
    labelled = read_labels(memory_source(), near, all_touched=True)
    assert as_map(labelled)[2, 2:7].tolist() == [1, 1, 2, 2, 2]
    even = frame([box(2, 2, 6, 4.5), box(2, 4.5, 6, 7)], crop=["a", "b"])
    labelled = read_labels(memory_source(), even)
    assert as_map(labelled)[2, 2:7].tolist() == [1, 1, 0, 2, 2]
    assert any("4 pixels half in one" in note for note in labelled.notes)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_a_mosaic_of_polygons_never_conflicts(memory_source_once, seed):
    """Voronoi cells tile the scene: whatever the coverage asked for, no pixel is contested."""
    rng = np.random.default_rng(seed)
    seeds = shapely.MultiPoint(np.column_stack([LEFT + rng.uniform(0, 900, 12), TOP - rng.uniform(0, 600, 12)]))
    cells = shapely.get_parts(shapely.voronoi_polygons(seeds, extend_to=box(-1, -1, 21, 31)))
    mosaic = frame(cells, c=np.arange(len(cells)) % 5 + 1)
    half, touched = (read_labels(memory_source_once, mosaic, **kw) for kw in ({}, {"all_touched": True}))
    assert len(half) <= len(touched) <= 600
    assert len(touched) >= 595  # all but exact ties


@pytest.fixture(scope="module")
def memory_source_once():
    from hsikit.geo.grid import Grid
    from hsikit.scene import Bands, SceneInfo

    class Nothing:
        block = (1, 30)
        info = SceneInfo(
            "s.tif", Grid((20, 30), (30.0, 0, LEFT, 0, -30.0, TOP), "EPSG:32633"), Bands(np.ones(1), np.ones(1), np.ones(1, bool), ("b",)), "u1", "t"
        )

    return Nothing()


def test_group_field_makes_the_groups(memory_source, fields):
    more = frame([*fields.geometry, box(17, 0, 19, 4)], crop=["a", "b", "a"], line=["l2", "l1", "l2"])
    labelled = read_labels(memory_source(), more, class_field="crop", group_field="line")
    assert labelled.group_names == ("l1", "l2")
    assert labelled.group_field == "line"
    assert np.array_equal(np.array(labelled.group_names)[labelled.groups] == "l2", labelled.codes == 1)
    with pytest.raises(LabelError, match="group field 'flight'"):
        read_labels(memory_source(), more, class_field="crop", group_field="flight")


def test_self_crossing_polygons_are_repaired_and_noted(memory_source):
    bow = shapely.Polygon([at(2, 2), at(6, 8), at(2, 8), at(6, 2)])
    labelled = read_labels(memory_source(), frame([bow], c=[1]))
    assert len(labelled) == pytest.approx(12, abs=4)
    assert any("cross themselves" in note for note in labelled.notes)


def test_a_legend_gives_the_codes(memory_source, fields):
    labelled = read_labels(memory_source(), fields, class_field="crop", legend=Legend.of({40: "wheat", 50: "corn"}))
    assert set(labelled.counts) == {40, 50}


def test_layers_are_named(memory_source, fields, tmp_path):
    path = tmp_path / "two.gpkg"
    fields.to_file(path, layer="first")
    fields.iloc[:1].to_file(path, layer="second")
    with pytest.raises(LabelError, match="first, second"):
        read_labels(memory_source(), path, class_field="crop")
    assert len(read_labels(memory_source(), f"{path}|layername=second", class_field="crop")) == 20
    with pytest.raises(LabelError, match="no layer 'third'"):
        read_labels(memory_source(), f"{path}|layername=third", class_field="crop")


def test_what_cannot_be_done_is_said(memory_source, fields, tmp_path):
    source = memory_source()
    with pytest.raises(LabelError, match=r"class field 'colour'.*crop, parcel"):
        read_labels(source, fields, class_field="colour")
    with pytest.raises(LabelError, match=r"--class-field.*crop, parcel"):
        read_labels(source, fields)
    with pytest.raises(LabelError, match="CRS is unknown"):
        read_labels(source, fields.set_crs(None, allow_override=True), class_field="crop")
    with pytest.raises(LabelError, match="no georeference"):
        read_labels(memory_source(georeferenced=False), fields, class_field="crop")
    with pytest.raises(LabelError, match="LineString"):
        read_labels(source, frame([shapely.LineString([at(1, 1), at(5, 5)])], c=[1]))
    with pytest.raises(OptionError, match="--buffer"):
        read_labels(source, fields, class_field="crop", buffer=-3)
    with pytest.raises(OptionError, match="--min-coverage"):
        read_labels(source, fields, class_field="crop", min_coverage=0)
    path = tmp_path / "bare.shp"
    fields.set_crs(None, allow_override=True).to_file(path)
    with pytest.raises(LabelError, match=r"bare\.shp.*CRS is unknown"):
        read_labels(source, path, class_field="crop")


def test_labels_elsewhere_give_both_extents(memory_source, fields, tmp_path):
    path = tmp_path / "away.gpkg"
    fields.set_geometry(fields.translate(100000, 0)).to_crs(4326).to_file(path)
    with pytest.raises(LabelError, match=r"away\.gpkg: no label lies inside.*EPSG:4326.*left 500000.*EPSG:32633"):
        read_labels(memory_source(), path, class_field="crop")
    with pytest.raises(LabelError, match="no label lies inside"):
        read_labels(memory_source(), fields.set_geometry(fields.translate(100000, 0)), class_field="crop")


def test_a_colour_field_colours_the_classes(memory_source, fields):
    """Through `combine_legends`, as `train` reads labels."""
    source = memory_source()
    named = read_labels(source, fields.assign(colour=["#f0d040", "#20a040"]), class_field="crop")
    (joined,) = combine_legends([named])
    assert [(c.name, c.colour) for c in joined.legend.classes] == [("corn", (32, 160, 64)), ("wheat", (240, 208, 64))]
    assert not named.notes


@pytest.mark.parametrize("colours", [["#f0d040", "pink"], ["#f0d040", None]])
def test_a_colour_field_without_colours_is_said_and_not_used(memory_source, fields, colours):
    labelled = read_labels(memory_source(), fields.assign(color=colours), class_field="crop")
    assert [c.colour for c in labelled.legend.classes] == list(PALETTE[:2])
    assert "'color' does not give each class one colour" in labelled.notes[0]
