"""A batch under fire: workers and the driving process are killed at random, and the maps are those of a quiet run.

    python -m benchmarks.batch --scenes 12 --every 3 --driver-kills 2

Scenes are simulated (three landscapes, linked under many names), the last of them cut short. Printed are the throughput of one worker and
of two, what was killed, whether maps, failures and left-overs are as they should be, and the peak memory of the first and of later scenes.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

KINDS = 3
DRIVER = "from hsikit_cli.main import main; main()"


def make_scenes(folder: Path, args: argparse.Namespace) -> list[Path]:
    """Scenes and a model; the last `args.corrupt` scenes are cut short."""
    import hsikit
    from hsikit.simulate.scene import simulate_scene

    for kind in range(KINDS):
        made = simulate_scene(folder / f"landscape{kind}.tif", rows=args.rows, cols=args.cols, seed=kind, fields=folder / f"fields{kind}.gpkg")
    hsikit.train("svm", str(made.scene), made.fields, class_field="class").save(folder / "model")
    scenes = [folder / "granules" / f"g{number:03}.tif" for number in range(args.scenes)]
    scenes[0].parent.mkdir()
    for number, scene in enumerate(scenes):
        os.link(folder / f"landscape{number % KINDS}.tif", scene)
    for scene in scenes[args.scenes - args.corrupt :]:
        data = scene.read_bytes()[:100_000]
        scene.unlink()
        scene.write_bytes(data)
    return scenes


def start(folder: Path, maps: str, jobs: int) -> subprocess.Popen[bytes]:
    """The driving process of a batch."""
    words = ["batch", "granules/*.tif", "--model", "model", "-o", maps, "--jobs", str(jobs), "--memory", "2G", "--quiet"]
    return subprocess.Popen([sys.executable, "-c", DRIVER, *words], cwd=folder, stderr=subprocess.DEVNULL)


def workers_of(driver: int) -> list[int]:
    """The worker processes of a driving process."""
    try:
        children = Path(f"/proc/{driver}/task/{driver}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in children if "hsikit.batch.worker" in _command(int(child))]


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


def running(folder: Path, maps: str) -> int:
    """Scenes in progress, by the ledger."""
    from hsikit.batch import read_status
    from hsikit.errors import HsikitError

    try:
        return read_status(folder / maps).counts["running"]
    except HsikitError:
        return 0


def under_fire(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Runs the batch while it is shot at."""
    rng, shots, driver_kills, begun = random.Random(args.seed), 0, 0, time.monotonic()
    driver, code = start(folder, "fire", 2), None
    while True:
        try:
            code = driver.wait(args.every)
            break
        except subprocess.TimeoutExpired:
            pass
        if driver_kills < args.driver_kills and shots >= (driver_kills + 1) * args.shots // (args.driver_kills + 1):
            driver.kill()
            driver.wait()
            driver_kills += 1
            driver = start(folder, "fire", 2)
        elif shots < args.shots and running(folder, "fire") == len(found := workers_of(driver.pid)) > 0:
            os.kill(rng.choice(found), signal.SIGKILL)
            shots += 1
    return {"code": code, "workers killed": shots, "drivers killed": driver_kills, "seconds": time.monotonic() - begun}


def pixels(path: Path) -> tuple[Any, dict[str, str]]:
    """A map and its tags, without the scene's name."""
    import rasterio

    with rasterio.open(path) as found:
        return found.read(), {key: text for key, text in found.tags().items() if "granules" not in text}


def check(folder: Path, scenes: list[Path], args: argparse.Namespace) -> dict[str, Any]:
    """What the batch under fire left behind, beside the quiet one."""
    from hsikit.batch import read_status

    good = scenes[: args.scenes - args.corrupt]
    same = 0
    for scene in (scene for scene in good if (folder / "fire" / scene.name).exists()):
        (one, tags), (other, quiet_tags) = (pixels(folder / maps / scene.name) for maps in ("fire", "quiet1"))
        same += bool(np.array_equal(one, other) and tags == quiet_tags)
    status = read_status(folder / "fire")
    left = [path.name for path in (folder / "fire").iterdir() if path.name.startswith(".") and path.name != status.ledger.name]
    return {
        "right maps": f"{same} of {len(good)}", "failures": [f"{Path(row.name).name}: {row.error[:60]}" for row in status.failures], "left over": left,
        "attempts": sum(row.attempts for row in status.rows),
    }  # fmt: skip


def main() -> None:
    """Makes the scenes, runs them in peace with one worker and with two, then under fire."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("scenes", 12), ("corrupt", 2), ("rows", 600), ("cols", 600), ("shots", 8), ("driver-kills", 2), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two shots")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hsikit-batch-"))
    try:
        scenes = make_scenes(folder, args)
        for jobs in (1, 2):
            begun = time.monotonic()
            code = start(folder, f"quiet{jobs}", jobs).wait()
            print(f"{jobs} worker(s) in peace: {time.monotonic() - begun:.1f} s, exit code {code}", flush=True)
        peaks(folder)
        for name, value in {**under_fire(folder, args), **check(folder, scenes, args)}.items():
            print(f"{name}: {value if not isinstance(value, float) else round(value, 1)}", flush=True)
    finally:
        shutil.rmtree(folder)


def peaks(folder: Path) -> None:
    """Peak memory of one worker over the scenes, in the order in which they were done."""
    from hsikit.batch import read_status

    done = sorted(read_status(folder / "quiet1").done, key=lambda row: row.changed)
    sizes = [round((row.peak or 0) / 2**20) for row in done]
    seconds = [round(row.seconds or 0.0, 1) for row in done]
    print(f"one worker, scene by scene: peak {sizes} MiB; {seconds} s", flush=True)


if __name__ == "__main__":
    main()
