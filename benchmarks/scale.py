"""Large scenes: the engine beside its peers, and `hsikit plan` beside what then happens. One run, two tables.

    python -m benchmarks.scale                                    (2000 x 2000 x 200; some 8 GB of disk)
    python -m benchmarks.scale --large                            (four times the pixels)
    python -m benchmarks.scale --rows 300 --cols 300 --bands 30   (a smoke run)

First table: a network (`benchmarks.network`) over a generated scene as plain rows (ENVI BSQ), deflated GeoTIFF tiles, and a Zarr store.
Each job is a process of its own with one compute thread and a scene of its own (a link to the same one); with two jobs both run at
once. "wall" is of the slower one, "model" the processor time inside of the network as the engine calls it, "overhead" the wall time over
that, "tiles/s" the pixels of all jobs in tiles of 256 x 256 over the wall time, "MiB" the largest process. The naive pass is left out
where the machine has too little memory for it. Maps that differ from the engine's are told.

Second table: for trained models and the RX detector on the same files, what `hsikit plan` says before and what `hsikit batch` takes
then: wall time of the whole, from the start of the workers, and peak memory of a worker. Target: within 25 %, both. What else runs on the
machine shifts wall times: the load is printed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.measure import MIB, run_fresh, tell, warm_cache
from benchmarks.scale_peers import BLOCK, WAYS, naive_bytes

LAYOUTS = ("plain", "deflate", "zarr")
TASKS = ("mnf-lda", "svm", "rx")
TRAINED_ON = 256
"""Rows and columns of the scene that models are trained on."""
WITHIN = 0.25


def link(scene: Path, name: str) -> Path:
    """The scene under another name beside it: a job's own."""
    found = scene.with_name(f"{name}{scene.suffix}")
    for path in (scene, scene.with_suffix(".img")):
        other = found.with_suffix(path.suffix)
        if path.is_dir() and not other.exists():
            shutil.copytree(path, other, copy_function=os.link)
        elif path.is_file() and not other.exists():
            os.link(path, other)
    return found


def warm(scene: Path) -> None:
    """Puts a scene's files into the page cache."""
    data = scene.with_suffix(".img") if scene.suffix == ".hdr" else scene
    for path in data.rglob("*") if data.is_dir() else [data]:
        if path.is_file():
            warm_cache(path)


def compare(scene: Path, layout: str, args: argparse.Namespace) -> None:
    """The lines of one layout in the first table."""
    from hsikit.engine.resources import available_memory

    shape = (args.bands, args.rows, args.cols)
    for jobs in args.jobs:
        ours: dict[str, Any] = {}
        for way in args.ways:
            if way == "naive" and jobs * naive_bytes(shape) > 0.8 * available_memory():
                print(f"{layout:10}{jobs:>5}  {way:13}left out: needs {jobs * naive_bytes(shape) / 2**30:.0f} GiB", flush=True)
                continue
            runs = at_once(way, [link(scene, f"{layout}-job{job}") for job in range(jobs)], args)
            ours = runs[0] if way == "engine" else ours
            print(line_of(layout, way, runs, ours, shape[1] * shape[2]), flush=True)


def at_once(way: str, scenes: Sequence[Path], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Maps scenes at the same time, each in a process of its own."""

    def run(scene: Path) -> dict[str, Any]:
        output = args.folder / f"{scene.stem}-{way}.tif"
        try:
            return run_fresh("benchmarks.scale_peers", way, scene, output, args.memory, threads=1)
        finally:
            for path in args.folder.glob(f"*{output.stem}*"):
                path.unlink()

    with ThreadPoolExecutor(len(scenes)) as pool:
        return list(pool.map(run, scenes))


def line_of(layout: str, way: str, runs: Sequence[dict[str, Any]], ours: dict[str, Any], pixels: int) -> str:
    """One line of the first table."""
    wall, peak = max(run["wall"] for run in runs), max(run["peak"] for run in runs)
    model = ours.get("inside")
    figures = f"{model:9.1f}{wall / model:10.2f}" if model else f"{'–':>9}{'–':>10}"
    line = f"{layout:10}{len(runs):>5}  {way:13}{wall:9.1f}{figures}{len(runs) * pixels / BLOCK**2 / wall:9.2f}{peak / MIB:9.0f}"
    moved = sum(abs(a - b) for a, b in zip(runs[0]["classes"], ours.get("classes", runs[0]["classes"]), strict=True)) // 2
    return line + (f"   differs from the engine's map by at least {moved} pixels" if moved else "")


def predict(scene: Path, layout: str, args: argparse.Namespace) -> None:
    """The lines of one layout in the second table."""
    for task in args.tasks:
        for jobs in args.jobs:
            scenes = [link(scene, f"{layout}-job{job}") for job in range(jobs)]
            found = run_fresh("benchmarks.scale", "--child", task, "--scenes", *scenes, "--memory", args.memory, "--folder", args.folder, threads=1)
            wall, memory = found["planned_wall"] / found["wall"], found["planned_peak"] / found["worker_peak"]
            missed = [word for word, ratio in (("time", wall), ("memory", memory)) if abs(ratio - 1) > WITHIN]
            times = f"{found['planned_wall']:9.1f}{found['wall']:9.1f}{wall:7.2f}"
            sizes = f"{found['planned_peak'] / MIB:9.0f}{found['worker_peak'] / MIB:9.0f}{memory:7.2f}"
            said = f"MISSED {', '.join(missed)}" if missed else "ok"
            print(f"{layout:10}{jobs:>5}  {task:13}{found['planning']:9.1f}{times}{sizes}   {said}", flush=True)


def child(task: str, args: argparse.Namespace) -> None:
    """Plans a batch, then runs it."""
    from hsikit.batch import plan_batch, read_orders, read_status, run_batch

    chosen = {"task": "anomaly", "method": task} if task == "rx" else {"model": str(args.folder / f"{task}.model")}
    with tempfile.TemporaryDirectory(dir=args.folder) as maps:
        orders = read_orders(list(args.scenes), output=f"{maps}/{{stem}}.tif", **chosen)
        how: dict[str, Any] = {"jobs": len(orders), "threads": 1, "memory": args.memory}
        begun = time.perf_counter()
        plan = plan_batch(orders, **how)
        planned = time.perf_counter()
        outcome = run_batch(orders, **how)
        wall = time.perf_counter() - planned
        if outcome.failed or len(plan.good) < len(orders):
            raise SystemExit(f"{outcome.failed or [scene.error for scene in plan.scenes]}")
        peak = read_status(outcome.ledger).peak
    tell(planning=planned - begun, planned_wall=plan.seconds, wall=wall, planned_peak=max(scene.memory for scene in plan.good), worker_peak=peak)


def train(args: argparse.Namespace) -> None:
    """Trains the models of the second table on a small scene of the same bands."""
    scene = run_fresh("benchmarks.scale_peers", "make", args.folder, "plain", args.bands, TRAINED_ON, TRAINED_ON)["path"]
    for name in (task for task in args.tasks if task != "rx"):
        words = ("--child", "train", "--method", name, "--scene", scene, "--folder", args.folder, "--threads", 1, "--memory", args.memory)
        run_fresh("benchmarks.memory", *words, threads=1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("rows", 2000), ("cols", 2000), ("bands", 200)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--large", action="store_true", help="four times the pixels: twice the rows, twice the columns")
    parser.add_argument("--jobs", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--memory", default="2G", help="what each job of the engine and each worker may plan with")
    parser.add_argument("--folder", type=Path, help="where scenes are kept; default: a temporary one, emptied at the end")
    parser.add_argument("--layouts", nargs="*", default=list(LAYOUTS), choices=LAYOUTS)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=WAYS, help="of the first table")
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=TASKS, help="of the second table")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--scenes", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Prints both tables."""
    args = arguments()
    if args.child:
        child(args.child, args)
        return
    with tempfile.TemporaryDirectory() as temporary:
        args.folder = (args.folder or Path(temporary)).absolute()
        args.folder.mkdir(parents=True, exist_ok=True)
        args.rows, args.cols = ((2 if args.large else 1) * side for side in (args.rows, args.cols))
        scenes = {}
        for layout in args.layouts:
            scenes[layout] = Path(run_fresh("benchmarks.scale_peers", "make", args.folder, layout, args.bands, args.rows, args.cols)["path"])
        train(args)
        print(f"{args.rows} x {args.cols} x {args.bands} int16, one thread a job, --memory {args.memory}, load {os.getloadavg()[0]:.1f}")
        print(f"{'layout':10}{'jobs':>5}  {'way':13}{'wall s':>9}{'model s':>9}{'overhead':>10}{'tiles/s':>9}{'MiB':>9}")
        for layout, scene in scenes.items():
            warm(scene)
            compare(scene, layout, args)
        print(f"\nload {os.getloadavg()[0]:.1f}")
        names = ("plan s", "said s", "took s", "ratio", "said MiB", "took MiB", "ratio")
        print(f"{'layout':10}{'jobs':>5}  {'task':13}" + "".join(f"{name:>{width}}" for name, width in zip(names, (9, 9, 9, 7, 9, 9, 7), strict=True)))
        for layout, scene in scenes.items():
            warm(scene)
            predict(scene, layout, args)


if __name__ == "__main__":
    main()
