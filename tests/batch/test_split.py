"""Large scenes in groups of tiles: the same map, whoever dies; a group that fails fails its scene; nothing is left."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from hsikit.batch import run_batch
from hsikit.batch.agenda import Agenda, Death
from hsikit.batch.executor import Assignment, Limits
from hsikit.batch.filling import parts_folder
from hsikit.batch.ledger import read_rows
from hsikit.batch.orders import Order
from hsikit.batch.run import Silent, ledger_of
from hsikit.batch.supervisor import Supervisor

from .conftest import Make, Place
from .test_supervisor import Book

MIB = 2**20


def whole(path: Path) -> tuple[np.ndarray, dict[str, str], dict[str, Any]]:
    """Pixels, tags and provenance of a map, without its place and time."""
    item = json.loads(path.with_suffix(".json").read_text())
    with rasterio.open(path) as found:
        return found.read(), found.tags(), {name: value for name, value in item["properties"].items() if name not in ("created", "updated", "datetime")}


def assert_same(one: Path, other: Path) -> None:
    for left, right in zip(whole(one), whole(other), strict=True):
        np.testing.assert_equal(left, right)


@pytest.mark.parametrize("options", [{}, {"confidence": True, "smooth": True}, {"bbox": "365100 5807300 365900 5807800"}])
def test_groups_make_the_map_of_one_piece(place: Place, tmp_path: Path, options: dict[str, Any]) -> None:
    outputs = []
    for name, above in (("one", None), ("split", 300)):
        (order,) = place.orders(tmp_path / name, "a.tif", tile=8, **options)
        outcome = run_batch([order], jobs=2, split_above=above)
        assert outcome.done == [order.output] and not outcome.failed
        (row,) = read_rows(ledger_of([order]))
        assert row.state == "done" and row.attempts == (2 if above else 1)
        assert not [path for path in order.output.parent.iterdir() if "hsikit" in path.name and "batch" not in path.name]
        outputs.append(order.output)
    assert_same(*outputs)


def test_groups_tell_masked_pixels_from_missing_ones(place: Place, tmp_path: Path) -> None:
    """The labelled pixels serve as clouds; the output is finer than its scene."""
    found = []
    for name, above in (("one", None), ("split", 300)):
        options = {"tile": 8, "zoom": 2, "mask": [str(place.folder / "labels.tif")]}
        order = Order((str(place.folder / "a.tif"),), "superresolve", tmp_path / name / "fine.tif", options)
        assert run_batch([order], split_above=above).done == [order.output]
        (row,) = read_rows(ledger_of([order]))
        masked = order.output.with_name("fine_masked.tif")
        assert row.attempts == (2 if above else 1) and str(masked) in [file for file, _, _ in row.files]
        with rasterio.open(masked) as file:
            found.append(file.read(1))
        assert json.loads(order.output.with_suffix(".json").read_text())["assets"]["masked"]["roles"] == ["data-mask"]
    with rasterio.open(place.folder / "labels.tif") as labels, rasterio.open(place.folder / "a.tif") as scene:
        values = scene.read()
        missing, hidden = (values == scene.nodata).sum(axis=0) > 0.1 * len(values), labels.read(1) > 0
    wanted = np.where(missing, 0, np.where(hidden, 255, 1)).repeat(2, 0).repeat(2, 1)
    assert set(np.unique(wanted)) == {0, 1, 255}
    for codes in found:
        np.testing.assert_array_equal(codes, wanted)


def test_a_method_that_begins_with_a_statistic_stays_in_one_piece(place: Place, tmp_path: Path) -> None:
    (order,) = place.orders(tmp_path, "a.tif")
    rx = Order(order.scene, "anomaly", tmp_path / "rx.tif", {"tile": 8})
    watch = Notes()
    assert run_batch([rx], split_above=100, watcher=watch).done == [rx.output] and not watch.notes


class Notes(Silent):
    """Keeps what is told; kills the worker of the first group once it has finished some tiles."""

    def __init__(self, kill: bool = False) -> None:
        self.notes: list[str] = []
        self.kill, self.killed = kill, 0

    def note(self, message: str) -> None:
        self.notes.append(message)

    def stepped(self, worker: int, steps: int, total: int) -> None:
        if self.kill and not self.killed and steps >= 2:
            for thread in Path(f"/proc/{os.getpid()}/task").iterdir():
                for child in map(int, (thread / "children").read_text().split()):
                    if "hsikit.batch.worker" in Path(f"/proc/{child}/cmdline").read_text():
                        os.kill(child, signal.SIGKILL)
                        self.killed += 1


def test_a_killed_worker_costs_a_group_its_last_tiles(place: Place, tmp_path: Path) -> None:
    (quiet,) = place.orders(tmp_path / "quiet", "a.tif", tile=4)
    run_batch([quiet])
    (order,) = place.orders(tmp_path / "shot", "a.tif", tile=4)
    watch = Notes(kill=True)
    assert run_batch([order], jobs=2, split_above=300, watcher=watch).done == [order.output]
    assert watch.killed and any("goes on with another" in note for note in watch.notes) and "in 4 groups" in watch.notes[0]
    assert_same(quiet.output, order.output)


def test_a_batch_that_was_stopped_goes_on_with_the_tiles_it_has(place: Place, tmp_path: Path) -> None:
    (order,) = place.orders(tmp_path, "a.tif", tile=4)
    limits = Limits(1, 1, 600 * MIB, split=300)
    supervisor = Supervisor(limits, {})

    class Stops(Book):
        groups = 0

        def interrupted(self, assignment: Assignment, worker: int) -> None:
            self.groups += assignment.group is not None
            if self.groups == 2:
                supervisor.stop()

        def opened(self, assignment: Assignment, identity: Any, pixels: int) -> None:
            pass

    book = Stops()
    finished = supervisor.run([Assignment(order)], book)
    assert not finished, book.ends
    store = parts_folder(order.output)
    before = {path.name for path in (store / "done" / "c").iterdir()}
    assert 10 < len(before) < 80 and not order.output.exists()
    seen = Notes()
    begun: list[int] = []
    seen.begun = lambda worker, order: begun.append(worker)  # type: ignore[method-assign]
    assert run_batch([order], split_above=300, watcher=seen).done == [order.output] and not store.exists()
    assert len(begun) == 4  # the scene, two groups, the scene


def agenda(orders: Make, groups: int) -> tuple[Agenda, Book, list[Assignment]]:
    """An agenda whose first scene was just split; the groups that its workers take."""
    book = Book()
    made = Agenda([Assignment(order) for order in orders("ok-a", "ok-b")], book)
    scene = made.take(1)
    made.answered(scene, 1, {"is": "split", "groups": list(range(groups)), "of": groups, "seconds": 1.0}, 5)
    return made, book, [made.take(1) for _ in range(groups)]


def test_groups_come_first_and_bring_their_scene_back(orders: Make) -> None:
    made, book, groups = agenda(orders, 3)
    assert [group.group for group in groups] == [(0, 3), (1, 3), (2, 3)]
    for group in groups:
        made.answered(group, 1, {"is": "grouped", "seconds": 2.0}, 7)
    scene = made.take(1)
    assert scene.order.output.stem == "ok-a" and scene.group is None
    told: list[tuple[float, int]] = []
    book.done = lambda assignment, worker, files, seconds, peak: told.append((seconds, peak))  # type: ignore[method-assign]
    made.answered(scene, 1, {"is": "done", "files": ["x"], "seconds": 1.5}, 6)
    assert told == [(1 + 3 * 2 + 1.5, 7)] and made.take(1).order.output.stem == "ok-b" and not made


def test_a_group_that_fails_fails_its_scene_once(orders: Make) -> None:
    made, book, groups = agenda(orders, 4)
    made.answered(groups[0], 1, {"is": "failed", "error": "it is broken", "seconds": 0.5}, 1)
    made.answered(groups[1], 1, {"is": "failed", "error": "its tiles are gone", "seconds": 0.5}, 1)
    made.died(groups[2], 1, Death("was killed", outside=True))
    made.answered(groups[3], 1, {"is": "grouped", "seconds": 2.0}, 7)
    assert book.ends["ok-a"].count("it is broken") == 1 and set(book.ends["ok-a"]) == {"it is broken", "waits"}
    assert made.take(1).order.output.stem == "ok-b" and not made


def test_a_failed_scene_leaves_no_tiles(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of its groups is too large for its worker; the store was there when it failed."""
    (order,) = place.orders(tmp_path, "a.tif", tile=4)
    store, seen = parts_folder(order.output), []

    class Starves(Notes):
        def note(self, message: str) -> None:
            super().note(message)
            seen.append(store.exists())
            monkeypatch.setattr(Limits, "exceeded", lambda limits, resident, started: "it took too much")

    outcome = run_batch([order], split_above=300, watcher=Starves())
    assert outcome.failed == {order.output: "it took too much"} and seen[0] and not store.exists()
