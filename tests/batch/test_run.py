"""A batch over fake workers: what is done again and what is not, and what a fault leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hsikit.batch.file_states import state_of
from hsikit.batch.ledger import LEDGER, BatchLedger, Row, read_rows
from hsikit.batch.orders import Order
from hsikit.batch.run import Outcome, ledger_of, run_batch
from hsikit.engine.ledger import COMMITTING, work_folder
from hsikit.errors import HsikitError, OptionError, OutputError, RunError

from .conftest import FAKE, Make, runs_of


def run(orders: list[Order], **options: Any) -> Outcome:
    return run_batch(orders, **{"jobs": 2, "command": FAKE, **options})


def rows(orders: list[Order]) -> dict[str, Row]:
    return {row.output.stem: row for row in read_rows(ledger_of(orders))}


def test_failures_are_named_and_nothing_is_done_again(orders: Make, tmp_path: Path) -> None:
    made = orders("ok-a", "fails-b", "dies-c", "once-d")
    first = run(made)
    assert first.finished and sorted(path.stem for path in first.done) == ["ok-a", "once-d"] and first.ledger == tmp_path / "maps" / LEDGER
    assert {path.stem for path in first.failed} == {"fails-b", "dies-c"} and "is damaged" in first.failed[made[1].output]
    assert {name: (row.state, row.attempts) for name, row in rows(made).items()} == {
        "ok-a": ("done", 1), "fails-b": ("failed", 1), "dies-c": ("failed", 2), "once-d": ("done", 2),
    }  # fmt: skip
    assert rows(made)["fails-b"].peak >= 2**20
    again = run(made)
    assert again.done == [] and again.failed == first.failed and sorted(again.kept) == sorted(first.done)
    assert [runs_of(order) for order in made] == [1, 1, 2, 2]
    retried = run(made, retry_failed=True)
    assert sorted(retried.failed) == sorted(first.failed) and [runs_of(order) for order in made] == [1, 2, 4, 2]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [LEDGER, "ok-a.tif", "once-d.tif"]


def test_what_changed_or_is_missing_is_done_again(orders: Make) -> None:
    made = orders("ok-a", "ok-b", "ok-c", "fails-d")
    run(made)
    Path(made[0].scene[0]).write_text("another scene")
    made[1].output.unlink()
    Path(made[3].scene[0]).write_text("repaired?")
    made[2] = Order(made[2].scene, made[2].task, made[2].output, {"zoom": 3})
    outcome = run(made)
    assert sorted(path.stem for path in outcome.done) == ["ok-a", "ok-b", "ok-c"] and list(outcome.failed) == [made[3].output]
    assert [runs_of(order) for order in made] == [2, 2, 2, 2]
    assert run(made).kept == [order.output for order in made[:3]]


def test_what_is_done_stays_done_where_its_scene_cannot_be_looked_at(orders: Make) -> None:
    made = orders("ok-a", "ok-b")
    run(made)
    Path(made[0].scene[0]).unlink()
    assert run(made).kept == [order.output for order in made]
    assert rows(made)["ok-a"].state == "done"


def test_a_list_that_grows_or_shrinks_keeps_its_ledger(orders: Make, tmp_path: Path) -> None:
    made = [
        Order(order.scene, order.task, tmp_path / "maps" / folder / order.output.name, {}) for order, folder in zip(orders("ok-a", "ok-b"), "xy", strict=True)
    ]
    first = run(made[:1])
    assert first.ledger == tmp_path / "maps" / "x" / LEDGER
    more = run(made)
    assert more.ledger == first.ledger and more.kept == [made[0].output] and more.done == [made[1].output]
    shutil.rmtree(first.ledger.parent)
    whole = run(made, overwrite=True)
    assert whole.ledger == tmp_path / "maps" / LEDGER and run(made[:1]).kept == [made[0].output]


def test_two_ledgers_of_one_list_are_told(orders: Make, tmp_path: Path) -> None:
    made = [
        Order(order.scene, order.task, tmp_path / "maps" / folder / order.output.name, {}) for order, folder in zip(orders("ok-a", "ok-b"), "xy", strict=True)
    ]
    run(made[:1])
    run(made[1:])
    with pytest.raises(OptionError, match="both know outputs of this list"):
        run(made)
    assert run(made, ledger=tmp_path / "one.sqlite", overwrite=True).finished


@pytest.mark.parametrize("ledger", ["s3://bucket/l.sqlite", Path("s3://bucket/l.sqlite")])
def test_a_ledger_on_a_server_is_refused_and_makes_no_folder(orders: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger: str | Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match="lies on a server"):
        run(orders("ok-a"), ledger=ledger)
    assert not Path("s3:").exists()


def test_a_map_of_somebody_else_is_not_replaced(orders: Make) -> None:
    made = orders("ok-a", "ok-b")
    made[0].output.write_text("precious")
    with pytest.raises(OutputError, match=r"ok-a\.tif: exists already, and this batch did not make it"):
        run(made)
    assert made[0].output.read_text() == "precious" and runs_of(made[0]) == runs_of(made[1]) == 0
    run(made, overwrite=True)
    made[1].output.write_text("edited by hand")
    Path(made[1].scene[0]).write_text("another scene")
    with pytest.raises(OutputError, match=r"ok-b\.tif"):
        run(made)
    assert made[1].output.read_text() == "edited by hand"


def test_a_map_that_arrived_as_the_driver_was_killed_is_kept(orders: Make) -> None:
    """The driver died between the map's rename and its own note."""
    made = orders("ok-a", "ok-b")
    with BatchLedger(ledger_of(made)) as ledger:
        ledger.register(made)
        for order in made:
            ledger.begin(order, [state_of(path) for path in order.inputs], state_of(order.output))
    made[0].output.write_text("map")
    outcome = run(made)
    assert outcome.kept == [made[0].output] and outcome.done == [made[1].output] and runs_of(made[0]) == 0
    assert rows(made)["ok-a"].files == (state_of(made[0].output),) and rows(made)["ok-a"].state == "done"


def test_a_worker_killed_after_its_map_is_complete(orders: Make) -> None:
    made = orders("arrives-a", "ok-b")
    left = work_folder(made[0].output)
    left.mkdir()
    outcome = run(made)
    assert sorted(path.stem for path in outcome.done) == ["arrives-a", "ok-b"] and runs_of(made[0]) == 1 and not left.exists()
    assert run(made).kept == [order.output for order in made]


def test_outputs_that_were_taking_their_names_are_left_to_the_engine(orders: Make) -> None:
    """Neither kept nor refused: the engine finishes a commit that was cut short."""
    made = orders("ok-a", "ok-b")
    with BatchLedger(ledger_of(made)) as ledger:
        ledger.register(made[:1])
        ledger.begin(made[0], [], state_of(made[0].output))
    for order in made:
        order.output.write_text("half of it")
        work_folder(order.output).mkdir()
        (work_folder(order.output) / COMMITTING).write_text("[]")
    outcome = run(made)
    assert sorted(outcome.done) == [order.output for order in made] and outcome.kept == [] and [runs_of(order) for order in made] == [1, 1]


def test_a_folder_that_vanished_fails_its_scenes_alone(orders: Make, tmp_path: Path) -> None:
    made = orders("ok-a", "once-b")
    other = Order(made[0].scene, "superresolve", tmp_path / "gone" / "a.tif", {})

    class Remover:
        """Takes the folder away as soon as the batch has made it."""

        def begin(self, *_: object) -> None:
            shutil.rmtree(tmp_path / "gone")

        def begun(self, *_: object) -> None: ...
        def stepped(self, *_: object) -> None: ...
        def ended(self, *_: object) -> None: ...
        def note(self, *_: object) -> None: ...

    outcome = run([other, *made], ledger=tmp_path / "l.sqlite", watcher=Remover())
    assert sorted(path.stem for path in outcome.done) == ["ok-a", "once-b"] and list(outcome.failed) == [other.output]
    assert "FileNotFoundError" in outcome.failed[other.output]


def test_a_ledger_that_cannot_be_written_ends_the_batch(orders: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = orders("ok-a", "sleeps-b")

    def full(*_: object, **__: object) -> None:
        raise OutputError(ledger_of(made), "the disk is full", "Make room")

    monkeypatch.setattr(BatchLedger, "finish", full)
    with pytest.raises(OutputError, match="the disk is full"):
        run(made)
    monkeypatch.undo()
    assert not ledger_of(made).with_name(f"{LEDGER}.lock").exists()
    assert run([made[0]]).kept == [made[0].output] and runs_of(made[0]) == 1  # its map was complete


@pytest.mark.parametrize(("name", "value"), [("jobs", 0), ("threads", -1), ("timeout", 0)])
def test_numbers_that_make_no_sense(orders: Make, name: str, value: int) -> None:
    with pytest.raises(OptionError, match=f"{name}: {value} is not above 0"):
        run(orders("ok-a"), **{name: value})


def test_mistakes_that_would_fail_every_scene(orders: Make, tmp_path: Path) -> None:
    (plain,) = orders("ok-a")
    for options, task, wrong in (({"model": str(tmp_path / "none")}, "classify", "no such model folder"), ({"method": "rxx"}, "anomaly", "no such method")):
        with pytest.raises(HsikitError, match=wrong):
            run([Order(plain.scene, task, plain.output, options)])
    assert not ledger_of([plain]).exists()


DRIVER = """
import json, sys
from pathlib import Path
from hsikit.batch import Order, run_batch
if __name__ == "__main__":
    orders = [Order.from_json(facts) for facts in json.loads(sys.argv[1])]
    print(run_batch(orders, jobs=2, command=json.loads(sys.argv[2])).finished)
"""


@pytest.fixture
def driver(orders: Make) -> Any:
    """A driving process of its own over these scenes; its group is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(made: list[Order]) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", DRIVER, json.dumps([order.to_json() for order in made]), json.dumps(FAKE)]
        started.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        wait_for(lambda: any(runs_of(order) for order in made))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(truth: Any) -> None:
    deadline = time.monotonic() + 30
    while not truth():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_cleanly_and_the_next_run_goes_on(orders: Make, driver: Any, kind: signal.Signals) -> None:
    made = orders("steps-a", "steps-b", "ok-c")
    process = driver(made)
    wait_for(lambda: all(runs_of(order) for order in made[:2]))
    process.send_signal(kind)
    out, _ = process.communicate(timeout=30)
    assert out.strip() == b"False" and process.returncode == 0
    assert {row.state for row in rows(made).values()} == {"waiting"} and not ledger_of(made).with_name(f"{LEDGER}.lock").exists()
    assert run([made[2]]).done == [made[2].output]


def test_a_second_run_is_refused_and_a_killed_driver_takes_its_workers_along(orders: Make, driver: Any) -> None:
    made = orders("sleeps-a", "ok-b")
    process = driver(made)
    wait_for(lambda: made[1].output.exists() and rows(made)["ok-b"].state == "done")
    with pytest.raises(RunError, match=f"process {process.pid} on .* is running this batch"):
        run(made)
    workers = [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert workers
    process.kill()
    process.communicate()
    wait_for(lambda: not any(_alive(worker) for worker in workers))
    assert rows(made)["sleeps-a"].state == "running"
    assert run(made, timeout=0.3).kept == [made[1].output]
    assert runs_of(made[0]) == 2 and runs_of(made[1]) == 1


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
