"""SpecDETR as a method: simulated objects in, a model, located objects out, in map coordinates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hsikit
from hsikit.engine import compute
from hsikit.errors import LabelError, MethodError, ModelError, OptionError
from hsikit.geo.grid import Grid
from hsikit.nn.specdetr.boxes import kept
from hsikit.simulate.objects import ObjectClass, Planting, draw_objects, lake_variation
from hsikit.simulate.targets import planted_source, write_truth
from hsikit.tasks.detection.specdetr import as_features, merged
from hsikit.tasks.detection.specdetr_training import read_boxes, train_objects
from tests.laws.scenes import TRANSFORM, as_source, make_scene

BANDS = 6
SMALL = {"width": 16, "heads": 2, "encoder": 1, "decoder": 1, "hidden": 32, "queries": 20}


def planted(seed: int = 0):
    scene = make_scene(90, 110, BANDS, seed=3)
    kinds = [ObjectClass("red", np.linspace(0.1, 0.9, BANDS)[None]), ObjectClass("blue", np.linspace(0.9, 0.1, BANDS)[None], (1, 2))]
    return planted_source(as_source(scene.values, scene.nm, TRANSFORM, "scene.tif"), kinds, seed=seed), kinds


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    source, kinds = planted()
    truth = write_truth(tmp_path_factory.mktemp("truth") / "objects.gpkg", source.objects, kinds, source.info.grid)
    return train_objects([(source, truth)], steps=3, network=SMALL), source, truth


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """An encoder that was marked as pretrained, in its folder."""
    from hsikit.nn.base_files import save_base
    from hsikit.nn.encoder import build_encoder
    from hsikit.nn.lora import mark_pretrained

    torch.manual_seed(0)
    encoder = build_encoder("tiny", channels=(16,), depths=(1,), width=16, band_width=8)
    mark_pretrained(encoder)
    return save_base(tmp_path_factory.mktemp("base") / "base", encoder, {"recipe": "random"})


def test_the_shared_encoder_reads_the_bands(base, tmp_path) -> None:
    source, kinds = planted()
    truth = write_truth(tmp_path / "objects.gpkg", source.objects, kinds, source.info.grid)
    model = train_objects([(source, truth)], steps=3, network=SMALL, encoder=base, rank=2)
    from hsikit.nn.base_files import load_base

    frozen, tuned = load_base(base).state_dict(), model.network.embed.encoder.state_dict()
    assert frozen.keys() == tuned.keys()  # the LoRA is merged
    changed = {name for name in frozen if not torch.equal(frozen[name], tuned[name])}
    assert changed
    assert all(name.startswith(("stages.", "norms.")) for name in changed)
    hsikit.save_method(model, tmp_path / "model")
    again, other = hsikit.load_method(tmp_path / "model"), make_scene(90, 110, 9, seed=4)
    job = again.bind({"cube": source.info})
    whole, tiled = (compute(job, {"cube": source}, tile=tile, layers=["scores"]).layers["scores"] for tile in (192, 96))
    np.testing.assert_array_equal(whole, tiled)
    assert np.isfinite(whole).mean() > 0.5
    of_other_bands = as_source(other.values, np.linspace(430, 2300, 9), TRANSFORM, "other.tif")
    assert hsikit.run(again, of_other_bands, tmp_path / "other.tif").files[0].exists()


def test_an_encoder_and_an_adapter_exclude_one_another(base, tmp_path) -> None:
    source, kinds = planted()
    truth = write_truth(tmp_path / "objects.gpkg", source.objects, kinds, source.info.grid)
    with pytest.raises(OptionError, match="--adapter or --encoder"):
        train_objects([(source, truth)], steps=1, network=SMALL, encoder=base, adapter="grid")
    with pytest.raises(OptionError, match="there is no encoder"):
        train_objects([(source, truth)], steps=1, network=SMALL, rank=2)
    with pytest.raises(OptionError, match="0 is no rank"):
        train_objects([(source, truth)], steps=1, network=SMALL, encoder=base, rank=0)
    with pytest.raises(ModelError):
        train_objects([(source, truth)], steps=1, network=SMALL, encoder=tmp_path)


def test_objects_are_as_the_recipe_says() -> None:
    kinds = [ObjectClass("faint", np.ones((1, 4)), (0,)), ObjectClass("two", np.stack((np.ones(4), 2 * np.ones(4))), (3, 4), "parts")]
    drawn = draw_objects((256, 300), kinds, Planting(), np.random.default_rng(1))
    centres = np.array([o.pixels[0] for o in drawn])
    gaps = np.linalg.norm(centres[:, None] - centres[None], axis=-1) + 99 * np.eye(len(drawn))
    assert gaps.min() >= 8
    assert centres.min() >= 3
    for one in drawn:
        if one.label == 0:
            assert len(one.pixels) == 1
            assert 0.05 <= one.abundance[0] <= 0.2
        else:
            assert 6 <= len(one.pixels) <= 16
            assert 0 < one.abundance.min() <= one.abundance.max() <= 1
    again = draw_objects((256, 300), kinds, Planting(), np.random.default_rng(1))
    assert all(np.array_equal(a.spectra, b.spectra) for a, b in zip(drawn, again, strict=True))


def test_objects_vary_as_a_lake_does() -> None:
    rng, relative = np.random.default_rng(0), np.array([0.01, 0.05, 0.2, 4.0])
    lake = 0.02 * (1 + relative * (0.6 * rng.standard_normal((4000, 1)) + 0.8 * rng.standard_normal((4000, 4))))
    common, banded = (np.array(part) for part in lake_variation(lake))
    measured = np.minimum(lake.std(0) / np.abs(lake.mean(0)), 0.3)
    np.testing.assert_allclose(common**2 + banded**2, measured**2)
    np.testing.assert_allclose(common[:3] / relative[:3], 0.71, rtol=0.05)  # the mean of four bands: sqrt(.6^2 + .8^2 / 4)
    planting = Planting(most=20, brightness=0, common=tuple(common), banded=tuple(banded))
    drawn = draw_objects((1280, 1280), [ObjectClass("one", np.ones((1, 4)), (4,))], planting, np.random.default_rng(1))
    np.testing.assert_allclose(np.concatenate([o.spectra for o in drawn]).std(0), measured, rtol=0.05)
    with pytest.raises(OptionError, match="is no share"):
        Planting(banded=(0.1, 1.2))
    with pytest.raises(OptionError, match="4 deviations for 3 bands"):
        draw_objects((64, 64), [ObjectClass("one", np.ones((1, 3)))], planting, np.random.default_rng(1))


def test_a_set_of_points_is_a_scene_of_its_pictures(tmp_path) -> None:
    from hsikit.cube import from_cube
    from hsikit.simulate.point_set import as_scene, simulate_points
    from hsikit.tasks.detection.specdetr_training import Pictures, cut_pictures

    points = simulate_points(3, seed=2)
    cube, objects = as_scene(points, across=2)
    assert cube.shape == (30, 256, 256)
    assert np.isnan(cube.values[:, 128:, 128:]).all()
    source = from_cube(cube)
    truth = write_truth(tmp_path / "objects.gpkg", objects, points.classes, source.info.grid)
    cut, own = cut_pictures([(source, truth)]), Pictures.of_set(points)
    assert set(cut.names) <= set(own.names)
    assert len(cut.images) == 3  # the missing quarter is no picture
    torch.testing.assert_close(cut.images, own.images, rtol=0, atol=0)
    for picture, labels, boxes in zip(own.images, own.labels, own.boxes, strict=True):
        place = next(i for i, each in enumerate(cut.images) if torch.equal(each, picture))
        torch.testing.assert_close(cut.boxes[place][cut.labels[place] >= 0], boxes[labels >= 0], rtol=0, atol=1e-5)
    again, longer = simulate_points(3, seed=2, part="test"), simulate_points(1, seed=2, part="training, again")
    assert not np.array_equal(again.images, points.images)
    assert not np.array_equal(longer.images, points.images[:1])  # a name that begins like another is another
    np.testing.assert_array_equal(again.classes[0].spectra, points.classes[0].spectra)


def test_a_planted_scene_reads_the_same_by_windows() -> None:
    from hsikit.geo.grid import Window
    from hsikit.scene import read_window

    source, _ = planted()
    whole, part = read_window(source, source.info.grid.whole), read_window(source, Window(11, 20, 30, 40), np.array([1, 4]))
    np.testing.assert_array_equal(part, whole[[1, 4], 11:41, 20:60])


def test_boxes_come_back_from_the_truth(trained) -> None:
    _, source, truth = trained
    names, boxes = read_boxes(truth, source.info.grid)
    np.testing.assert_allclose(boxes, [o.box for o in source.objects], atol=1e-6)
    assert set(names) == {"red", "blue"}
    with pytest.raises(LabelError, match="no attribute 'kind'"):
        read_boxes(truth, source.info.grid, "kind")
    with pytest.raises(LabelError, match="none of its objects"):
        read_boxes(truth, Grid((10, 10), (30.0, 0.0, 0.0, 0.0, -30.0, 0.0), source.info.grid.crs))


def test_a_saved_model_says_the_same(trained, tmp_path) -> None:
    model, source, _ = trained
    again = hsikit.load_method(hsikit.save_method(model, tmp_path / "model"))
    assert again.checksum() == model.checksum()
    assert again.names == ("blue", "red")
    report = hsikit.run(again.with_options(least=0.0), source, tmp_path / "scores.tif", named={"hits": tmp_path / "hits.gpkg"})
    import geopandas

    found = geopandas.read_file(tmp_path / "hits.gpkg")
    assert len(found) == int(report.store["hits"]["hits"]) > 0
    left, bottom, right, top = Grid((90, 110), TRANSFORM).bounds
    assert found.geometry.x.between(left, right).all()
    assert found.geometry.y.between(bottom, top).all()
    assert (found["right"] > found["left"]).all()


def test_another_scene_is_refused(trained) -> None:
    model, source, _ = trained
    with pytest.raises(ModelError, match="trained on surface_reflectance"):
        model.bind({"cube": source.info.with_(quantity="radiance")})
    with pytest.raises(ModelError, match="lacks some"):
        model.bind({"cube": source.info.with_(bands=source.info.bands.take(np.arange(4)))})
    with pytest.raises(OptionError):
        model.with_options(least=2.0)
    with pytest.raises(MethodError, match="train-objects"):
        hsikit.make_method("specdetr")


def test_merging_by_cells_equals_merging_all() -> None:
    rng = np.random.default_rng(0)
    corner, size = rng.integers(0, 150, (400, 2)), rng.integers(1, 9, (400, 2))
    table = np.column_stack((rng.permutation(400) / 400, np.zeros(400), corner, corner + size)).astype(float)
    boxes = torch.from_numpy(np.column_stack((corner + size / 2, size)))
    expected = kept(boxes, torch.from_numpy(table[:, 0]), 0.01).numpy()
    np.testing.assert_array_equal(merged(table), table[expected])


def test_places_on_the_map() -> None:
    found = as_features(np.array([[0.9, 0, 2, 3, 4, 4]]), ("a",), Grid((10, 10), (10.0, 0.0, 100.0, 0.0, -10.0, 500.0), "EPSG:32633"))
    assert found.points.tolist() == [[130.0, 465.0]]
    assert [float(found.columns[side][0]) for side in ("left", "bottom", "right", "top")] == [120, 460, 140, 470]


def test_the_model_in_configs_finds_objects_of_other_landscapes() -> None:
    from pathlib import Path

    from hsikit.metrics.objects import Boxes, object_scores
    from hsikit.simulate.point_set import simulate_points
    from hsikit.tasks.detection.specdetr import find_objects

    model = hsikit.load_method(Path(__file__).resolve().parents[3] / "configs" / "objects-model")
    points = simulate_points(6, seed=0, part="elsewhere")
    valid = torch.ones(128, 128, dtype=torch.bool)
    found = [(n, *row) for n, image in enumerate(points.images) for row in find_objects(model.network, torch.from_numpy(image), valid, 0.0).tolist()]
    known = [(n, o.label, *o.box) for n, objects in enumerate(points.objects) for o in objects]
    table, truth = np.array(found), np.array(known, float)
    boxes = Boxes(table[:, 0].astype(int), table[:, 2].astype(int), table[:, 3:7], table[:, 1])
    scores = object_scores(Boxes(truth[:, 0].astype(int), truth[:, 1].astype(int), truth[:, 2:], np.ones(len(truth))), boxes)
    assert scores.ap > 0.8
    assert model.names == tuple(kind.name for kind in points.classes)
