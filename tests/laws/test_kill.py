"""`kill -9` at any moment, then the same command: the same product, and an older one stays whole until the new one is."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import rasterio

from .scenes import make_scene, write_scene

# The real command. What is done is written down after every tile, and renames take a moment, so that each moment can be met.
COMMAND = """
import os, sys, time
import hsikit.engine.ledger, hsikit.engine.stages
from hsikit_cli.main import main

def slowly(real):
    def call(*arguments, **options):
        time.sleep(0.15)
        return real(*arguments, **options)
    return call

hsikit.engine.ledger.SYNC_SECONDS = hsikit.engine.stages.KEEP_SECONDS = 0.0
os.replace, os.link = slowly(os.replace), slowly(os.link)
main(sys.argv[1:])
"""
OPTIONS = ("--tile", "16", "--threads", "1", "--smooth", "--confidence", "--overwrite")
PATIENCE = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene, a model, the product of an undisturbed run in `quiet`, and an older map in `out`."""
    import hsikit

    place = tmp_path_factory.mktemp("kill")
    scene = write_scene(place, make_scene(96, 88, 6, seed=2), per_class=40)
    hsikit.train("mnf-lda", scene, place / "labels.tif", components=4, width=3).save(place / "model")
    (place / "quiet").mkdir()
    (place / "out").mkdir()
    with start(place, "quiet/map.tif") as run:
        assert run.wait(PATIENCE) == 0
    with rasterio.open(place / "quiet/map.tif") as made, rasterio.open(place / "older.tif", "w", **made.profile) as older:
        older.write((made.read() > 0).astype("uint8"))
    shutil.copy(place / "older.tif", place / "out/map.tif")
    return place


def start(place: Path, output: str) -> subprocess.Popen[bytes]:
    """The command in a process group of its own."""
    words = [sys.executable, "-c", COMMAND, "classify", "scene.tif", "--model", "model", "-o", output, *OPTIONS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (place / "log").open("wb") as log:
        return subprocess.Popen(words, cwd=place, stdout=log, stderr=log, env=environment, start_new_session=True)


def tiles_done(work: Path) -> int:
    """Finished tiles of all stages, as the ledger has them."""
    try:
        with sqlite3.connect(f"file:{work / 'ledger.sqlite'}?mode=ro", uri=True) as ledger:
            tiles = ledger.execute("SELECT count(*) FROM done").fetchone()[0]
            folds = ledger.execute("SELECT coalesce(sum(upto), 0) FROM result WHERE stage NOT IN (SELECT stage FROM done)").fetchone()[0]
        return int(tiles) + int(folds)
    except sqlite3.Error:
        return 0


def tiles(count: int) -> Callable[[Path], bool]:
    return lambda work: tiles_done(work) >= count


def product(name: str) -> Callable[[Path], bool]:
    return lambda work: any((work / "products").glob(name))


MOMENTS: tuple[tuple[str, Callable[[Path], bool]], ...] = (
    ("the folder is made", lambda work: work.is_dir()),
    ("the ledger lies there", lambda work: (work / "ledger.sqlite").exists()),
    ("a first tile is done", tiles(1)),
    ("some are", tiles(12)),
    ("a stage is", tiles(36)),
    ("half of it is", tiles(70)),
    ("nearly all is", tiles(100)),
    ("products are being written", product("*")),
    ("all are staged", lambda work: (work / "committing").exists()),
    ("some are in place", lambda work: (work / "committing").exists() and not any((work / "products").glob("*.qml"))),
)


def kill_when(place: Path, moment: Callable[[Path], bool]) -> int:
    """Starts the command and kills its process group at a moment; its exit status."""
    work, until = place / "out/.map.tif.hsikit", time.monotonic() + PATIENCE
    with start(place, "out/map.tif") as run:
        while run.poll() is None and not moment(work):
            assert time.monotonic() < until, "the moment never came"
            time.sleep(0.002)
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        return run.wait()


def facts(path: Path) -> dict[str, object]:
    with rasterio.open(path) as found:
        colours = found.colormap(1) if found.dtypes[0] == "uint8" else None
        return {
            "pixels": found.read().tobytes(), "tags": (found.tags(), found.tags(1)), "colours": colours, "crs": found.crs,
            "transform": found.transform, "nodata": str(found.nodata), "blocks": found.block_shapes, "overviews": found.overviews(1),
        }  # fmt: skip


def test_killed_at_ten_moments(folder: Path) -> None:
    older, killed = (folder / "older.tif").read_bytes(), []
    for name, moment in MOMENTS:
        status = kill_when(folder, moment)
        assert status in (-signal.SIGKILL, 0), f"{name}: {(folder / 'log').read_text()}"
        killed += [name] if status else []
        assert status == 0 or (folder / "out/map.tif").read_bytes() == older, f"killed when {name}: the older map is not whole"
    assert len(killed) == len(MOMENTS), f"of {len(MOMENTS)} moments only these were met: {killed}"

    with start(folder, "out/map.tif") as run:
        assert run.wait(PATIENCE) == 0
    said = (folder / "log").read_text()
    resumed = re.search(r"resumed (\d+) of (\d+) tiles", said)
    assert resumed and resumed[1] == resumed[2], said  # the last was killed with every tile done
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted(path.name for path in (folder / "quiet").iterdir())
    for name in ("map.tif", "map_confidence.tif"):
        quiet, resumed = facts(folder / "quiet" / name), facts(folder / "out" / name)
        assert [key for key in quiet if quiet[key] != resumed[key]] == []
    for name in ("map.qml", "map.tif.aux.xml"):
        assert (folder / "quiet" / name).read_bytes() == (folder / "out" / name).read_bytes()


def test_interrupted_by_the_user(folder: Path) -> None:
    """Ctrl-C ends at once with 130 and one line; what was done stays."""
    (folder / "stopped").mkdir()
    work, until = folder / "stopped/.map.tif.hsikit", time.monotonic() + PATIENCE
    with start(folder, "stopped/map.tif") as run:
        while run.poll() is None and tiles_done(work) < 12:
            assert time.monotonic() < until, "it never began"
            time.sleep(0.002)
        run.send_signal(signal.SIGINT)
        assert run.wait(PATIENCE) == 130
    said = (folder / "log").read_text().splitlines()
    assert said[-1] == "interrupted; the same command resumes" and not any("Traceback" in line for line in said)
    assert [path.name for path in (folder / "stopped").iterdir()] == [work.name] and tiles_done(work) >= 12
