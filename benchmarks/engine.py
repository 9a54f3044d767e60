"""The engine's overhead and memory: a network over a large scene, beside the network alone and beside Dask.

    python -m benchmarks.engine --memory 700M --pairs 5
    python -m benchmarks.engine --memory 700M --large --formats envi-bsq geotiff-tiled

A generated scene (int16, 23 % nodata) in four formats is mapped by `benchmarks.network`, each run in a process of its own, with the file in
the page cache:

* engine: `hsikit.engine.run_job`, from the open scene to the finished class map with its bundle;
* model alone: the Method's `apply` on the same tiles (shape, halo and padding), by as many workers of one torch thread each, under the
  engine's settings of the C library's allocator. Tiles are loaded in portions outside the clock. Tiles without a valid pixel are left out,
  as the engine leaves them out;
* Dask: `dask.array.map_overlap` over blocks of all bands (memory map of an ENVI file, rioxarray for GeoTIFF), the same conversion, network
  and threads, and a GeoTIFF at the end.

The clock starts after imports and a small warm-up run. Engine and model run in pairs, one after the other and every other pair the other
way round; what counts is the median of the pairs' ratios, printed with the lowest and the highest. "within" is another view of the same,
which no pair can disturb: the CPU time of the engine's process over that of its calls of the network. CPU time is user and system time of the
process: a busy machine lengthens it less than wall time, but does. Targets: CPU time at most 1.10 times the model's for ENVI, 1.15 for
GeoTIFF; peak memory at most what was promised, and with --large (four times the pixels) the same.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import MIB, Inside, Spent, peak_bytes, run_fresh, tell, warm_cache

TARGETS = {"envi": 1.10, "geotiff": 1.15}
BLOCK = 256
"""Rows and columns of a Dask chunk: GDAL's tile, which suits the tiled file best."""


class Plan:
    """A `Progress` that keeps the words of the plan."""

    text = ""

    def begin(self, plan: str, total: int, done: int) -> None:
        """Keeps the plan."""
        self.text = plan

    def advance(self, stage: str, steps: int = 1) -> None:
        """Says nothing."""

    def note(self, message: str) -> None:
        """Says nothing."""

    def facts(self) -> dict[str, Any]:
        """Tile, threads, and planned bytes."""
        tiles, rows, cols, threads, planned = map(int, re.findall(r"\d+", self.text)[:5])
        return {"tiles": tiles, "tile": [rows, cols], "threads": threads, "planned": planned * MIB}


def child_engine(scene: Path, args: argparse.Namespace) -> None:
    from benchmarks.network import Network
    from hsikit.engine import RunOptions, run_job
    from hsikit.engine.resources import limit_gdal_cache, parse_memory
    from hsikit.sensors import open_source

    limit_gdal_cache(args.memory)
    options = RunOptions(memory=parse_memory(args.memory), threads=args.threads, tile=args.tile)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        small = open_source(_small_scene(Path(name), scene))
        run_job(Network().bind({"cube": small.info}), {"cube": small}, Path(name) / "warm.tif", options=options)
        source, plan, spent, inside = open_source(scene), Plan(), Spent(), Inside()
        job = Network().bind({"cube": source.info})
        job = replace(job, stages=tuple(replace(stage, apply=inside.timed(stage.apply)) for stage in job.stages))
        with spent.clock():
            run_job(job, {"cube": source}, Path(name) / "map.tif", options=options, progress=plan)
        tell(**vars(spent), inside=inside.seconds, peak=peak_bytes(), **plan.facts(), classes=_histogram(Path(name) / "map.tif"))


def child_model(scene: Path, args: argparse.Namespace) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import torch

    from benchmarks.network import HALO, Network
    from hsikit.engine.resources import keep_freed_memory_small
    from hsikit.geo.grid import tile_windows
    from hsikit.sensors import open_source

    keep_freed_memory_small()
    source, spent, shape = open_source(scene), Spent(), tuple(args.shape)
    job = Network().bind({"cube": source.info})
    apply = job.stages[0].apply  # type: ignore[union-attr]
    cores = [core._replace(rows=shape[0], cols=shape[1]) for core in tile_windows(source.info.grid.whole, (shape[0], shape[1]))]
    size = 4 * len(source.info.bands) * (shape[0] + 2 * HALO) * (shape[1] + 2 * HALO)
    portion = max(args.threads, 8 * args.threads if size > 64 * MIB else 1024 * MIB // size)

    def work(tile: Any) -> Any:
        with torch.inference_mode():
            return apply(tile, {})["map"].numpy()

    with ThreadPoolExecutor(args.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(work, [_empty_tile(len(source.info.bands))] * args.threads))
        for first in range(0, len(cores), portion):
            tiles = [tile for core in cores[first : first + portion] if (tile := load_tile(source, core)).inner_valid("cube").any()]
            with spent.clock():
                for _ in pool.map(work, tiles):
                    pass
    tell(**vars(spent), peak=peak_bytes())


def load_tile(source: Any, core: Any) -> Any:
    """A tile as the engine makes it: float32, NaN outside the scene and where nothing is valid."""
    import torch

    from benchmarks.network import HALO
    from hsikit.method import Tile
    from hsikit.scene import read_window

    window = core.expand((HALO, HALO))
    inside = window.intersect(source.info.grid.whole)
    values = torch.full((len(source.info.bands), *window.shape), float("nan"))
    rows, cols = inside.slices((window.row, window.col))
    values[:, rows, cols] = torch.from_numpy(read_window(source, inside))
    cores = {"cube": core.slices((window.row, window.col))}
    return Tile({"cube": values}, {"cube": ~values[0].isnan()}, {"cube": window}, cores, core)


def _empty_tile(bands: int) -> Any:
    import torch

    from benchmarks.network import HALO
    from hsikit.geo.grid import Window
    from hsikit.method import Tile

    side = 2 * HALO + 16
    inner = (slice(HALO, -HALO), slice(HALO, -HALO))
    core = Window(0, 0, 16, 16)
    return Tile({"cube": torch.zeros(bands, side, side)}, {"cube": torch.ones(side, side, dtype=torch.bool)}, {}, {"cube": inner}, core)


def child_dask(scene: Path, args: argparse.Namespace) -> None:
    import dask
    import rasterio
    import torch

    from hsikit.sensors import open_source

    small = _small_scene(Path(args.folder), scene)
    with dask.config.set(scheduler="threads", num_workers=args.threads), rasterio.Env(GDAL_CACHEMAX=64 * MIB):
        spent = Spent()
        torch.set_num_threads(1)
        _dask_map(small, len(open_source(small).info.bands)).compute()
        info = open_source(scene).info
        with spent.clock():
            classes = _dask_map(scene, len(info.bands)).compute()
            with rasterio.open(
                Path(args.folder) / "dask.tif", "w", driver="COG", width=classes.shape[1], height=classes.shape[0], count=1, dtype="uint8", nodata=0
            ) as file:
                file.write(classes, 1)
    tell(**vars(spent), peak=peak_bytes(), classes=_histogram(Path(args.folder) / "dask.tif"))


def _dask_map(scene: Path, bands: int) -> Any:
    """The class map as a Dask array."""
    import dask.array as da
    import numpy as np

    from benchmarks.network import HALO, Network
    from benchmarks.scenes import NODATA

    network = Network().module(bands)
    stored = _dask_stored(scene, bands)
    overlapped = da.overlap.overlap(stored, depth={0: 0, 1: HALO, 2: HALO}, boundary={0: "none", 1: NODATA, 2: NODATA})
    chunks = tuple(tuple(size - 2 * HALO for size in sizes) for sizes in overlapped.chunks[1:])
    return overlapped.map_blocks(_dask_block, network, drop_axis=0, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))


def _dask_stored(scene: Path, bands: int) -> Any:
    import dask.array as da
    import numpy as np

    if scene.suffix == ".tif":
        import rioxarray

        return rioxarray.open_rasterio(scene, chunks={"band": bands, "y": BLOCK, "x": BLOCK}, lock=False).data
    lines = {key: int(value) for key, value in re.findall(r"(samples|lines) = (\d+)", scene.read_text())}
    interleaved = "interleave = bil" in scene.read_text()
    shape = (lines["lines"], bands, lines["samples"]) if interleaved else (bands, lines["lines"], lines["samples"])
    stored = np.memmap(scene.with_suffix(".img"), np.int16, "r", shape=shape)
    if interleaved:
        stored = stored.transpose(1, 0, 2)
    return da.from_array(stored, chunks=(bands, BLOCK, BLOCK), asarray=False, name=False)


def _dask_block(stored: Any, network: Any) -> Any:
    """Class codes of one block with its halo."""
    import numpy as np
    import torch

    from benchmarks.network import HALO
    from benchmarks.scenes import NODATA, SCALE

    torch.set_num_threads(1)
    fill = stored == NODATA
    valid = ~fill.all(0)
    core = valid[HALO:-HALO, HALO:-HALO]
    if not core.any():
        return np.zeros(core.shape, np.uint8)
    values = np.multiply(stored, np.float32(SCALE), dtype=np.float32)
    values[fill] = np.nan
    with torch.inference_mode():
        classes = network(torch.from_numpy(values), torch.from_numpy(valid)).argmax(0).add_(1).to(torch.uint8).numpy()
    return np.where(core, classes, 0).astype(np.uint8)


def _small_scene(folder: Path, scene: Path) -> Path:
    """A scene of the same format and bands to warm up with."""
    from benchmarks.scenes import make_scene

    kind, size = scene.stem.rsplit("-", 1)
    return make_scene(folder, kind, (int(size.split("x")[2]), 48, 48))


def _histogram(path: Path) -> list[int]:
    """Pixels of each code of a map: maps of two runs are compared by it."""
    import numpy as np
    import rasterio

    with rasterio.open(path) as file:
        return np.bincount(file.read(1).reshape(-1), minlength=13)[:13].tolist()


CHILDREN: dict[str, Callable[[Path, argparse.Namespace], None]] = {"engine": child_engine, "model": child_model, "dask": child_dask}


def measure(scene: Path, args: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Figures of the engine and of the model alone on the engine's tiles, pair by pair, and of one run of Dask."""
    common = ["--scene", scene, "--memory", args.memory, "--threads", args.threads, "--folder", args.folder]
    own = ["--tile", args.tile] if args.tile else []
    warm_cache(scene.with_suffix(".img") if scene.suffix == ".hdr" else scene)

    def engine() -> dict[str, Any]:
        return run_fresh("benchmarks.engine", "--child", "engine", *common, *own, threads=1)

    def model(shape: list[int]) -> dict[str, Any]:
        return run_fresh("benchmarks.engine", "--child", "model", *common, "--shape", *shape, threads=1)

    engines, models = [engine()], []
    shape = engines[0]["tile"]
    models.append(model(shape))
    for pair in range(1, args.pairs):
        if pair % 2:
            models.append(model(shape))
        engines.append(engine())
        if not pair % 2:
            models.append(model(shape))
    found = {"engine": engines, "model": models}
    if not args.no_dask:
        found["dask"] = [run_fresh("benchmarks.engine", "--child", "dask", *common, threads=1)]
    return found


def ratios(found: dict[str, list[dict[str, Any]]], which: str) -> list[float]:
    """The engine's time over the model's, pair by pair, ascending."""
    return sorted(engine[which] / model[which] for engine, model in zip(found["engine"], found["model"], strict=True))


def report(kind: str, found: dict[str, list[dict[str, Any]]], promised: int) -> None:
    """Prints one format's line, and what missed its target."""
    engine, model = ({name: median(run[name] for run in found[side]) for name in ("cpu", "wall")} for side in ("engine", "model"))
    cpu, wall = ratios(found, "cpu"), ratios(found, "wall")
    peak, last = max(run["peak"] for run in found["engine"]), found["engine"][-1]
    target = TARGETS[kind.split("-")[0]]
    tile = "x".join(map(str, last["tile"]))
    line = f"{kind:16}{tile:>10}{model['cpu']:9.1f}{engine['cpu']:9.1f}{median(cpu):8.3f}{f'{cpu[0]:.3f}-{cpu[-1]:.3f}':>13}"
    line += f"{median(run['cpu'] / run['inside'] for run in found['engine']):8.3f}{median(wall):8.3f}"
    line += f"{peak / MIB:8.0f}{last['planned'] / MIB:8.0f}"
    for dask in found.get("dask", []):
        line += f"{dask['cpu'] / model['cpu']:10.3f}{dask['wall'] / model['wall']:8.3f}{dask['peak'] / MIB:8.0f}"
        if dask["classes"] != last["classes"]:
            moved = sum(abs(a - b) for a, b in zip(dask["classes"], last["classes"], strict=True)) // 2
            line += f"   maps differ by at least {moved} pixels"
    missed = [word for word, bad in (("CPU", median(cpu) > target), ("memory", peak > promised)) if bad]
    print(line + f"   target {target:.2f}: {'MISSED ' + ', '.join(missed) if missed else 'ok'}", flush=True)


def arguments() -> argparse.Namespace:
    from benchmarks.scenes import FORMATS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("rows", 2000), ("cols", 2000), ("bands", 200), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--pairs", type=int, default=3, help="runs of the engine and of the model alone, in turns")
    parser.add_argument("--memory", default="700M", help="what the engine may occupy")
    parser.add_argument("--tile", type=int, help="rows and columns of the engine's tiles; default: as it plans them")
    parser.add_argument("--folder", type=Path, help="where scenes are kept; default: a temporary one, emptied at the end")
    parser.add_argument("--formats", nargs="*", default=list(FORMATS), choices=list(FORMATS), metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--large", action="store_true", help="four times the pixels: twice the rows, twice the columns")
    parser.add_argument("--no-dask", action="store_true")
    for name in ("--child", "--scene"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--shape", nargs=2, type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if args.child:
        CHILDREN[args.child](Path(args.scene), args)
        return
    with tempfile.TemporaryDirectory() as temporary:
        keep, args.folder = args.folder is not None, args.folder or Path(temporary)
        args.folder.mkdir(parents=True, exist_ok=True)
        times = 2 if args.large else 1
        shape = (args.bands, args.rows * times, args.cols * times)
        told = f"{args.threads} threads, --memory {args.memory}, {args.pairs} pairs, load {os.getloadavg()[0]:.1f}"
        print(f"{shape[1]} x {shape[2]} x {shape[0]} int16, {told}; ratios to the model alone")
        names = ("tile", "model s", "engine s", "CPU", "from-to", "within", "wall", "MiB", "planned", "Dask CPU", "wall", "MiB")
        print(f"{'CPU seconds':16}" + "".join(f"{name:>{width}}" for name, width in zip(names, (10, 9, 9, 8, 13, 8, 8, 8, 8, 10, 8, 8), strict=True)))
        for kind in args.formats:
            made = run_fresh("benchmarks.scenes", args.folder, kind, *shape)
            report(kind, measure(Path(made["path"]), args), parse(args.memory))
            if not keep:
                from benchmarks.scenes import drop_scene

                drop_scene(Path(made["path"]))


def parse(memory: str) -> int:
    """Bytes of "700M"."""
    from hsikit.engine.resources import parse_memory

    return parse_memory(memory)


if __name__ == "__main__":
    main()
