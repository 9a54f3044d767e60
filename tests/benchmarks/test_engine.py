"""The engine's benchmark on a tiny scene: the three that it compares make the same map."""

import argparse

import numpy as np
import pytest
import torch

from benchmarks import engine
from benchmarks.network import HALO, Network
from benchmarks.scenes import FORMATS, make_scene
from hsikit.engine import compute
from hsikit.geo.grid import Window
from hsikit.sensors import open_source

SHAPE = (6, 60, 52)


def test_plan_is_read_from_its_words():
    plan = engine.Plan()
    plan.begin("126 tiles of 96 x 334 pixels, 2 threads, about 692 of 700 MiB", 126, 0)
    assert plan.facts() == {"tiles": 126, "tile": [96, 334], "threads": 2, "planned": 692 * 2**20}


@pytest.mark.parametrize("kind", list(FORMATS))
def test_dask_makes_the_engines_map(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "BLOCK", 23)
    path = make_scene(tmp_path, kind, SHAPE)
    source = open_source(path)
    ours = compute(Network().bind({"cube": source.info}), {"cube": source}, tile=20, threads=1).layers["map"][0]
    theirs = engine._dask_map(path, SHAPE[0]).compute(scheduler="synchronous")
    assert theirs.shape == ours.shape
    assert ((ours == 0) == (theirs == 0)).all()
    assert (ours != theirs).mean() < 2e-3


def test_preloaded_tiles_are_those_of_the_engine(tmp_path):
    source = open_source(make_scene(tmp_path, "envi-bsq", SHAPE))
    tile = engine.load_tile(source, Window(40, 0, 20, 26))
    assert tile.arrays["cube"].shape == (SHAPE[0], 20 + 2 * HALO, 26 + 2 * HALO)
    assert tile.inner_valid("cube").shape == (20, 26)
    assert torch.equal(tile.valid["cube"], ~tile.arrays["cube"][0].isnan())
    assert not tile.valid["cube"][:, :HALO].any()  # left of the scene


def runs(*cpu, peak=699, **more):
    return [{"cpu": seconds, "wall": 5.0, "peak": peak * 2**20, "inside": seconds / 1.07, **more} for seconds in cpu]


def test_report_names_what_missed(capsys):
    facts = {"planned": 600 * 2**20, "tile": [96, 128]}
    engine.report("geotiff-tiled", {"engine": runs(11.6, peak=701, **facts), "model": runs(10.0)}, 700 * 2**20)
    assert "MISSED CPU, memory" in capsys.readouterr().out
    engine.report("geotiff-tiled", {"engine": runs(11.4, **facts), "model": runs(10.0)}, 700 * 2**20)
    assert "ok" in capsys.readouterr().out


def test_what_counts_is_the_median_of_the_pairs(capsys):
    pairs = {"engine": runs(11.0, 24.0, 10.5, planned=0, tile=[9, 9]), "model": runs(10.0, 20.0, 10.0)}
    assert engine.ratios(pairs, "cpu") == pytest.approx([1.05, 1.1, 1.2])
    engine.report("envi-bsq", pairs, 700 * 2**20)
    said = capsys.readouterr().out
    assert "1.100  1.050-1.200   1.070" in said and "MISSED" not in said


def test_pairs_take_turns(tmp_path, monkeypatch):
    called = []

    def fresh(module, *arguments, threads):
        called.append(arguments[1])
        return {"tile": [8, 8]}

    monkeypatch.setattr(engine, "run_fresh", fresh)
    path = make_scene(tmp_path, "envi-bsq", SHAPE)
    args = argparse.Namespace(memory="700M", threads=1, folder=tmp_path, tile=None, pairs=4, no_dask=False)
    found = engine.measure(path, args)
    assert called == ["engine", "model", "model", "engine", "engine", "model", "model", "engine", "dask"]
    assert [len(found[side]) for side in ("engine", "model", "dask")] == [4, 4, 1]


def test_histogram_counts_codes(tmp_path):
    import rasterio

    codes = np.repeat(np.arange(13, dtype=np.uint8), 13).reshape(13, 13)
    with rasterio.open(tmp_path / "map.tif", "w", driver="GTiff", width=13, height=13, count=1, dtype="uint8") as file:
        file.write(codes, 1)
    assert engine._histogram(tmp_path / "map.tif") == [13] * 13
