"""Workers with the engine: the maps are those of a quiet run, whatever is killed."""

from __future__ import annotations

import io
import json
import os
import queue
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from hsikit.batch.ledger import LEDGER, read_rows
from hsikit.batch.orders import Order, make_order
from hsikit.batch.run import Silent, run_batch
from hsikit.batch.worker import Reporter, serve
from hsikit.errors import OutputError

from .conftest import Place

MEMORY = 4 * 2**30


def answers(orders: list[Order], *, stop: bool = False, **how: Any) -> list[dict[str, Any]]:
    """What a worker in this process says to orders."""
    waiting: queue.Queue[Any] = queue.Queue()
    for order in orders:
        waiting.put({"order": json.loads(json.dumps(order.to_json())), "how": {"threads": 1, "memory": MEMORY, "restart": False, "overwrite": False, **how}})
    waiting.put(None)
    out = io.StringIO()
    reporter = Reporter(out)
    if stop:
        reporter.stop.set()
    serve(waiting, reporter, threading.Event())
    return [json.loads(line) for line in out.getvalue().splitlines()]


def pixels(path: Path) -> Any:
    with rasterio.open(path) as found:
        return found.read(), found.tags()


def test_a_worker_says_how_far_it_is_and_what_it_wrote(place: Place, tmp_path: Path) -> None:
    (order,) = place.orders(tmp_path, "a.tif", tile=16, confidence=True)
    said = answers([order])
    assert [message["is"] for message in said[:2]] == ["opened", "begin"] and said[-1]["is"] == "done"
    assert said[0]["pixels"] == 1200 and said[0]["identity"][0][0] == str(place.folder / "a.tif")
    assert said[1]["total"] == sum(message.get("steps", 0) for message in said) > 1
    assert said[-1]["files"][0] == str(order.output) and str(tmp_path / "a_confidence.tif") in said[-1]["files"]
    assert all(Path(file).exists() for file in said[-1]["files"]) and said[-1]["seconds"] > 0


def test_a_corrupt_scene_and_a_vanished_folder_fail_by_themselves(place: Place, tmp_path: Path) -> None:
    made = [*place.orders(tmp_path, "bad.tif"), *place.orders(tmp_path / "gone", "a.tif"), *place.orders(tmp_path, "a.tif", mask="none.gpkg")]
    said = [message for message in answers(made) if message["is"] == "failed"]
    assert len(said) == 3
    for message, named in zip(said, ("bad.tif", "does not exist", "none.gpkg"), strict=True):
        assert named in message["error"] and "internal" not in message["error"]
    assert list(tmp_path.iterdir()) == []


def test_neither_an_error_of_ours_nor_a_full_disk_ends_the_worker(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [ZeroDivisionError("oh"), OutputError("map.tif", "the disk is full", "Make room")]

    def broken(*_: object, **__: object) -> None:
        raise faults.pop(0)

    monkeypatch.setattr("hsikit.batch.worker.fill_order", broken)
    said = answers(place.orders(tmp_path, "a.tif", "b.tif"))
    assert [message.get("error") for message in said if message["is"] != "opened"] == [
        "internal error: ZeroDivisionError: oh (this is our mistake)", "map.tif: the disk is full. Make room",
    ]  # fmt: skip


def test_a_worker_stops_between_two_tiles_and_the_next_goes_on(place: Place, tmp_path: Path) -> None:
    (order,) = place.orders(tmp_path, "a.tif", tile=8)
    said = answers([order], stop=True)
    assert [message["is"] for message in said] == ["opened", "begin", "advance", "stopped"] and not order.output.exists()
    assert [path.name for path in tmp_path.iterdir()] == [".a.tif.hsikit"]
    assert answers([order])[-1]["is"] == "done" and not (tmp_path / ".a.tif.hsikit").exists()


def test_other_tasks(place: Place, tmp_path: Path) -> None:
    scene = str(place.folder / "a.tif")
    anomaly = make_order([scene], "anomaly", str(tmp_path / "{stem}_{task}.tif"), {"hits": str(tmp_path / "{stem}_hits.gpkg"), "param": {"ridge": 0.01}}, "x")
    finer = make_order([scene], "superresolve", str(tmp_path / "finer.tif"), {"zoom": 3, "bbox": "365300 5807400 365600 5807700"}, "x")
    said = [message for message in answers([anomaly, finer]) if message["is"] in ("done", "failed")]
    assert [message["is"] for message in said] == ["done", "done"], said
    assert (tmp_path / "a_hits.gpkg").exists() and pixels(tmp_path / "finer.tif")[0].shape == (10, 30, 30)


class Killer(Silent):
    """Kills the first worker in the middle of a scene."""

    killed = 0

    def stepped(self, worker: int, steps: int, total: int) -> None:
        if steps > 20 and not self.killed:
            self.killed = steps
            task = Path(f"/proc/{os.getpid()}/task")
            for child in [int(number) for thread in task.iterdir() for number in (thread / "children").read_text().split()]:
                if "hsikit.batch.worker" in Path(f"/proc/{child}/cmdline").read_text():
                    os.kill(child, signal.SIGKILL)


def test_the_maps_of_a_batch_with_a_killed_worker_are_those_of_a_quiet_run(place: Place, tmp_path: Path) -> None:
    import hsikit

    made, killer = place.orders(tmp_path / "maps", "a.tif", "bad.tif", "b.tif", tile=2, probabilities=True), Killer()
    outcome = run_batch(made, jobs=1, watcher=killer)
    assert 20 < killer.killed < 300 and sorted(path.stem for path in outcome.done) == ["a", "b"]
    assert [path.stem for path in outcome.failed] == ["bad"] and "bad.tif" in outcome.failed[made[1].output]
    assert {row.output.stem: row.attempts for row in read_rows(tmp_path / "maps" / LEDGER)} == {"a": 2, "bad": 1, "b": 1}
    for name in ("a", "b"):
        quiet = tmp_path / f"{name}.tif"
        hsikit.run(place.model, str(place.folder / f"{name}.tif"), quiet, probabilities=True, tile=2, threads=1, memory=MEMORY)
        for suffix in ("", "_probabilities"):
            found, expected = (pixels(folder / f"{name}{suffix}.tif") for folder in (tmp_path / "maps", tmp_path))
            np.testing.assert_array_equal(found[0], expected[0])
            assert found[1] == expected[1]
    assert not list((tmp_path / "maps").glob(".*.hsikit"))
