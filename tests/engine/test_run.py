"""Runs to disk: resumable, atomic, refused where they must be."""

import fcntl
import os
import subprocess
import sys

import numpy as np
import pytest
import rasterio

from hsikit.engine import RunOptions, run_job
from hsikit.engine.ledger import work_folder
from hsikit.engine.options import Silent
from hsikit.errors import OutputError, RunError, SceneError

from .toys import BANDS, Memory, diffusion, learning, mean_filter, odd_scene, standardise


class Dying(Silent):
    """Interrupts the run after some tile steps; keeps what it was told at the start."""

    def __init__(self, after=10**9):
        self.left, self.started = after, None

    def begin(self, plan, total, done):
        self.started = (total, done)

    def advance(self, stage, steps=1):
        self.left -= steps
        if self.left < 0:
            raise KeyboardInterrupt


def run(make, path, progress=None, **options):
    options = {"tile": 12, "threads": 2, **options}
    return run_job(make(), {"cube": Memory(odd_scene())}, path, options=RunOptions(**options), progress=progress)


def pixels(path):
    with rasterio.open(path) as src:
        return src.read(), src.tags(), src.transform, src.crs


@pytest.mark.parametrize("make", [mean_filter, standardise, diffusion, learning])
def test_interrupted_runs_resume_to_the_same_result(make, tmp_path, monkeypatch):
    monkeypatch.setattr("hsikit.engine.ledger.SYNC_SECONDS", 0.0)
    monkeypatch.setattr("hsikit.engine.stages.KEEP_SECONDS", 0.0)
    run(make, tmp_path / "quiet.tif")
    target = tmp_path / "map.tif"
    resumed = []
    for after in (3, 7, 20, 10**9):
        progress = Dying(after)
        try:
            run(make, target, progress)
        except KeyboardInterrupt:
            assert not target.exists()
        resumed.append(progress.started[1])
    assert resumed[1] >= 2 and resumed[-1] > resumed[1]
    a, b = pixels(tmp_path / "quiet.tif"), pixels(target)
    np.testing.assert_array_equal(a[0], b[0])
    assert a[1:] == b[1:]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.json", "map.tif", "quiet.json", "quiet.tif"]


def test_output_in_place_is_refused_and_untouched(tmp_path):
    target = tmp_path / "map.tif"
    target.write_bytes(b"older")
    with pytest.raises(OutputError, match=r"map\.tif: exists already.*--overwrite"):
        run(mean_filter, target)
    assert target.read_bytes() == b"older"
    with pytest.raises(KeyboardInterrupt):
        run(mean_filter, target, Dying(5), overwrite=True)
    assert target.read_bytes() == b"older"
    run(mean_filter, target, overwrite=True)
    assert pixels(target)[0].shape[0] == BANDS


def test_a_file_beside_the_output_is_not_overwritten(tmp_path):
    (tmp_path / "map.json").write_text("mine")
    with pytest.raises(OutputError, match=r"map\.json: exists already"):
        run(mean_filter, tmp_path / "map.tif")


def test_another_command_over_an_unfinished_run_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(mean_filter, tmp_path / "map.tif", Dying(5))
    with pytest.raises(RunError, match="--restart"):
        run(standardise, tmp_path / "map.tif")
    progress = Dying()
    run(standardise, tmp_path / "map.tif", progress, restart=True)
    assert progress.started[1] == 0


def test_one_process_at_a_time(tmp_path):
    folder = work_folder(tmp_path / "map.tif")
    folder.mkdir()
    holder = (
        "import fcntl, os, sys, time; f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); "
        "fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holder, str(folder / "lock")], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline().strip() == "held"
        with pytest.raises(RunError, match="is writing this output"):
            run(mean_filter, tmp_path / "map.tif")
        other.kill()
        other.wait()
    run(mean_filter, tmp_path / "map.tif")  # a lock dies with its process


@pytest.mark.parametrize("place", ["missing/map.tif", "file/map.tif"])
def test_folder_must_be_there(place, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"map\.tif"):
        run(mean_filter, tmp_path / place)


def test_nothing_is_left_of_an_empty_scene(tmp_path):
    source = Memory(np.full((BANDS, 40, 30), -9999, "int16"))
    with pytest.raises(SceneError, match="memory: no valid pixel"):
        run_job(mean_filter(), {"cube": source}, tmp_path / "map.tif", options=RunOptions(tile=12))
    assert not list(tmp_path.iterdir())


def test_full_disk_keeps_what_is_done(tmp_path, monkeypatch):
    import errno

    wrote = []
    real = os.pwrite

    def full(handle, data, offset):
        wrote.append(offset)
        if len(wrote) > 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    monkeypatch.setattr("hsikit.engine.ledger.SYNC_SECONDS", 0.0)
    with pytest.raises(OutputError, match="the disk is full"):
        run(mean_filter, tmp_path / "map.tif")
    monkeypatch.setattr(os, "pwrite", real)
    progress = Dying()
    run(mean_filter, tmp_path / "map.tif", progress)
    assert progress.started[1] > 0


def test_too_little_room_is_refused_before_any_work(tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(OutputError, match="are free"):
        run(mean_filter, tmp_path / "map.tif", Dying(0))


def test_lock_is_a_system_lock(tmp_path):
    folder = work_folder(tmp_path / "map.tif")
    with pytest.raises(KeyboardInterrupt):
        run(mean_filter, tmp_path / "map.tif", Dying(3))
    handle = os.open(folder / "lock", os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # free although the file is there
    os.close(handle)
