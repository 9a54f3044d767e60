from __future__ import annotations

from dataclasses import replace

import geopandas
import numpy as np
import pytest
from shapely.geometry import box

from hsikit.errors import LabelError, OptionError, SplitError
from hsikit.train.fixed_parts import TEST, TRAIN, join_parts
from hsikit.train.labels import read_labels
from hsikit.train.splits import make_split
from tests.train.conftest import TRANSFORM, UTM


def halves(shape=(20, 30)):
    codes = np.random.default_rng(1).integers(1, 4, shape)
    return np.where(np.arange(shape[1]) < 10, codes, 0), np.where(np.arange(shape[1]) >= 14, codes, 0)


def test_two_arrays_train_and_test_where_they_say(memory_source):
    learn, check = halves()
    scene = read_labels(memory_source(), learn, test_labels=check)
    split = make_split("fixed", [scene])
    assert set(zip(scene.rows[split.train[0]], scene.cols[split.train[0]], strict=True)) == set(zip(*np.nonzero(learn), strict=True))
    assert set(zip(scene.rows[split.test[0]], scene.cols[split.test[0]], strict=True)) == set(zip(*np.nonzero(check), strict=True))
    assert np.array_equal(scene.codes, (learn + check)[scene.rows, scene.cols])
    assert split.name == "fixed"
    assert split.report["nearest"] == 5


def test_pixels_stay_sorted_and_parts_follow_them(memory_source):
    learn, check = halves()
    scene = read_labels(memory_source(), learn, test_labels=check)
    assert np.array_equal(np.lexsort((scene.cols, scene.rows)), np.arange(len(scene)))
    assert np.array_equal(scene.parts, np.where(scene.cols < 10, TRAIN, TEST))
    some = scene.take(scene.codes == 2)
    assert np.array_equal(some.parts, np.where(some.cols < 10, TRAIN, TEST))
    assert not set(scene.groups[scene.cols < 10]) & set(scene.groups[scene.cols >= 14])


def test_guard_and_number_per_class_shape_the_training_part(memory_source):
    learn, check = halves()
    scene = read_labels(memory_source(), learn, test_labels=check)
    split = make_split("fixed", [scene], guard=6, per_class=5)
    assert split.report["nearest"] > 6
    assert [row["train"] for row in split.report["classes"]] == [5, 5, 5]
    assert split.report["test"] == (check > 0).sum()


def test_a_pixel_in_both_is_refused(memory_source):
    learn, check = halves()
    check[3, 3] = 1
    with pytest.raises(LabelError, match="1 of its pixels are also in"):
        read_labels(memory_source(), learn, test_labels=check)


def test_a_class_that_nothing_trains_is_refused_by_name(memory_source):
    learn, check = halves()
    check[0, 20] = 9
    scene = read_labels(memory_source(), learn, test_labels=check)
    with pytest.raises(SplitError, match="nothing to train on for class 9"):
        make_split("fixed", [scene])
    kept = make_split("fixed", [scene], allow_lost=True)
    assert kept.report["lost"]["train"] == [9]


def test_parts_are_not_dealt_anew(memory_source):
    learn, check = halves()
    with pytest.raises(OptionError, match=r"--test-labels.*--split fixed"):
        make_split("blocks", [read_labels(memory_source(), learn, test_labels=check)])


def test_labels_without_parts_are_refused(labelled):
    scene = labelled(halves()[0])
    with pytest.raises(SplitError, match=r"do not say which.*--test-labels"):
        make_split("fixed", [scene])


def polygons(tmp_path, words):
    """Squares of 5 x 5 pixels along the first rows: class, part."""
    step, _, left, _, _, top = TRANSFORM
    shapes = [box(left + step * 5 * k, top - step * 5, left + step * (5 * k + 5), top) for k in range(len(words))]
    frame = geopandas.GeoDataFrame({"crop": [f"c{k % 2}" for k in range(len(words))], "part": words}, geometry=shapes, crs=UTM)
    frame.to_file(tmp_path / "fields.gpkg")
    return tmp_path / "fields.gpkg"


def test_a_field_says_the_part(memory_source, tmp_path):
    file = polygons(tmp_path, ["train", "Training", "TEST", "test", "spare"])
    scene = read_labels(memory_source(), file, class_field="crop", group_field="part")
    split = make_split("fixed:part", [scene])
    assert set(scene.cols[split.train[0]] // 5) == {0, 1}
    assert set(scene.cols[split.test[0]] // 5) == {2, 3}
    with pytest.raises(SplitError, match="asks for the parts in 'side'"):
        make_split("fixed:side", [scene])


def test_a_field_without_the_words_is_refused(memory_source, tmp_path):
    scene = read_labels(memory_source(), polygons(tmp_path, ["north", "south"]), class_field="crop", group_field="part")
    with pytest.raises(SplitError, match=r"does not say both train and test \(it says north, south\)"):
        make_split("fixed:part", [scene])


def test_names_of_a_group_field_are_joined(labelled):
    learn, check = halves()
    groups = np.zeros((20, 30), int)
    one = labelled(learn, groups=groups, group_field="f", group_names=("b",))
    other = replace(labelled(check, groups=groups + 1, group_field="f", group_names=("a", "b")), source=one.source)
    joined = join_parts(one, other)
    assert joined.group_names == ("b", "a")
    assert set(joined.groups.tolist()) == {0}
