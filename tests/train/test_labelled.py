from __future__ import annotations

from dataclasses import replace

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely

from hsikit.errors import LabelError, OutputError
from hsikit.layers import Legend
from hsikit.train.labelled import LabelledScene, require_classes
from hsikit.train.labels import combine_legends, read_labels, under_legend, write_label_pixels
from hsikit.train.splits import make_split


def named(memory_source, names, numbered=False, file="labels.tif"):
    """A scene with one label pixel per class, in the order of the codes."""
    legend = Legend.from_names(names) if numbered else Legend.of(names)
    codes = np.array(legend.codes, np.uint8)
    place = np.arange(len(codes))
    return LabelledScene(memory_source(), place * 0, place, codes, place.astype(np.int64), legend, file, numbered=numbered)


def classes_of(scene):
    table = dict(zip(scene.legend.codes, scene.legend.names, strict=True))
    return [table[code] for code in scene.codes.tolist()]


def test_numbered_legends_are_numbered_anew(memory_source):
    before = [named(memory_source, ["wheat", "corn"], True), named(memory_source, ["soy", "wheat"], True)]
    after = combine_legends(before)
    assert after[0].legend.names == after[1].legend.names == ("corn", "soy", "wheat")
    assert [classes_of(s) for s in after] == [classes_of(s) for s in before]
    assert after[0].numbered  # the codes still mean nothing by themselves


def test_labels_go_under_a_models_legend_by_name(memory_source):
    """Alphabetical numbers of other classes must not be taken for the model's codes."""
    model = Legend.of({1: "water", 2: "wheat", 4: "class 4"}, {1: (0, 0, 255)})
    (scene,) = under_legend(combine_legends([named(memory_source, ["soy", "wheat"], True)]), model)
    assert classes_of(scene) == ["soy", "wheat"]
    assert scene.legend.names == ("water", "wheat", "soy", "class 4") and scene.legend.classes[0].colour == (0, 0, 255)
    with pytest.raises(LabelError, match=r"none of its classes \(class 4x, oats\) is one of the model's"):
        under_legend([named(memory_source, ["class 4x", "oats"], True)], model)


def test_labels_without_names_go_by_code(memory_source):
    model = Legend.of({1: "water", 2: "wheat", 4: "class 4"})
    (scene,) = under_legend([named(memory_source, {2: "class 2", 4: "oats"})], model)
    assert scene.codes.tolist() == [2, 4] and scene.legend.names == ("water", "wheat", "class 4")
    with pytest.raises(LabelError, match="with a crosswalk"):
        under_legend([replace(named(memory_source, {4: "oats"}), numbered=True)], model)


def test_given_codes_stand_and_names_fill_the_gaps(memory_source):
    after = combine_legends([named(memory_source, ["soy", "corn", "oat"], True), named(memory_source, {1: "wheat", 7: "soy"})])
    assert dict(zip(after[0].legend.names, after[0].legend.codes, strict=True)) == {"wheat": 1, "corn": 2, "oat": 3, "soy": 7}
    assert [classes_of(s) for s in after] == [["corn", "oat", "soy"], ["wheat", "soy"]]


def test_nameless_codes_take_the_name_of_the_same_code(memory_source):
    for order in (1, -1):
        scenes = [named(memory_source, {1: "wheat", 2: "soy"}), named(memory_source, {2: "class 2", 3: "class 3"})][::order]
        assert combine_legends(scenes)[0].legend.names == ("wheat", "soy", "class 3")


def test_conflicting_legends_name_both_files(memory_source):
    one = named(memory_source, {1: "wheat"}, file="one.tif")
    with pytest.raises(LabelError, match=r"two\.tif: code 1 is 'corn' here, but 'wheat' in one\.tif"):
        combine_legends([one, named(memory_source, {1: "corn"}, file="two.tif")])
    with pytest.raises(LabelError, match=r"two\.tif: class 'wheat' has code 5 here, but 1 in one\.tif"):
        combine_legends([one, named(memory_source, {5: "wheat"}, file="two.tif")])


def test_one_class_is_too_few(memory_source):
    scene = named(memory_source, {3: "corn"}, file="one.tif")
    with pytest.raises(LabelError, match=r"one\.tif: the labels hold only class 3 \(corn\)"):
        require_classes([scene, scene])
    require_classes([scene, named(memory_source, {4: "oat"})])
    with pytest.raises(LabelError, match="no labelled pixel is left"):
        require_classes([scene.take(np.zeros(1, bool))])


def test_label_pixels_come_back_from_the_geopackage(memory_source, tmp_path):
    codes = np.zeros((20, 30), np.uint8)
    codes[2:12, 3:9], codes[4:15, 14:25] = 1, 2
    scene = read_labels(memory_source(), codes)
    split = make_split("blocks", [scene], block=5, guard=1)
    path = tmp_path / "pixels.gpkg"
    write_label_pixels([scene], path, split)
    frame = pyogrio.read_dataframe(path)
    assert frame.crs.to_epsg() == 32633
    assert (frame["part"] == "train").sum() == split.train[0].sum()
    assert (frame["part"] == "test").sum() == split.test[0].sum()
    again = read_labels(memory_source(), path, class_field="code")
    for name in ("rows", "cols", "codes"):
        assert np.array_equal(getattr(again, name), getattr(scene, name))
    write_label_pixels([scene.take(scene.codes == 1)], path)  # replaces the file
    assert set(pyogrio.read_dataframe(path)["class"]) == {"class 1"}
    assert [p.name for p in tmp_path.iterdir()] == ["pixels.gpkg"]


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_scenes_of_several_crs_get_a_layer_each(memory_source, tmp_path):
    codes = np.ones((20, 30), np.uint8)
    sources = [memory_source(), memory_source(crs="EPSG:32634"), memory_source(georeferenced=False)]
    write_label_pixels([read_labels(s, codes) for s in sources], tmp_path / "p.gpkg")
    assert pyogrio.list_layers(tmp_path / "p.gpkg")[:, 0].tolist() == ["label_pixels", "label_pixels_2", "label_pixels_3"]
    last = pyogrio.read_dataframe(tmp_path / "p.gpkg", layer="label_pixels_3")
    assert shapely.get_coordinates(last.geometry.iloc[31]).tolist() == [[1.5, -1.5]]


def test_group_names_are_written(memory_source, tmp_path):
    field = geopandas.GeoDataFrame({"c": [1], "line": ["L7"]}, geometry=[shapely.box(500000, 5599700, 500300, 5600000)], crs=32633)
    write_label_pixels([read_labels(memory_source(), field, class_field="c", group_field="line")], tmp_path / "p.gpkg")
    assert set(pyogrio.read_dataframe(tmp_path / "p.gpkg")["group"]) == {"L7"}


def test_where_label_pixels_cannot_be_written(memory_source, tmp_path):
    scene = read_labels(memory_source(), np.ones((20, 30), np.uint8))
    with pytest.raises(OutputError, match="none"):
        write_label_pixels([scene], tmp_path / "none" / "p.gpkg")
    with pytest.raises(OutputError, match="GeoPackage"):
        write_label_pixels([scene], tmp_path / "p.shp")
