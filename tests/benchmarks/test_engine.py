"""The engine's benchmark on a tiny scene: the three that it compares make the same map."""

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


def test_report_names_what_missed(capsys):
    figures = {"cpu": 11.6, "wall": 5.0, "peak": 701 * 2**20, "planned": 600 * 2**20, "tile": [96, 128]}
    model = {"cpu": 10.0, "wall": 5.0, "peak": 0}
    engine.report("geotiff-tiled", {"engine": figures, "model": model}, 700 * 2**20)
    assert "MISSED CPU, memory" in capsys.readouterr().out
    engine.report("geotiff-tiled", {"engine": {**figures, "cpu": 11.4, "peak": 699 * 2**20}, "model": model}, 700 * 2**20)
    assert "ok" in capsys.readouterr().out


def test_histogram_counts_codes(tmp_path):
    import rasterio

    codes = np.repeat(np.arange(13, dtype=np.uint8), 13).reshape(13, 13)
    with rasterio.open(tmp_path / "map.tif", "w", driver="GTiff", width=13, height=13, count=1, dtype="uint8") as file:
        file.write(codes, 1)
    assert engine._histogram(tmp_path / "map.tif") == [13] * 13
