from __future__ import annotations

import numpy as np
import pytest

from hsikit.engine import compute
from hsikit.errors import ModelError
from hsikit.geo.grid import Window
from hsikit.tasks.classification.nearest_label import NearestLabel
from tests.tasks.classification.scenes import fields, labelled, layers_of, run_with, source


@pytest.mark.parametrize("crs", ["EPSG:32633", None])
def test_every_pixel_takes_the_nearest_label(crs: str | None) -> None:
    values, truth = fields(31, 28, 4, 6)
    scene = source(values, crs)
    labels = labelled(scene, truth, 8)
    model = NearestLabel.train([labels], run=run_with())
    found = layers_of(model.bind({"cube": scene.info}), scene, 9, "map")["map"][0]
    rows, cols = np.nonzero(found)
    distance = (rows[:, None] - labels.rows) ** 2 + (cols[:, None] - labels.cols) ** 2
    for row, col, near in zip(rows, cols, distance, strict=True):
        assert found[row, col] in labels.codes[near == near.min()]


def test_a_crop_of_the_scene_is_mapped_by_its_place() -> None:
    values, truth = fields(31, 28, 4, 6, holes=False)
    scene = source(values)
    model = NearestLabel.train([labelled(scene, truth, 8)], run=run_with())
    whole = layers_of(model.bind({"cube": scene.info}), scene, None, "map")["map"][0]
    window = Window(7, 5, 12, 15)
    crop = source(values[(slice(None), *window.slices())], name="crop.tif", grid=scene.info.grid.crop(window))
    assert (layers_of(model.bind({"cube": crop.info}), crop, None, "map")["map"][0] == whole[window.slices()]).mean() > 0.97


def test_refuses_other_coordinates() -> None:
    values, truth = fields(31, 28, 4, 6)
    scene = source(values)
    model = NearestLabel.train([labelled(scene, truth, 8)], run=run_with())
    with pytest.raises(ModelError, match=r"other\.tif.*EPSG:32632"):
        model.bind({"cube": source(values, "EPSG:32632", "other.tif").info})
    pixels = NearestLabel.train([labelled(source(values, None), truth, 8)], run=run_with())
    with pytest.raises(ModelError, match=r"small\.tif.*20 x 28"):
        pixels.bind({"cube": source(values[:, :20], None, "small.tif").info})
    with pytest.raises(ModelError, match="no common coordinates"):
        NearestLabel.train([labelled(source(values, None), truth, 8), labelled(source(values, None), truth, 8)], run=run_with())


def test_places_are_sorted_for_searching_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import scipy.spatial

    built, tree = [], scipy.spatial.cKDTree
    monkeypatch.setattr("scipy.spatial.cKDTree", lambda places: built.append(1) or tree(places))
    values, truth = fields(31, 28, 4, 6)
    scene = source(values)
    model = NearestLabel.train([labelled(scene, truth, 8)], run=run_with())
    compute(model.bind({"cube": scene.info}), {"cube": scene}, layers=("map",), threads=2, tile=9)
    compute(model.with_options(unknown_below=0.5).bind({"cube": scene.info}), {"cube": scene}, layers=("map",), threads=2, tile=9)
    assert built == [1]
