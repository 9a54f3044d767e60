"""Every kind of method on the CPU and on a GPU: the same answers, and how long they take.

    python -m benchmarks.gpu_check
    python -m benchmarks.gpu_check --rows 1000 --cols 1000 --threads 8 --methods rx network

A simulated scene in memory (int16, 23 % nodata, a few single bands missing) is run by the engine on the CPU and on the GPU, in float32 and
bf16, each with tiles of two sizes. Columns:

* seconds of the run with the larger tiles, on the GPU the second of two; speed-up over the CPU in float32;
* largest difference to the CPU in float32, as a share of its range, and share of class codes that equal the CPU's;
* the same two figures for the smaller tiles beside the larger ones;
* most memory that torch held on the GPU.

bf16 concerns what computes in torch's autocast, so of these lola-specvit, the network and pretrain; the others compute in float64, or in
float32 throughout, and must not change, which is checked on the GPU alone. `pretrain` is no map: compared are the losses of the first step of
each objective, and the gradients that the optimiser gets; instead of other tiles, the same steps are made again. Without a GPU the CPU alone
is checked. The exit code is 1 where something differs by more than it may.

It needs numpy, scipy, torch and safetensors, and the checkout as its working folder.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import MIB, peak_bytes
from benchmarks.memory import labelled
from benchmarks.network import CLASSES, HALO, Network
from benchmarks.scenes import NODATA, SCALE, Shape, strips, wavelengths
from hsikit.engine import RunOptions, compute
from hsikit.engine.device import computing_on
from hsikit.engine.options import Precision
from hsikit.geo.grid import Grid
from hsikit.layers import Layer
from hsikit.method import Job, Map, Store, Tile
from hsikit.nn.encoder import build_encoder
from hsikit.nn.rebuilding import OBJECTIVES, build_objective
from hsikit.pretrain.recipe import Recipe
from hsikit.pretrain.run import Loop
from hsikit.pretrain.windows import SceneSupply
from hsikit.scene import Bands, Decoding, SceneInfo
from hsikit.sensors.array import ArraySource

EXACT = 1e-5
"""Share of the range by which a float32 answer may differ between devices, and between tiles."""
DIFFUSED = 5e-5
"""The same for mnf-lda-edge, which keeps logits of up to a thousand in float32 between forty rounds, and is compared by log-probabilities."""
CLOSE_CODES = 0.999
"""Share of codes that must agree in float32: the others have two classes that are as good as equal."""
LEARNED = 1e-4
"""The same for losses and gradients of a pretraining, sums over thousands of pixels; not held against a GPU yet."""
COARSE = 0.1
"""Share of the range by which a network in bf16 may differ, which has three digits; its codes are free, since its weights are random."""
Layers = Mapping[str, NDArray[Any]]
Agreement = tuple[float, float]
"""Largest difference as a share of the range, and share of equal class codes."""


@dataclass(frozen=True, kw_only=True)
class Case(ABC):
    """What is checked.

    Attributes:
        exact: share of the range by which float32 answers may differ.
        autocast: whether bf16 changes its answers.
    """

    exact: float = EXACT
    autocast: bool = False

    @abstractmethod
    def ready(self, scene: ArraySource, device: str, precision: Precision, tile: int, threads: int) -> Callable[[], Layers]:
        """What runs it once, and gives what is compared; the same each time."""

    def most(self, precision: Precision) -> float:
        """Share of the range by which answers may differ in a precision."""
        return COARSE if self.coarse(precision) else self.exact

    def coarse(self, precision: Precision) -> bool:
        """Whether answers have only the digits of bf16."""
        return self.autocast and precision == "bf16"


@dataclass(frozen=True)
class MethodCase(Case):
    """One method.

    Attributes:
        make: its job for a device; what it learns, it learns beforehand on the CPU.
        layers: what is compared.
    """

    make: Callable[[str], Job]
    layers: tuple[str, ...]

    def ready(self, scene: ArraySource, device: str, precision: Precision, tile: int, threads: int) -> Callable[[], Layers]:
        """See `Case.ready`."""
        job, options = self.make(device), RunOptions(tile=tile, threads=threads, device=device, precision=precision)
        return lambda: compute(job, {"cube": scene}, layers=self.layers, options=options).layers


@dataclass(frozen=True)
class PretrainingCase(Case):
    """The first step of a pretraining by each objective.

    Attributes:
        recipe: its options.
    """

    recipe: Recipe

    def ready(self, scene: ArraySource, device: str, precision: Precision, tile: int, threads: int) -> Callable[[], Layers]:
        """See `Case.ready`: the losses, and the gradients that the optimiser gets, in the modules' order."""
        import torch

        supply = SceneSupply(scene)
        assert supply.statistics  # read before the clock runs
        torch.manual_seed(0)
        modules = [build_objective(name, build_encoder(self.recipe.preset, **self.recipe.changes)) for name in OBJECTIVES]

        def steps() -> Layers:
            losses, gradients = [], []
            for module in modules:
                loop = Loop(copy.deepcopy(module), [supply], self.recipe, torch.device(device))
                loop.mixed = precision == "bf16"
                with computing_on(device, precision):
                    losses.append(loop.step(0))
                gradients += [parameter.grad.flatten().cpu() for parameter in loop.module.parameters() if parameter.grad is not None]
            return {"losses": np.array(losses), "gradients": torch.cat(gradients).numpy()}

        torch.set_num_threads(threads)
        return steps


@dataclass(frozen=True)
class Run:
    """What one run gave, and what it took."""

    layers: Layers
    seconds: float
    held: int


def make_scene(shape: Shape) -> ArraySource:
    """A scene in memory, with single bands missing in some pixels."""
    values = np.concatenate([part for _, part in strips(shape)], axis=1)
    rng = np.random.default_rng(1)
    for band in rng.integers(0, shape[0], 3):
        values[band, rng.random(shape[1:]) < 0.01] = NODATA
    bands = Bands(wavelengths(shape[0]), np.full(shape[0], 10.0), np.ones(shape[0], bool), tuple(f"band {i + 1}" for i in range(shape[0])))
    info = SceneInfo("simulated", Grid(shape[1:]), bands, "int16", "array", quantity="surface_reflectance", nodata=NODATA)
    return ArraySource(values, info, Decoding(SCALE, 0.0, NODATA))


def make_cases(scene: ArraySource, threads: int) -> dict[str, Callable[[], Case]]:
    """The methods by name; each is trained when it is called."""
    inputs = {"cube": scene.info}

    def classifier(kind: Any, exact: float = EXACT) -> MethodCase:
        model = kind.train([labelled(scene)], seed=0, run=partial(compute, threads=threads))
        return MethodCase(lambda device: model.with_options(extras=("log_probabilities",)).bind(inputs), ("map", "log_probabilities"), exact=exact)

    def mnf_lda() -> Case:
        from hsikit.tasks.classification.mnf_lda import MnfLda

        return classifier(MnfLda)

    def mnf_lda_edge() -> Case:
        from hsikit.tasks.classification.mnf_lda_edge import MnfLdaEdge

        return classifier(MnfLdaEdge, DIFFUSED)

    def lola_specvit() -> Case:
        from hsikit.tasks.classification.lola_specvit import LolaSpecVit

        return replace(classifier(LolaSpecVit, DIFFUSED), autocast=True)

    def rx() -> Case:
        from hsikit.tasks.detection.rx import RX

        return MethodCase(lambda device: RX(pfa=1e-3).bind(inputs), ("scores",))

    def bicubic() -> Case:
        from hsikit.tasks.superresolution.bicubic import Bicubic

        return MethodCase(lambda device: Bicubic(2).bind(inputs), ("fine",))

    def network() -> Case:
        return MethodCase(partial(_network_job, scene), ("map", "scores"), autocast=True)

    def pretrain() -> Case:
        return PretrainingCase(Recipe(), exact=LEARNED, autocast=True)

    found = (mnf_lda, mnf_lda_edge, lola_specvit, rx, bicubic, network, pretrain)
    return {make.__name__.replace("_", "-"): make for make in found}


def _network_job(scene: ArraySource, device: str) -> Job:
    """The benchmark's network with its weights on a device, which also writes its scores: with random weights many codes are a toss-up."""
    method = Network()
    module = method.module(len(scene.info.bands)).to(device)
    job = method.bind({"cube": scene.info})

    def apply(tile: Tile, store: Store) -> dict[str, Any]:
        scores = module(tile.arrays["cube"], tile.valid["cube"])
        return {"map": (scores.argmax(0, keepdim=True) + 1).byte(), "scores": scores}

    stage = Map("classify", ("cube",), ("map", "scores"), apply, halo=(HALO, HALO))
    return replace(job, layers=(*job.layers, Layer("scores", bands=CLASSES, delivered=False)), stages=(stage,))


def run(case: Case, scene: ArraySource, device: str, precision: Precision, tile: int, threads: int) -> Run:
    """Runs a case on a device that is warm."""
    import torch

    once = case.ready(scene, device, precision, tile, threads)
    if device != "cpu":
        once()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    found = once()
    seconds = time.perf_counter() - start
    return Run(found, seconds, torch.cuda.max_memory_allocated() if device != "cpu" else 0)


def agreement(one: Layers, other: Layers) -> Agreement:
    """How far one run's layers are from another's."""
    return apart(one, other), equal_codes(one, other)


def apart(one: Layers, other: Layers) -> float:
    """Largest difference of the float layers as a share of the range; infinity where another pixel is missing, NaN without such a layer."""
    most = float("nan")
    for name, expected in other.items():
        if expected.dtype.kind != "f":
            continue
        got = one[name]
        if not np.array_equal(np.isnan(got), np.isnan(expected)):
            return float("inf")
        reach = float(np.nanmax(expected) - np.nanmin(expected)) or 1.0
        most = float(np.nanmax([most, np.nanmax(np.abs(got - expected)) / reach]))
    return most


def equal_codes(one: Layers, other: Layers) -> float:
    """Share of the pixels with data whose codes are equal; NaN where there is no class map."""
    if "map" not in other:
        return float("nan")
    there = other["map"] > 0
    return float((one["map"] == other["map"])[there].mean()) if there.any() else 1.0


def exceeds(found: Agreement, case: Case, precision: Precision) -> bool:
    """Whether two runs differ by more than they may; NaN, where there is nothing to compare, never does."""
    difference, codes = found
    return difference > case.most(precision) or (codes < CLOSE_CODES and not case.coarse(precision))


def check(name: str, case: Case, scene: ArraySource, devices: list[str], args: argparse.Namespace) -> bool:
    """Runs a case everywhere, prints a line for each run, and says whether all limits hold."""
    reference = run(case, scene, "cpu", "float32", args.tile, args.threads)
    fine = True
    for device in devices:
        for precision in get_args(Precision) if device != "cpu" or case.autocast else ("float32",):
            known = device == "cpu" and precision == "float32"
            first = reference if known else run(case, scene, device, precision, args.tile, args.threads)
            other = run(case, scene, device, precision, args.tile * 2 // 3, args.threads)
            to_cpu, to_tiles = agreement(first.layers, reference.layers), agreement(other.layers, first.layers)
            bad = [word for word, pair in (("CPU", to_cpu), ("tiles", to_tiles)) if exceeds(pair, case, precision)]
            fine &= not bad
            line = f"{name:14}{device:>8}{precision:>9}{first.seconds:10.2f}{reference.seconds / first.seconds:10.2f}"
            line += "".join(f"{difference:11.1e}{codes:10.5f}" for difference, codes in (to_cpu, to_tiles)) + f"{first.held / MIB:10.0f}"
            print(f"{line}   at most {case.most(precision):g}: {'MISSED ' + ', '.join(bad) if bad else 'ok'}", flush=True)
    return fine


def checked(name: str, make: Callable[[], Case], scene: ArraySource, devices: list[str], args: argparse.Namespace) -> bool:
    """As `check`; a method that fails is shown with its traceback, and the others follow."""
    try:
        return check(name, make(), scene, devices, args)
    except Exception:
        print(f"{name:14}FAILED\n{traceback.format_exc()}", flush=True)
        return False


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, value in (("rows", 300), ("cols", 300), ("bands", 200), ("threads", 4), ("tile", 120)):
        parser.add_argument(f"--{option}", type=int, default=value)
    names = ("mnf-lda", "mnf-lda-edge", "lola-specvit", "rx", "bicubic", "network", "pretrain")
    parser.add_argument("--methods", nargs="*", default=list(names), choices=names, metavar="METHOD", help=", ".join(names))
    args = parser.parse_args()
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices.append("cuda")
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    else:
        print(f"no CUDA: torch {torch.__version__} sees no GPU, so only the CPU is checked")
    scene = make_scene((args.bands, args.rows, args.cols))
    print(f"{args.rows} x {args.cols} x {args.bands} int16, tiles of {args.tile} and {args.tile * 2 // 3}, {args.threads} threads")
    titles = ("device", "digits", "seconds", "speed-up", "CPU: apart", "codes", "tiles: ap.", "codes", "GPU MiB")
    print(f"{'method':14}" + "".join(f"{title:>{width}}" for title, width in zip(titles, (8, 9, 10, 10, 11, 10, 11, 10, 10), strict=True)))
    cases = make_cases(scene, args.threads)
    results = [checked(name, cases[name], scene, devices, args) for name in args.methods]
    print(f"peak of the process {peak_bytes() / MIB:.0f} MiB")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
