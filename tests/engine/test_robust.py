"""What a review proved to be wrong once: kills at awkward moments, options that change, names that clash."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from hsikit.engine import RunOptions, compute, run_job
from hsikit.engine.ledger import COMMITTING, Ledger, work_folder
from hsikit.engine.tiling import make_tiling
from hsikit.engine.workers import in_flight, run_ordered
from hsikit.errors import MemoryPlanError, OptionError, OutputError, SceneError
from hsikit.geo.grid import Window
from hsikit.layers import Features, Layer
from hsikit.method import Finish, Loop, Map, Reduce

from .test_run import Dying, pixels, run
from .toys import BANDS, COLS, ROWS, Memory, brightest, job, mean_filter, odd_scene, standardise


def copy(tile, store):
    return {"a": tile.inner("cube")[:1]}


def plus_one(tile, store):
    return {"a": tile.inner("a") + 1}


def largest(strips, store):
    value = max(float(np.nan_to_num(arrays["a"], nan=-1).max()) for _, arrays in strips.strips("a"))
    return {"max": torch.tensor(value)}, {"notes": Features({"max": np.array([value]), "word": np.array(["text"])})}


def finish_between_maps():
    stages = [Map("copy", ("cube",), ("a",), copy), Finish("largest", ("a",), largest), Map("more", ("a",), ("a",), plus_one)]
    return job(stages, [Layer("a"), Layer("notes", "table")])


def loop_until_large():
    steps = (Map("more", ("a",), ("a",), plus_one), Finish("largest", ("a",), largest))
    loop = Loop("loop", steps, 6, until=lambda store, iteration: float(store["largest"]["max"]) > 5001.5)
    return job([Map("copy", ("cube",), ("a",), copy), loop], [Layer("a"), Layer("notes", "table")])


@pytest.mark.parametrize("make", [finish_between_maps, loop_until_large])
def test_a_resumed_finish_stage_is_not_run_on_layers_that_are_gone(make, tmp_path, monkeypatch):
    monkeypatch.setattr("hsikit.engine.ledger.SYNC_SECONDS", 0.0)
    run(make, tmp_path / "quiet.tif", tile=30)
    for after in (7, 1, 2, 3, 10**6):
        try:
            run(make, tmp_path / "map.tif", Dying(after), tile=30)
            break
        except KeyboardInterrupt:
            continue
    np.testing.assert_array_equal(pixels(tmp_path / "quiet.tif")[0], pixels(tmp_path / "map.tif")[0])
    assert (tmp_path / "quiet_notes.csv").read_text() == (tmp_path / "map_notes.csv").read_text()


def test_a_folder_half_removed_is_not_resumed(tmp_path, monkeypatch):
    removed = []

    def half(folder, ignore_errors=False):
        removed.append(sorted(path.name for path in folder.iterdir()))

    monkeypatch.setattr(shutil, "rmtree", half)
    run(mean_filter, tmp_path / "map.tif")
    assert removed and not {"ledger.sqlite", COMMITTING} & set(removed[-1])
    monkeypatch.undo()
    progress = Dying()
    run(mean_filter, tmp_path / "map.tif", progress, overwrite=True)
    assert progress.started[1] == 0
    assert np.isfinite(pixels(tmp_path / "map.tif")[0]).any()


@pytest.mark.parametrize(("options", "error"), [({"threads": 0}, OptionError), ({"memory": 2**20}, MemoryPlanError)])
def test_a_mistaken_option_costs_no_finished_work(options, error, tmp_path, monkeypatch):
    monkeypatch.setattr("hsikit.engine.ledger.SYNC_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run(mean_filter, tmp_path / "map.tif", Dying(6))
    with pytest.raises(error):
        run(mean_filter, tmp_path / "map.tif", **options)
    progress = Dying()
    run(mean_filter, tmp_path / "map.tif", progress)
    assert progress.started[1] >= 5


def test_a_read_error_costs_no_finished_work_of_an_earlier_run(tmp_path, monkeypatch):
    monkeypatch.setattr("hsikit.engine.ledger.SYNC_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run(mean_filter, tmp_path / "map.tif", Dying(6))

    class Stale(Memory):
        def read(self, window, bands):
            raise SceneError("memory", "stale file handle")

    with pytest.raises(SceneError):
        run_job(mean_filter(), {"cube": Stale(odd_scene())}, tmp_path / "map.tif", options=RunOptions(tile=12, threads=2))
    progress = Dying()
    run(mean_filter, tmp_path / "map.tif", progress)
    assert progress.started[1] >= 5


def two_layers():
    def apply(tile, store):
        return {"a": tile.inner("cube")[:1], "b": tile.inner("cube")[:2]}

    return job([Map("both", ("cube",), ("a", "b"), apply)], [Layer("a"), Layer("b", bands=2)])


def test_layers_of_one_file_name_in_two_folders(tmp_path):
    (tmp_path / "x").mkdir()
    run_job(two_layers(), {"cube": Memory(odd_scene())}, tmp_path / "o.tif", named={"b": tmp_path / "x" / "o.tif"})
    assert pixels(tmp_path / "o.tif")[0].shape[0] == 1
    assert pixels(tmp_path / "x" / "o.tif")[0].shape[0] == 2


def test_two_layers_in_one_file_are_refused(tmp_path):
    with pytest.raises(OutputError, match="two layers"):
        run_job(two_layers(), {"cube": Memory(odd_scene())}, tmp_path / "o.tif", named={"b": tmp_path / "o.tif"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "output", "named"),
    [
        (mean_filter, "o.doc", {}),
        (brightest, "o.tif", {"peak": "p.shp"}),
        (finish_between_maps, "o.tif", {"notes": "n.xls"}),
    ],
)
def test_unknown_endings_are_refused_before_any_work(make, output, named, tmp_path):
    with pytest.raises(OutputError, match=r"o\.doc|p\.shp|n\.xls"):
        run_job(make(), {"cube": Memory(odd_scene())}, tmp_path / output, named={k: tmp_path / v for k, v in named.items()})
    assert not list(tmp_path.iterdir())


def test_an_output_that_is_an_input_is_refused(tmp_path):
    path = tmp_path / "scene.tif"
    path.write_bytes(b"precious")
    source = Memory(odd_scene())
    source.info = source.info.with_(identity=((str(path), 8, 0),))
    with pytest.raises(OutputError, match="is an input"):
        run_job(mean_filter(), {"cube": source}, path, options=RunOptions(overwrite=True))
    assert path.read_bytes() == b"precious"


class Killed(BaseException):
    pass


def interrupted_commit(tmp_path, monkeypatch):
    """A run over an older output, killed in its commit after the first rename, as kill -9 would: nothing is taken back."""
    (tmp_path / "map.tif").write_bytes(b"older")
    (tmp_path / "map.json").write_text("older")
    real, calls = os.replace, []

    def dying(source, target):
        if "products" in str(source) and len(calls) == 1:
            raise Killed
        if "products" in str(source):
            calls.append(target)
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying)
        patch.setattr("hsikit.writers.staging.undo", lambda staged: None)
        patch.setattr(Ledger, "end_commit", lambda self: None)
        with pytest.raises(Killed):
            run(mean_filter, tmp_path / "map.tif", overwrite=True)
    assert (work_folder(tmp_path / "map.tif") / COMMITTING).exists()
    assert (tmp_path / "map.tif").read_bytes() == b"older"


def test_an_interrupted_commit_is_finished_by_the_same_command(tmp_path, monkeypatch):
    interrupted_commit(tmp_path, monkeypatch)
    run(mean_filter, tmp_path / "map.tif")
    assert pixels(tmp_path / "map.tif")[0].shape[0] == BANDS
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.json", "map.tif"]


def test_restarting_an_interrupted_commit_takes_it_back_first(tmp_path, monkeypatch):
    interrupted_commit(tmp_path, monkeypatch)
    with pytest.raises(OutputError, match="exists already"):
        run(mean_filter, tmp_path / "map.tif", restart=True)
    with pytest.raises(KeyboardInterrupt):
        run(standardise, tmp_path / "map.tif", Dying(2), restart=True, overwrite=True)
    assert (tmp_path / "map.json").read_text() == "older"
    assert (tmp_path / "map.tif").read_bytes() == b"older"


def test_room_that_is_already_taken_counts_on_resuming(tmp_path, monkeypatch):
    monkeypatch.setattr("hsikit.engine.ledger.SYNC_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run(mean_filter, tmp_path / "map.tif", Dying(25))
    layer = ROWS * COLS * BANDS * 4
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 0, int(1.6 * layer)))
    run(mean_filter, tmp_path / "map.tif")


def test_a_tile_larger_than_the_scene_is_the_scene():
    layers = compute(mean_filter(), {"cube": Memory(odd_scene())}, tile=200_000).layers
    assert layers["mean"].shape == (BANDS, ROWS, COLS)


def test_bf16_layers_are_stored():
    def apply(tile, store):
        return {"a": torch.nn.functional.conv2d(tile.inner("cube")[None, :1].nan_to_num(), torch.ones(1, 1, 1, 1))[0]}

    made = job([Map("conv", ("cube",), ("a",), apply)], [Layer("a")])
    values = compute(made, {"cube": Memory(odd_scene())}, options=RunOptions(precision="bf16")).layers["a"][0]
    expected = odd_scene()[0].astype("f4")
    seen = np.isfinite(values)
    np.testing.assert_allclose(values[seen], expected[seen], rtol=2**-7)


def test_a_merge_may_add_in_place():
    def merge(left, right):
        left["n"] += right["n"]
        return left

    counted = Reduce("count", ("cube",), lambda tile, store: {"n": tile.inner_valid("cube").sum()}, merge)
    assert int(compute(job([counted], []), {"cube": Memory(odd_scene())}, tile=10).store["count"]["n"]) > 3000


def test_one_slow_tile_does_not_let_results_pile_up():
    import threading

    release, fetched = threading.Event(), []

    def fetch(number):
        fetched.append(number)
        if len(fetched) >= 2 * in_flight(2):
            release.set()
        return number

    def work(number, item):
        if number == 0:
            release.wait(5)
        return number

    seen = []
    for number, _ in run_ordered(range(200), fetch, lambda: work, 2, ordered=True):
        seen.append(number)
        assert len(fetched) - len(seen) <= 2 * in_flight(2)
    assert seen == list(range(200))


def test_columns_of_an_unaligned_area_are_whole():
    apply = lambda tile, store: {"a": tile.inner("cube")[:1] - tile.inner("cube")[:1].nanmean(1, keepdim=True)}  # noqa: E731
    made = job([Map("flat", ("cube",), ("a",), apply, footprint="columns", align=4)], [Layer("a")])
    area = Window(47, 5, 8, 20)
    got = compute(made, {"cube": Memory(odd_scene())}, options=RunOptions(area=area)).layers["a"][0]
    part = odd_scene()[0, 47:55, 5:25].astype("f4")
    assert got.shape == part.shape
    assert make_tiling(area, (8 + 47 % 4, 20), 4).grid[0] == 1


def test_names_that_stand_twice_are_refused():
    twice = [Map("copy", ("cube",), ("a",), copy), Map("copy", ("a",), ("a",), plus_one)]
    with pytest.raises(ValueError, match="copy"):
        compute(job(twice, [Layer("a")]), {"cube": Memory(odd_scene())})


def test_restart_with_a_link_in_the_folder(tmp_path):
    folder = work_folder(tmp_path / "map.tif")
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    run(mean_filter, tmp_path / "map.tif", restart=True)
    assert (tmp_path / "elsewhere").is_dir()


def test_a_full_disk_in_the_ledger_is_said(tmp_path, monkeypatch):
    import sqlite3

    from hsikit.engine.ledger import _written

    with pytest.raises(OutputError, match="the disk is full"), _written(tmp_path / "w"):
        raise sqlite3.OperationalError("database or disk is full")


def test_the_commit_marker_holds_absolute_paths(tmp_path, monkeypatch):
    interrupted_commit(tmp_path, monkeypatch)
    pairs = json.loads((work_folder(tmp_path / "map.tif") / COMMITTING).read_text())
    assert pairs and all(Path(path).is_absolute() for pair in pairs for path in pair)
    with rasterio.open(pairs[-1][0]) as staged:
        assert staged.count == BANDS
