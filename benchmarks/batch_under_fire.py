"""Processes of a batch as `benchmarks.batch` sees them: started, shot at, weighed, and what they left compared."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MAIN = "from hsikit_cli.main import main; main()"
LOOK = 0.25
"""Seconds between two looks at the processes."""


def start(folder: Path, scenes: str, maps: str, *more: str) -> subprocess.Popen[bytes]:
    """The driving process of a batch, of the model unless another task is named; its messages go to MAPS.log."""
    model = [] if "--task" in more else ["--model", "model"]
    words = ["batch", scenes, *model, "-o", f"{maps}/{{stem}}.tif", "--memory", "2G", "--quiet", *more]
    with (folder / f"{maps}.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-c", MAIN, *words], cwd=folder, stdout=log, stderr=log)


def read_proc(process: int, name: str) -> str:
    """A file of /proc; "" where the process is gone."""
    try:
        return Path(f"/proc/{process}/{name}").read_text()
    except OSError:
        return ""


def below(process: int) -> list[int]:
    """All processes that descend from one, with it."""
    try:
        threads = [path.name for path in Path(f"/proc/{process}/task").iterdir()]
    except OSError:
        return []
    children = [int(child) for thread in threads for child in read_proc(process, f"task/{thread}/children").split()]
    return [process, *(found for child in children for found in below(child))]


def workers_of(process: int) -> list[int]:
    """Worker processes below one."""
    return [child for child in below(process) if "hsikit.batch.worker" in read_proc(child, "cmdline")]


def in_progress(worker: int) -> bool:
    """Whether a worker holds the working folder of a scene."""
    try:
        return any(".hsikit/lock" in str(path.readlink()) for path in Path(f"/proc/{worker}/fd").iterdir())
    except OSError:
        return False


def peak_of(process: int) -> int:
    """Highest resident size of a process so far (bytes)."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", read_proc(process, "status"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def done_in(folder: Path, maps: str) -> int:
    """Maps that are finished."""
    return sum(not path.name.startswith(".") for path in (folder / maps).glob("*.tif"))


@dataclass
class Fired:
    """What happened to a batch.

    Attributes:
        code: with which the last driving process ended.
        seconds: from the start to the end.
        workers: that were killed in the middle of a scene.
        drivers: that were killed.
        driver_peak: highest resident size of a driving process (bytes).
        worker_peaks: of each worker, by process.
    """

    code: int = 0
    seconds: float = 0.0
    workers: int = 0
    drivers: int = 0
    driver_peak: int = 0
    worker_peaks: dict[int, int] = field(default_factory=dict)


def run_under_fire(begin: Callable[[], subprocess.Popen[bytes]], done: Callable[[], int], *, every: float | None = None, driver_kills: tuple[int, ...] = (),
                   seed: int = 0) -> Fired:  # fmt: skip
    """Runs a batch to its end.

    Args:
        begin: starts its driving process, again after each that was killed.
        done: how many maps are finished.
        every: seconds after which a random worker that is in the middle of a scene is killed; None: none is.
        driver_kills: numbers of finished maps at which the driving process is killed.
        seed: of the choice of workers.
    """
    rng, fired, due, started = random.Random(seed), Fired(), list(driver_kills), time.monotonic()
    driver, shot = begin(), time.monotonic()
    while True:
        try:
            fired.code = driver.wait(LOOK)
            break
        except subprocess.TimeoutExpired:
            pass
        fired.driver_peak = max(fired.driver_peak, peak_of(driver.pid))
        workers = workers_of(driver.pid)
        fired.worker_peaks.update({worker: peak for worker in workers if (peak := peak_of(worker))})
        if due and done() >= due[0]:
            driver.kill()
            driver.wait()
            del due[0]
            fired.drivers += 1
            driver = begin()
        elif every is not None and time.monotonic() - shot >= every and (busy := [worker for worker in workers if in_progress(worker)]):
            os.kill(rng.choice(busy), signal.SIGKILL)
            fired.workers, shot = fired.workers + 1, time.monotonic()
    fired.seconds = time.monotonic() - started
    return fired


def pixels(path: Path) -> tuple[Any, dict[str, str]]:
    """A map and its tags."""
    import rasterio

    with rasterio.open(path) as found:
        return found.read(), found.tags()


def compare(folder: Path, maps: str, quiet: str, ledger: Path | None = None) -> dict[str, Any]:
    """What a batch left, beside a quiet one."""
    from hsikit.batch import read_status

    wanted = sorted((folder / quiet).glob("*.tif"))
    same = 0
    for path in wanted:
        if (folder / maps / path.name).exists():
            (one, tags), (other, quiet_tags) = pixels(folder / maps / path.name), pixels(path)
            same += bool(np.array_equal(one, other) and tags == quiet_tags)
    status = read_status(ledger or folder / maps)
    left = {path.name for path in (folder / maps).iterdir()} ^ {path.name for path in (folder / quiet).iterdir()}
    failures = [f"{Path(row.name).name}: {row.error[:50]}" for row in status.failures]
    return {
        "right maps": f"{same} of {len(wanted)}",
        "failures": failures,
        "left over or missing": sorted(left),
        "attempts": sum(r.attempts for r in status.rows),
    }
