"""A batch under fire: workers, driving process and cluster are killed, and the maps are those of a quiet run.

    python -m benchmarks.batch --scenes 8 --corrupt 1 --seconds 3 --every 3           all stages, small
    python -m benchmarks.batch --acceptance --folder /data/fire                        60 scenes of 10 s, 3 corrupt, a kill every 10 s
    python -m benchmarks.batch --acceptance --folder /data/fire --only dask            one stage; scenes and quiet maps are kept in the folder

Scenes are simulated: three landscapes, linked under many names, of a size at which each takes `--seconds` alone; the last are cut short.
Stages: `kills` of workers; `driver`, killed three times, with its workers shot at; `dask`, a cluster of separate processes of which one is
killed; `throughput` of two workers over one; `memory` of driver and workers with one scene and with all. Each line ends with what is wanted.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.batch_under_fire import Fired, compare, done_in, in_progress, run_under_fire, start, workers_of

KINDS, COLS, TRIAL_ROWS = 3, 600, 200
MIB = 2**20
FACTS = "facts.json"
FEW = (1, 2, 4)
"""Scenes of each of two workers whose memory is looked at."""
STAGES = ("kills", "driver", "dask", "throughput", "memory")
ALL = "granules/*.tif"
WORKERS = ("--jobs", "2")


def make_scenes(folder: Path, args: argparse.Namespace) -> None:
    """Scenes of the wanted length, and a model; the last `args.corrupt` scenes are cut short."""
    import hsikit
    from hsikit.simulate.scene import simulate_scene

    if (folder / FACTS).exists():
        return
    trial = simulate_scene(folder / "trial.tif", rows=TRIAL_ROWS, cols=COLS, seed=9)
    hsikit.train("svm", str(trial.scene), trial.fields, class_field="class").save(folder / "model")
    begun = time.monotonic()
    hsikit.run(str(folder / "model"), str(trial.scene), folder / "trial_map.tif", threads=1)
    rows = int(TRIAL_ROWS * args.seconds * 1.45 / (time.monotonic() - begun))
    for kind in range(KINDS):
        simulate_scene(folder / f"landscape{kind}.tif", rows=max(rows, 48), cols=COLS, seed=kind, fields=folder / f"fields{kind}.gpkg")
    (folder / "granules").mkdir()
    for number in range(args.scenes):
        scene, landscape = folder / "granules" / f"g{number:03}.tif", folder / f"landscape{number % KINDS}.tif"
        if number < args.scenes - args.corrupt:
            os.link(landscape, scene)
        else:
            scene.write_bytes(landscape.read_bytes()[:100_000])
    (folder / FACTS).write_text(json.dumps({"rows": rows}))


def quiet_maps(folder: Path, args: argparse.Namespace) -> None:
    """The maps of a batch that nobody disturbs, made once."""
    facts = json.loads((folder / FACTS).read_text())
    if "quiet" not in facts:
        fired = run(folder, "quiet", WORKERS)
        facts["quiet"] = {"seconds": fired.seconds, "driver": fired.driver_peak, "worker": max(fired.worker_peaks.values()), "code": fired.code}
        (folder / FACTS).write_text(json.dumps(facts))
    alone = run(folder, "alone", ("--jobs", "1"), "granules/g000.tif")
    seconds = [row.seconds or 0.0 for row in rows_of(folder, "quiet")]
    said = f"{args.scenes} scenes of {facts['rows']} x {COLS} pixels: one alone {rows_of(folder, 'alone')[0].seconds:.1f} s (wanted: {args.seconds:g})"
    say("quiet", f"{said}; two at once {min(seconds):.1f} to {max(seconds):.1f} s; all {facts['quiet']['seconds']:.0f} s, exit code {facts['quiet']['code']}")
    facts["alone"] = {"driver": alone.driver_peak, "worker": max(alone.worker_peaks.values())}
    (folder / FACTS).write_text(json.dumps(facts))


def rows_of(folder: Path, maps: str) -> list[Any]:
    """The ledger's rows of scenes that are done."""
    from hsikit.batch import read_status

    return list(read_status(folder / maps).done)


def run(folder: Path, maps: str, more: tuple[str, ...], scenes: str = ALL, **fire: Any) -> Fired:
    """A batch from its first scene to its end, into a folder of its own."""
    shutil.rmtree(folder / maps, ignore_errors=True)
    return run_under_fire(functools.partial(start, folder, scenes, maps, *more), functools.partial(done_in, folder, maps), **fire)


def say(stage: str, text: str) -> None:
    """A line of the report."""
    print(f"{stage}: {text}", flush=True)


def report(stage: str, folder: Path, fired: Fired, args: argparse.Namespace) -> None:
    """What a batch came to, beside what is wanted."""
    say(stage, f"{fired.workers} workers killed in the middle of a scene, {fired.drivers} driving processes; {fired.seconds:.0f} s, exit code {fired.code}")
    for name, value in compare(folder, stage, "quiet").items():
        say(stage, f"{name}: {value}")
    say(stage, f"wanted: {args.scenes - args.corrupt} right maps, {args.corrupt} failures, nothing left over, exit code {int(args.corrupt > 0)}")


def kills(folder: Path, args: argparse.Namespace) -> None:
    """A random worker is killed every few seconds."""
    report("kills", folder, run(folder, "kills", WORKERS, every=args.every, seed=args.seed), args)
    say("kills", f"wanted: at least {args.shots} workers killed")


def driver(folder: Path, args: argparse.Namespace) -> None:
    """The driving process is killed three times on the way, and its workers are shot at."""
    at = tuple((args.scenes - args.corrupt) * part // 4 for part in (1, 2, 3))
    report("driver", folder, run(folder, "driver", WORKERS, every=args.every, driver_kills=at, seed=args.seed), args)


def dask(folder: Path, args: argparse.Namespace) -> None:
    """A cluster of a scheduler and three workers, of which one that has a scene is killed for good."""
    killed: list[int] = []

    def done() -> int:
        found = done_in(folder, "dask")
        if not killed and found >= (args.scenes - args.corrupt) // 2:
            busy = [number for number in nodes if any(in_progress(worker) for worker in workers_of(number))]
            if busy:
                os.kill(busy[0], signal.SIGKILL)
                killed.append(busy[0])
        return found

    with cluster(folder) as (address, nodes):
        shutil.rmtree(folder / "dask", ignore_errors=True)
        never = (sys.maxsize,)  # the driving process is left alone; `done` is asked all the same
        fired = run_under_fire(functools.partial(start, folder, ALL, "dask", "--scheduler", address), done, driver_kills=never)
    say("dask", f"{len(killed)} Dask worker killed in the middle of a scene")
    report("dask", folder, fired, args)


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """A scheduler and three workers, each a process: its address, and the workers' processes."""
    where = folder / "scheduler.json"
    where.unlink(missing_ok=True)
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    program = [sys.executable, "-m", "distributed.cli.dask_{}"]

    def begin(kind: str, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*program[:2], program[2].format(kind), "--scheduler-file", str(where), *words], **options)  # type: ignore[call-overload,no-any-return]

    started = [begin("scheduler", "--port", "0", "--dashboard-address", ":0")]
    try:
        while not where.exists():
            time.sleep(0.1)
        started += [begin("worker", "--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--dashboard-address", ":0") for _ in range(3)]
        yield json.loads(where.read_text())["address"], [process.pid for process in started[1:]]
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait()


def throughput(folder: Path, args: argparse.Namespace) -> None:
    """A few scenes by one worker and by two, in turn; the time from the first scene's start to the last one's end.

    The classifier, beside which reading and unpacking take a fifth of the processor's time, so that one worker keeps more than one core busy;
    the same on the same scenes unpacked (ENVI, lines of all bands); and local RX, which hardly reads.
    """
    few = min(8, args.scenes - args.corrupt)
    _unpack(folder, few)
    packed, plain = f"granules/g00[0-{few - 1}].tif", "plain/*.hdr"
    anomaly = ("--task", "anomaly", "-p", "method=local-rx", "-p", f"bbox={_top(folder, args.seconds)}")
    for name, chosen, more in (("svm", packed, ()), ("svm, nothing to unpack", plain, ()), ("local-rx", packed, anomaly)):
        took: dict[str, list[float]] = {"1": [], "2": []}
        for _ in range(args.repeats):
            for jobs, seconds in took.items():
                seconds.append(run(folder, f"throughput{jobs}", ("--jobs", jobs, *more), chosen).seconds)
        one, two = (statistics.median(seconds) for seconds in took.values())
        ratios = ", ".join(f"{a / b:.2f}" for a, b in zip(*took.values(), strict=True))
        times = f"one worker {one:.1f} s, two {two:.1f} s, start-up included"
        say("throughput", f"{name}, {few} scenes: {times}; {one / two:.2f} x ({ratios}; wanted: at least 1.7)")


def _unpack(folder: Path, few: int) -> None:
    """The first scenes once more without compression, made once."""
    from hsikit.convert.write import write_scene
    from hsikit.sensors import open_source

    if (folder / "plain").exists():
        return
    (folder / "plain").mkdir()
    for kind in range(min(KINDS, few)):
        source = open_source(folder / "granules" / f"g{kind:03}.tif")
        write_scene(source, folder / "plain" / f"g{kind:03}.hdr")
        source.close()
    for number in range(KINDS, few):
        for kind in ("hdr", "img"):
            os.link(folder / "plain" / f"g{number % KINDS:03}.{kind}", folder / "plain" / f"g{number:03}.{kind}")


def _top(folder: Path, seconds: float) -> str:
    """Bounds of the first rows of a scene, as many as local RX does in about so many seconds."""
    import rasterio

    with rasterio.open(folder / "landscape0.tif") as scene:
        left, _, right, top = scene.bounds
        return f"{left} {top - max(48, int(32 * seconds)) * abs(scene.transform.e)} {right} {top}"


def memory(folder: Path, args: argparse.Namespace) -> None:
    """Peak resident memory of the driving process and of the largest worker, with one scene, with a few and with all."""
    for each in (count for count in FEW if 2 * count <= min(10, args.scenes - args.corrupt)):
        fired = run(folder, "few", WORKERS, f"granules/g00[0-{2 * each - 1}].tif")
        say("memory", f"two workers of {each} scenes each: {' and '.join(f'{peak / MIB:.0f}' for peak in fired.worker_peaks.values())} MiB")
    facts = json.loads((folder / FACTS).read_text())
    for who in ("driver", "worker"):
        one, every = facts["alone"][who], facts["quiet"][who]
        said = f"{who}: {one / MIB:.0f} MiB with 1 scene, {every / MIB:.0f} MiB with {args.scenes}, {100 * (every / one - 1):+.1f} %"
        say("memory", f"{said} (wanted: at most +5 %)")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--acceptance", action="store_true", help="60 scenes of 10 s, 3 of them corrupt, a kill every 10 s")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=STAGES, help="stages to run")
    parser.add_argument("--folder", type=Path, help="where scenes and maps are kept for the next call; else they are removed")
    for name, default in (("scenes", 8), ("corrupt", 1), ("shots", 4), ("repeats", 1), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=3.0, help="that a scene takes alone")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two kills of a worker")
    args = parser.parse_args()
    if args.acceptance:
        args.scenes, args.corrupt, args.shots, args.seconds, args.every = 60, 3, 20, 10.0, 10.0
    return args


def main() -> None:
    """Makes scenes and quiet maps where they are not there yet, and runs the stages."""
    args = arguments()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="hsikit-batch-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        make_scenes(folder, args)
        quiet_maps(folder, args)
        for stage in args.only:
            {"kills": kills, "driver": driver, "dask": dask, "throughput": throughput, "memory": memory}[stage](folder, args)
    finally:
        if args.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
