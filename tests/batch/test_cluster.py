"""Batches on clusters of separate processes: what is lost, cancelled, refused, and never done by two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from hsikit.batch import Cluster, agenda, cluster, dask_executor, node, read_orders, run_batch
from hsikit.batch.dask_executor import DaskExecutor
from hsikit.batch.executor import Assignment, Limits
from hsikit.batch.ledger import read_rows
from hsikit.batch.orders import Order
from hsikit.batch.run import Outcome, Silent, ledger_of
from hsikit.engine.ledger import Ledger, work_folder
from hsikit.errors import MissingExtraError, OptionError, RunError

from .conftest import FAKE, Make, Place, runs_of
from .test_supervisor import MIB, Book

LOCAL = {"threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": 0}


@pytest.fixture(scope="module")
def dask() -> Iterator[Any]:
    """A cluster of two processes."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, **LOCAL) as own:
        yield own


@pytest.fixture(scope="module")
def client(dask: Any) -> Iterator[Any]:
    from distributed import Client

    with Client(dask, set_as_default=False) as found:
        yield found


def run(dask: Any, orders: list[Order], **options: Any) -> Outcome:
    return run_batch(orders, **{"cluster": Cluster(dask.scheduler_address), "command": FAKE, **options})


def states(orders: list[Order]) -> dict[str, tuple[str, int]]:
    return {row.output.stem: (row.state, row.attempts) for row in read_rows(ledger_of(orders))}


def wait_for(truth: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not truth():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def processes_of(name: str) -> dict[int, int]:
    """Processes that have a name in their command line, and their parents."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if name in (folder / "cmdline").read_text():
                found[int(folder.name)] = int((folder / "stat").read_text().rsplit(") ", 1)[1].split()[1])
        except OSError:
            continue
    return found


def test_scenes_end_as_on_one_machine(dask: Any, orders: Make) -> None:
    made = orders("ok-a", "fails-b", "dies-c", "once-d", "climbs-e", "arrives-f", "killed-g")
    outcome = run(dask, made)
    assert states(made) == {
        "ok-a": ("done", 1), "fails-b": ("failed", 1), "dies-c": ("failed", 2), "once-d": ("done", 2), "climbs-e": ("done", 5), "arrives-f": ("done", 1),
        "killed-g": ("failed", 10),
    }  # fmt: skip
    assert outcome.finished and {row.output.stem: runs_of(order) for row, order in zip(read_rows(ledger_of(made)), made, strict=True)} == {
        name: attempts for name, (_, attempts) in states(made).items()
    }
    assert "is damaged" in outcome.failed[made[1].output] and "ended with code 7 (the last words)" in outcome.failed[made[2].output]
    row = read_rows(ledger_of(made))[0]
    assert row.pixels == 12 and row.inputs[0][0] == made[0].scene[0]
    assert sorted(run(dask, made).kept) == sorted(outcome.done)


def test_limits_hold_on_a_cluster(dask: Any, orders: Make) -> None:
    made = orders("sleeps-a", "ok-b")
    assert "longer than --timeout 0.5 s" in run(dask, made, timeout=0.5).failed[made[0].output]
    (large,) = orders("grows-c")
    assert "more than --memory allows" in run(dask, [large], memory="100M").failed[large.output]
    assert [runs_of(order) for order in (*made, large)] == [1, 1, 1]


class KillsDaskWorker(Silent):
    """Kills the Dask worker that has a scene, as soon as it tells how far it is."""

    def __init__(self, name: str) -> None:
        self.name, self.killed = name, 0

    def stepped(self, worker: int, steps: int, total: int) -> None:
        if not self.killed:
            (parent,) = {parent for child, parent in processes_of(self.name).items() if parent != os.getpid()}
            self.killed = parent
            os.kill(parent, signal.SIGKILL)


def test_a_scene_whose_dask_worker_is_lost_is_done_by_another(dask: Any, orders: Make) -> None:
    made, killer = orders("lost-a", "ok-b"), KillsDaskWorker("fake_worker.py")
    outcome = run(dask, made[:1], watcher=killer)
    assert killer.killed and outcome.done == [made[0].output] and runs_of(made[0]) == 2 and states(made) == {"lost-a": ("done", 2)}
    assert run(dask, made).kept == [made[0].output]


def test_the_map_of_a_scene_whose_dask_worker_was_lost_is_that_of_a_quiet_run(dask: Any, place: Place, tmp_path: Path) -> None:
    """With the engine: the next worker waits for the lock of the one before, and goes on from its tiles."""
    (made,) = place.orders(tmp_path / "maps", "a.tif", tile=1, probabilities=True)
    (quiet,) = place.orders(tmp_path / "quiet", "a.tif", tile=1, probabilities=True)
    run_batch([quiet])
    killer = KillsDaskWorker("hsikit.batch.worker")
    outcome = run_batch([made], cluster=Cluster(dask.scheduler_address), watcher=killer)
    assert outcome.done == [made.output] and killer.killed and states([made])["a"] == ("done", 2)
    with rasterio.open(made.output) as found, rasterio.open(quiet.output) as expected:
        np.testing.assert_array_equal(found.read(), expected.read())
        assert found.tags() == expected.tags()
    assert not list((tmp_path / "maps").glob(".*.hsikit"))


def test_a_task_that_dask_gives_to_a_second_worker_begins_nothing(client: Any, orders: Make) -> None:
    from distributed import Queue

    (order,) = orders("ok-a")
    ticket = node.Ticket("run", "token", order.to_json(), {"threads": 1, "restart": False, "overwrite": False}, Limits(1, 1, 512 * MIB), FAKE)
    Queue("token", client=client).put(True)
    kinds = [client.submit(node.attend, ticket, pure=False).result()["is"] for _ in range(2)]
    assert kinds == ["done", "lost"] and runs_of(order) == 1


def test_a_stop_lets_tiles_finish_and_leaves_the_rest_waiting(client: Any, orders: Make) -> None:
    made, book, answers = orders("steps-a", "steps-b", "ok-c"), Book(), []
    boss = DaskExecutor(client, Limits(1, 1, 512 * MIB), FAKE)
    thread = threading.Thread(target=lambda: answers.append(boss.run([Assignment(order) for order in made], book)))
    thread.start()
    wait_for(lambda: runs_of(made[0]) and runs_of(made[1]))
    boss.stop()
    thread.join(20)
    assert answers == [False] and book.ends == {"steps-a": ["waits"], "steps-b": ["waits"]} and not runs_of(made[2])


def test_a_second_stop_ends_scenes_at_once(client: Any, orders: Make) -> None:
    (stuck,), book, answers = orders("sleeps-a"), Book(), []
    boss = DaskExecutor(client, Limits(1, 1, 512 * MIB), FAKE)
    thread = threading.Thread(target=lambda: answers.append(boss.run([Assignment(stuck)], book)))
    thread.start()
    wait_for(lambda: runs_of(stuck))
    boss.stop()
    boss.stop()
    thread.join(20)
    assert answers == [False] and book.ends == {"sleeps-a": ["waits"]}
    wait_for(lambda: not processes_of("fake_worker.py"))


DRIVER = """
import json, sys
from hsikit.batch import Cluster, Order, run_batch
orders = [Order.from_json(facts) for facts in json.loads(sys.argv[1])]
run_batch(orders, cluster=Cluster(sys.argv[3]), command=json.loads(sys.argv[2]))
"""


def test_a_killed_driver_takes_its_scenes_along_and_the_next_goes_on(dask: Any, orders: Make) -> None:
    made = orders("lost-a", "ok-b")
    words = [sys.executable, "-c", DRIVER, json.dumps([order.to_json() for order in made]), json.dumps(FAKE), dask.scheduler_address]
    with subprocess.Popen(words) as process:
        wait_for(lambda: runs_of(made[0]) and made[1].output.exists())
        process.kill()
    outcome = run(dask, made)
    assert sorted([*outcome.done, *outcome.kept]) == [order.output for order in made] and [runs_of(order) for order in made] == [2, 1]
    wait_for(lambda: not processes_of("fake_worker.py"))


def test_a_lost_cluster_is_an_error_and_the_next_run_goes_on(orders: Make) -> None:
    from distributed import LocalCluster

    made, errors = orders("lost-a"), []
    own = LocalCluster(n_workers=1, **LOCAL)

    def work() -> None:
        try:
            run(own, made)
        except RunError as error:
            errors.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: runs_of(made[0]))
    own.close()
    thread.join(30)
    assert len(errors) == 1 and "the cluster is lost" in errors[0]
    assert run_batch(made, command=FAKE).done == [made[0].output]


def test_workers_that_cannot_begin_are_an_error(dask: Any, orders: Make) -> None:
    made = orders("ok-a", "ok-b")
    with pytest.raises(RunError, match=r"ended with code 1.* before it was ready, 5 times"):
        run(dask, made, command=(sys.executable, "-c", "import sys; sys.exit('nothing works')"))
    assert {state for state, _ in states(made).values()} <= {"waiting", "running"}


def test_workers_of_another_version_are_refused(dask: Any, orders: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_executor, "__version__", "0.0.0")
    with pytest.raises(RunError, match=r"this worker has hsikit .*, and this is hsikit 0\.0\.0"):
        run(dask, orders("ok-a"))


def test_no_scheduler_answers(orders: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    for address in ("tcp://127.0.0.1:1", "tls://127.0.0.1:1"):
        with pytest.raises(RunError, match="no scheduler answers there"):
            run_batch(orders("ok-a"), cluster=Cluster(address), command=FAKE)


def test_a_client_that_could_not_be_made_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Dask's own end of it, at the end of the process, takes a minute and prints a traceback."""
    words = ["batch", str(tmp_path / "a.tif"), "--task", "superresolve", "-o", str(tmp_path / "maps"), "--scheduler", "tls://127.0.0.1:1"]
    code = f"import sys; sys.argv = {['hsikit', *words]}; from hsikit_cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 2 and "no scheduler answers there" in done.stderr and "Traceback" not in done.stderr


def test_a_local_cluster_is_made_and_closed(orders: Make) -> None:
    made = orders("ok-a", "ok-b")
    assert len(run_batch(made, jobs=2, cluster=Cluster(kind="local"), command=FAKE).done) == 2


SBATCH = """#!/bin/bash
cp "$1" "$(dirname "$0")/job.$$"
setsid bash "$(dirname "$0")/job.$$" > /dev/null 2>&1 < /dev/null &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/bash
kill -- "-$1"
"""


@pytest.mark.filterwarnings("ignore")
def test_slurm_is_given_jobs_as_the_user_says(orders: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of the names of Slurm's start the jobs here."""
    made, bin_folder = orders("ok-a", "ok-b", "ok-c"), tmp_path / "bin"
    bin_folder.mkdir()
    for name, script in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (bin_folder / name).write_text(script)
        (bin_folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    texts = ("walltime=02:00:00", "queue=long", "job_script_prologue=export A=1; export B=2", "memory=9GB", "interface=lo")
    options = dict(map(cluster.read_option, texts))
    outcome = run_batch(made, jobs=2, threads=4, cluster=Cluster(kind="slurm", options=options), command=FAKE)
    assert outcome.finished and sorted(outcome.done) == [order.output for order in made]
    scripts = [path.read_text() for path in bin_folder.glob("job.*")]
    assert len(scripts) == 2
    for line in ("#SBATCH -p long", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=9G", "#SBATCH -t 02:00:00", "export A=1\nexport B=2", "--nthreads 1"):
        assert line in scripts[0]


def test_slurm_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OptionError, match="there is no sbatch on this machine"):
        cluster.made(Cluster(kind="slurm"), jobs=1, threads=1, memory=None)


@pytest.mark.parametrize(("text", "value"), [("n_workers=3", 3), ("processes=False", False), ("name=x=y", "x=y")])
def test_options_of_a_cluster(text: str, value: Any) -> None:
    assert cluster.read_option(text)[1] == value


def test_mistaken_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    for facts in ({}, {"scheduler": "tcp://x:1", "kind": "local"}, {"kind": "pbs"}, {"scheduler": "tcp://x:1", "options": {"a": 1}}):
        with pytest.raises(OptionError):
            Cluster(**facts)
    for address in ("foo", "tcp://host", "host:many", "host:99999", "nonsense://x:1", "http://x:8787", "tcp://x:1/"):
        with pytest.raises(OptionError, match="is no address of a scheduler"):
            Cluster(address)
    for address in ("host:8786", "tcp://10.0.0.1:1", "tls://[::1]:8786", "inproc://10.0.0.1/2/3"):
        assert Cluster(address).scheduler == address
    for text in ("walltime", "=3", "queue="):
        with pytest.raises(OptionError, match="is no option"):
            cluster.read_option(text)
    monkeypatch.setattr("shutil.which", lambda name: name)
    for kind, options in (("local", {"wheels": 4}), ("slurm", {"queue": "x"})):
        with pytest.raises(OptionError, match=f"the {kind} cluster refuses its options"):
            cluster.made(Cluster(kind=kind, options=options), jobs=1, threads=1, memory=None)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r'pip install "hsikit\[cluster\]"'), cluster.connected(Cluster("tcp://x:1"), jobs=1, threads=1, memory=None):
        pass


class Frees(Silent):
    """Lets go of an output when it is told that another process holds it."""

    def __init__(self, held: Ledger, work: Callable[[], None] = lambda: None) -> None:
        self.held, self.work, self.notes = held, work, []

    def note(self, message: str) -> None:
        self.notes.append(message)
        self.work()
        self.held.finish()


def test_an_output_that_another_process_holds_is_waited_for(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agenda, "PAUSE", 0.2)
    made, other = place.orders(tmp_path, "a.tif", "b.tif")
    frees = Frees(Ledger(work_folder(made.output), "another"))
    assert run_batch([made], watcher=frees).done == [made.output]
    assert f"waits: {work_folder(made.output)}: process {os.getpid()} is writing this output" in frees.notes[0]
    frees = Frees(Ledger(work_folder(other.output), "another"), lambda: other.output.write_text("finished meanwhile") and None)
    assert run_batch([other], watcher=frees).done == [other.output] and other.output.read_text() == "finished meanwhile"


def test_patience_has_an_end(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agenda, "PAUSE", 0.2)
    monkeypatch.setattr(agenda, "PATIENCE", 0.3)
    (made,) = place.orders(tmp_path, "a.tif")
    held = Ledger(work_folder(made.output), "another")
    assert "is writing this output" in run_batch([made]).failed[made.output]
    held.finish()


def test_workers_of_another_folder_find_what_the_driver_named(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are the driver's: relative ones are made absolute before they travel."""
    from distributed import LocalCluster

    monkeypatch.chdir(tmp_path)
    with LocalCluster(n_workers=1, **LOCAL) as elsewhere:
        monkeypatch.chdir(place.folder)
        orders = read_orders(["a.tif"], model="model", output=str(tmp_path / "maps" / "{stem}.tif"))
        outcome = run_batch(orders, cluster=Cluster(elsewhere.scheduler_address))
    assert outcome.done == [tmp_path / "maps" / "a.tif"] and not outcome.failed
