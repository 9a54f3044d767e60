"""What the engine plans to occupy and what it occupies, by method.

    python -m benchmarks.memory --memory 700M

Each method maps a generated scene in a process of its own that does nothing else: it opens the scene (and the model, trained in another
process), and runs. "planned" is the engine's estimate of the process's peak, "peak" what the kernel saw, "own" the part that is not
mapped libraries. A peak above what was promised is a miss; a peak far below the plan is memory that the method's `cost` asks for in vain.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.engine import Plan
from benchmarks.measure import MIB, peak_bytes, run_fresh, tell

CLASSIFIERS = ("mnf-lda", "mnf-lda-edge", "lola-specvit", "svm", "random-forest")
METHODS = ("network", *CLASSIFIERS, "smooth", "bicubic", "brovey", "rx", "rx-hits")
LABELS_PER_CLASS = 100
ZOOM = 3
"""How much finer the panchromatic image of brovey is; bicubic doubles."""


def labelled(source: Any) -> Any:
    """Labels on random covered pixels of the scene's true surfaces."""
    import numpy as np

    from benchmarks.scenes import covered, surfaces
    from hsikit.layers import Legend
    from hsikit.train.labelled import LabelledScene

    bands, (rows, cols) = len(source.info.bands), source.info.grid.shape
    row, col = np.ogrid[0:rows, 0:cols]
    kinds = np.where(covered(row, col, (bands, rows, cols)), surfaces(row, col) + 1, 0)
    rng = np.random.default_rng(0)
    found = [rng.choice(places, min(LABELS_PER_CLASS, len(places)), replace=False) for code in range(1, 13) if len(places := np.flatnonzero(kinds == code))]
    places = np.sort(np.concatenate(found))
    codes = kinds.reshape(-1)[places].astype(np.uint8)
    legend = Legend.of({int(code): f"class {code}" for code in np.unique(codes)})
    at_rows, at_cols = np.unravel_index(places, (rows, cols))
    return LabelledScene(source, at_rows, at_cols, codes, np.arange(len(places)), legend, "generated")


def child_train(name: str, args: argparse.Namespace) -> None:
    """Trains a classifier on a small scene of the same bands and saves it."""
    from functools import partial

    from hsikit.engine import compute
    from hsikit.models import save_method
    from hsikit.registry import load_class
    from hsikit.sensors import open_source

    scene = labelled(open_source(args.scene))
    kind: Any = load_class(name)
    save_method(kind.train([scene], seed=0, run=partial(compute, threads=args.threads)), args.folder / f"{name}.model", overwrite=True)
    tell(trained=name)


def child_run(name: str, args: argparse.Namespace) -> None:
    """Runs one method as a user would."""
    from hsikit.engine.resources import limit_gdal_cache, parse_memory

    limit_gdal_cache(args.memory)
    job, sources = make_job(name, args)
    from hsikit.engine import RunOptions, run_job

    options = RunOptions(memory=parse_memory(args.memory), threads=args.threads, tile=args.tile, overwrite=True, restart=True)
    plan = Plan()
    cost = [0]

    def counted(shape: tuple[int, int]) -> Any:
        found = job.cost(shape)
        cost[0] = found.bytes
        return found

    run_job(replace(job, cost=counted), sources, args.folder / f"{name}.tif", options=options, progress=plan)
    tell(peak=peak_bytes(), cost=cost[0], **plan.facts())


def make_job(name: str, args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The method's job, and its open scenes."""
    from hsikit.sensors import open_source

    cube = open_source(args.scene)
    if name == "brovey":
        from hsikit.tasks.pansharpening.brovey import Brovey

        sources = {"hs": cube, "pan": open_source(args.pan, role="pan")}
        return Brovey().bind({role: source.info for role, source in sources.items()}), sources
    sources = {"cube": cube}
    return _method(name, args).bind({"cube": cube.info}) if name != "smooth" else _smoothed(args, cube), sources


def _smoothed(args: argparse.Namespace, cube: Any) -> Any:
    from hsikit.models import load_method
    from hsikit.tasks.classification.smooth import smooth

    method: Any = load_method(args.folder / "mnf-lda.model")
    return smooth(method.with_options(extras=("log_probabilities",)).bind({"cube": cube.info}))


def _method(name: str, args: argparse.Namespace) -> Any:
    if name == "network":
        from benchmarks.network import Network

        return Network()
    if name == "bicubic":
        from hsikit.tasks.superresolution.bicubic import Bicubic

        return Bicubic()
    if name.startswith("rx"):
        from hsikit.tasks.detection.rx import RX

        return RX(pfa=1e-3 if name == "rx-hits" else None)
    from hsikit.models import load_method

    return load_method(args.folder / f"{name}.model")


def report(name: str, args: argparse.Namespace, promised: int) -> None:
    """Runs one method and prints its line."""
    common = ["--folder", args.folder, "--memory", args.memory, "--threads", args.threads]
    own = ["--tile", args.tile] if args.tile else []
    scene = args.scenes["brovey" if name == "brovey" else "bicubic" if name == "bicubic" else "map"]
    try:
        found = run_fresh("benchmarks.memory", "--child", "run", "--method", name, "--scene", scene, "--pan", args.scenes["pan"], *common, *own, threads=1)
    except RuntimeError as error:
        print(f"{name:16}failed: {str(error).strip().splitlines()[-1]}", flush=True)
        return
    tile = "x".join(map(str, found["tile"]))
    verdict = "ok" if found["peak"] <= promised else "MISSED"
    figures = (found["cost"], found["planned"], found["peak"], found["own"], found["peak"] - found["planned"])
    print(f"{name:16}{tile:>10}{found['threads']:>9}" + "".join(f"{figure / MIB:9.0f}" for figure in figures) + f"   {verdict}", flush=True)


def make_scenes(args: argparse.Namespace) -> dict[str, Path]:
    """A scene to map; smaller ones for what writes whole cubes, and to train on; a panchromatic image."""
    side, small = args.size, args.size // 2

    def make(rows: int, bands: int) -> Path:
        return Path(run_fresh("benchmarks.scenes", args.folder, args.format, bands, rows, rows)["path"])

    return {"map": make(side, args.bands), "bicubic": make(small, args.bands), "train": make(256, args.bands),
            "brovey": make(small // ZOOM, args.bands), "pan": finer_pan(make(small // ZOOM * ZOOM, 1))}  # fmt: skip


def finer_pan(path: Path) -> Path:
    """Gives an ENVI scene pixels of a third of the size, so that it lies over the cube of brovey."""
    text = path.read_text()
    path.write_text(text.replace(", 30.0, 30.0, 33", f", {30.0 / ZOOM}, {30.0 / ZOOM}, 33"))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1200, help="rows and columns of the scene that is mapped; half for what writes a cube")
    parser.add_argument("--bands", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="700M")
    parser.add_argument("--tile", type=int, help="default: as the engine plans")
    parser.add_argument("--format", default="envi-bsq", choices=["envi-bsq", "envi-bil"])
    parser.add_argument("--folder", type=Path, help="default: a temporary one")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS, metavar="METHOD", help=", ".join(METHODS))
    for hidden in ("--child", "--method", "--scene", "--pan"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        {"train": child_train, "run": child_run}[args.child](args.method, args)
        return
    from hsikit.engine.resources import parse_memory

    with tempfile.TemporaryDirectory() as temporary:
        args.folder = args.folder or Path(temporary)
        args.scenes = make_scenes(args)
        for name in {"mnf-lda" if name == "smooth" else name for name in args.methods} & set(CLASSIFIERS):
            common = ["--folder", args.folder, "--threads", args.threads, "--memory", args.memory]
            run_fresh("benchmarks.memory", "--child", "train", "--method", name, "--scene", args.scenes["train"], *common, threads=1)
        print(f"{args.size} x {args.size} x {args.bands} int16, --memory {args.memory}, {args.threads} threads; MiB")
        names = ("tile", "threads", "cost", "planned", "peak", "own", "off by")
        print(f"{'method':16}" + "".join(f"{name:>{width}}" for name, width in zip(names, (10, 9, 9, 9, 9, 9, 9), strict=True)))
        for name in args.methods:
            report(name, args, parse_memory(args.memory))


if __name__ == "__main__":
    main()
