"""Detectors on real scenes with pixel truth, and their speed beside SPy.

    python -m benchmarks.detection --data FOLDER --threads 2

Five tables. *San Diego*: ten draws of three target pixels, whose mean is the target and which are not scored; area under the ROC
curve. *Targets*: the same on six scenes. *Planted*: a tenth and three tenths of the targets' mean in 100 pixels of each scene, where targets themselves
are not scored. *Anomalies* on six scenes, global
RX among them. *Speed* on a generated scene, both with the image in memory in the layout that they prefer: SPy's
wall and CPU time over ours from the image to the scores, and once statistics exist; and local RX a pixel.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

STRIP, DRAWS, DRAWN = 64, 10, 3
ANOMALIES = (
    "rx", "subspace-rx", "cluster-rx", "kernel-rx", "isolation-forest", "encoder-residual", "local-rx", "crd", "attribute-filter", "object-anomaly",
)  # fmt: skip
PLANTED, SHARES = 100, (0.1, 0.3)
TARGETS = ("matched-filter", "ace", "cem", "spsmf", "hcem")
SCENES = {"abu-airport-1": 0.8221, "abu-airport-2": 0.8404, "abu-airport-3": 0.9288, "abu-airport-4": 0.9526, "abu-beach-1": 0.9807, "sandiego_58": 0.8885}
"""Scenes of the folder, with the areas of global RX that others found."""
DETECTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "matched filter, shrinkage 1e-2": ("matched-filter", {"shrinkage": 1e-2}),
    "matched filter, default": ("matched-filter", {}),
    "matched filter, 0.5 % excluded": ("matched-filter", {"exclude": 5e-3}),
    "matched filter, 3e-3, 0.5 % excluded": ("matched-filter", {"shrinkage": 3e-3, "exclude": 5e-3}),
    "ace, default": ("ace", {}),
    "ace, 0.5 % excluded": ("ace", {"exclude": 5e-3}),
    "matched filter, clusters": ("matched-filter", {"background": "clusters"}),
    "matched filter, local": ("matched-filter", {"background": "local"}),
    "ace, clusters": ("ace", {"background": "clusters"}),
    "ace, local": ("ace", {"background": "local"}),
    "cem": ("cem", {}),
    "glrt": ("glrt", {}),
    "spsmf": ("spsmf", {}),
    "osp": ("osp", {}),
    "msd": ("msd", {}),
    "hcem": ("hcem", {}),
    "spectral angle": ("spectral-angle", {}),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/detection"))
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--cols", type=int, default=600)
    parser.add_argument("--bands", type=int, default=200)
    parser.add_argument("--local-side", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", choices=("san-diego", "targets", "planted", "anomalies", "speed"), default=None)
    return parser.parse_args()


def load(path: Path) -> tuple[Any, Any]:
    """A scene in memory, and its truth (rows, cols)."""
    import numpy as np
    from scipy.io import loadmat

    from benchmarks.rx import InMemory

    found = loadmat(path)
    return InMemory(np.ascontiguousarray(found["data"].astype(np.float32).transpose(2, 0, 1))), found["map"] != 0


def scored(method: Any, source: Any, threads: int) -> Any:
    from hsikit.engine import compute

    return compute(method.bind({"cube": source.info}), {"cube": source}, layers=["scores"], threads=threads).layers["scores"][0]


def san_diego(folder: Path, threads: int) -> None:
    """Every detector on the same draws, and what it gains over the first, draw by draw."""
    from hsikit.api import rank_detectors
    from hsikit.ranking.plan import Detector

    source, truth = load(folder / "sandiego_58.mat")
    rows = {label: Detector(name, options).row for label, (name, options) in DETECTORS.items()}
    found = rank_detectors(source, truth, list(DETECTORS.values()), target_pixels=DRAWN, seeds=range(DRAWS), against=next(iter(rows.values())), threads=threads)
    standing = {row.row: row for row in found.rows}
    print(f"San Diego, {int(truth.sum())} target pixels, {DRAWS} draws of {DRAWN}\n{'detector':38} {'mean':>7} {'worst':>7} {'gain':>8} {'PD at 1e-3':>11}")
    for label, row in rows.items():
        mine = standing[row]
        gain = 0.0 if row == mine.reference else mine.difference
        print(f"{label:38} {mine.area:7.4f} {mine.worst:7.4f} {gain:+8.4f} {mine.detection['0.001']:11.3f}", flush=True)


def target_scenes(folder: Path, threads: int) -> None:
    """A few detectors by pixels of the scene's own targets, on every scene."""
    from hsikit.api import rank_detectors

    sources, truths = (list(each) for each in zip(*(load(folder / f"{name}.mat") for name in SCENES), strict=True))
    found = rank_detectors(sources, truths, list(TARGETS), target_pixels=DRAWN, seeds=range(DRAWS), threads=threads)
    names = " ".join(f"{name.removeprefix('abu-'):>11}" for name in SCENES)
    print(f"\ntargets, mean of {DRAWS} draws of {DRAWN} pixels\n{'':16} {names} {'mean':>7}")
    scenes = list(dict.fromkeys(cell.scene for cell in found.cells))
    for method in TARGETS:
        each = [[cell.area for cell in found.cells if cell.row == method and cell.scene == scene] for scene in scenes]
        areas = [sum(draws) / len(draws) for draws in each]
        print(f"{method:16} " + " ".join(f"{area:11.4f}" for area in areas) + f" {sum(areas) / len(areas):7.4f}", flush=True)


def planted(folder: Path, threads: int) -> None:
    """Shares of a target all over scenes of several covers, against each kind of background."""
    import numpy as np

    from hsikit.api import make_method
    from hsikit.metrics.detection import roc_area, roc_curve

    for share in SHARES:
        scenes = [planted_scene(folder / f"{name}.mat", share) for name in SCENES]
        print(f"\nplanted: {share:.0%} of the targets' mean in {PLANTED} pixels of each scene; area, and rate of detection at 1e-3")
        print(" " * 26 + " ".join(f"{name.removeprefix('abu-'):>11}" for name in SCENES) + f" {'mean':>11}")
        for method in ("ace", "matched-filter", "smf", "spsmf"):
            for background in ("global", "clusters", "local"):
                found = []
                for source, truth, hit, targets in scenes:
                    scores = scored(make_method(method, targets=targets, background=background), source, threads)
                    scores[truth] = np.nan
                    found.append((roc_area(scores, hit), roc_curve(scores, hit).detection_at(1e-3)))
                told = [*found, tuple(np.mean(found, axis=0))]
                print(f"{method:16} {background:9}" + " ".join(f" {area:.3f} {rate:.3f}" for area, rate in told), flush=True)


def planted_scene(path: Path, share: float) -> tuple[Any, Any, Any, Any]:
    """A scene, its truth, the pixels in which a share of the target was planted, and the target."""
    import numpy as np

    from hsikit.tasks.detection.target_spectra import TargetSpectra

    source, truth = load(path)
    target = source.values[:, truth].mean(1).astype(np.float64)
    hit = np.zeros(truth.shape, bool)
    hit.flat[np.random.default_rng(0).choice(np.flatnonzero(~truth), PLANTED, replace=False)] = True
    source.values[:, hit] += (share * (target[:, None] - source.values[:, hit])).astype(np.float32)
    bands = source.info.bands
    return source, truth, hit, TargetSpectra(("target",), target[None], bands.wavelength, bands.fwhm, source.info.quantity)


def anomalies(folder: Path, threads: int) -> None:
    """Detectors that ask for no truth, each with one setting for all scenes."""
    from hsikit.api import rank_detectors

    sources, truths = (list(each) for each in zip(*(load(folder / f"{name}.mat") for name in SCENES), strict=True))
    found = rank_detectors(sources, truths, ANOMALIES, threads=threads)
    print("\nanomalies" + " " * 8 + " ".join(f"{name.removeprefix('abu-'):>11}" for name in SCENES) + f" {'mean':>7}")
    print(f"{'rx, known':16} " + " ".join(f"{known:11.4f}" for known in SCENES.values()))
    for method in ANOMALIES:
        areas = [cell.area for cell in found.cells if cell.row == method]
        print(f"{method:16} " + " ".join(f"{area:11.4f}" for area in areas) + f" {sum(areas) / len(areas):7.4f}", flush=True)


def speed(options: argparse.Namespace) -> None:
    """ACE and the matched filter beside SPy's."""
    import numpy as np
    import spectral

    from benchmarks.rx import InMemory, best, make_scene
    from hsikit.engine import compute

    scene = make_scene(options.rows, options.cols, options.bands)
    image, source = np.ascontiguousarray(scene.transpose(1, 2, 0), np.float32), InMemory(scene)
    target = scene[:, 7, 9].astype(np.float64) + 200 * np.sin(np.arange(options.bands) / 9)
    statistics = spectral.calc_stats(image)
    print(f"\n{options.rows} x {options.cols} x {options.bands}, {options.threads} thread(s), best of {options.repeat}; SPy's time over ours")
    for name, theirs in (("matched-filter", spectral.matched_filter), ("ace", spectral.ace)):
        job = job_of(name, target, source)
        spy_whole, expected = best(functools.partial(theirs, image, target), options.repeat)
        spy_again, _ = best(functools.partial(theirs, image, target, statistics), options.repeat)
        with ThreadPoolExecutor(options.threads, initializer=one_blas_thread) as pool:
            measure, score = stages_of(job, scene, pool)
            whole, scores = best(functools.partial(both, measure, score), options.repeat)
            again, _ = best(functools.partial(score, measure()), options.repeat)
        run, _ = best(functools.partial(compute, job, {"cube": source}, layers=["scores"], threads=options.threads), options.repeat)
        pairs = (("from the image, stages", spy_whole, whole), ("from the image, engine", spy_whole, run), ("scores alone, stages", spy_again, again))
        for label, spy, ours in pairs:
            print(f"{name:15} {label:24} SPy {spy[0]:6.3f} s  ours {ours[0]:6.3f} s  ratio {spy[0] / ours[0]:5.2f} (CPU time {spy[1] / ours[1]:5.2f})")
        apart = np.abs(np.abs(scores) - np.abs(expected)).max() / np.abs(expected).max()  # SPy's ACE has no sign
        print(f"{name:15} largest difference {apart:.1e} of the range", flush=True)


def local_speed(options: argparse.Namespace) -> None:
    """Local RX on 20 components beside SPy's, on the same and on all bands; SPy's on a small part, since each of its pixels costs milliseconds."""
    import numpy as np
    import spectral
    import torch

    from benchmarks.rx import best
    from hsikit.tasks.detection.local_rx import ring_distances

    inner, outer, side, part = 11, 25, options.local_side, max(30, options.local_side // 4)
    white = np.random.default_rng(0).normal(size=(options.bands, side, side))
    padded = torch.nn.functional.pad(torch.from_numpy(white[:20]), (outer // 2,) * 4)
    valid = torch.nn.functional.pad(torch.ones(side, side, dtype=torch.bool), (outer // 2,) * 4)
    own = best(lambda: ring_distances(padded, valid, inner, outer, 0.1), 1)[0][0] / side**2
    print(f"\nlocal RX, windows of {inner} and {outer}, 20 components: ours {own * 1e6:.1f} us a pixel")
    for bands in (20, options.bands):
        image = np.ascontiguousarray(white[:bands, :part, :part].transpose(1, 2, 0))
        theirs = best(functools.partial(spectral.rx, image, window=(inner, outer)), 1)[0][0] / part**2
        print(f"SPy on {bands} bands {theirs * 1e6:.0f} us a pixel, ratio {theirs / own:.1f}", flush=True)


def one_blas_thread() -> None:
    import torch

    torch.set_num_threads(1)


def job_of(name: str, target: Any, source: Any) -> Any:
    """The job without shrinkage, as SPy has none."""
    from hsikit.api import make_method
    from hsikit.tasks.detection.target_spectra import TargetSpectra

    bands = source.info.bands
    targets = TargetSpectra(("target",), target[None], bands.wavelength, bands.fwhm, source.info.quantity)
    return make_method(name, targets=targets, shrinkage=0.0).bind({"cube": source.info})


def stages_of(job: Any, scene: Any, pool: ThreadPoolExecutor) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """Statistics, and scores from them, over float32 strips as the engine hands them over."""
    import torch

    from hsikit.geo.grid import Window
    from hsikit.method import Tile

    rows, cols = scene.shape[1:]
    reduce, score = job.stages

    def strip(row: int) -> Tile:
        values = torch.from_numpy(scene[:, row : row + STRIP]).float()
        window, whole = Window(row, 0, values.shape[1], cols), (slice(0, values.shape[1]), slice(0, cols))
        return Tile({"cube": values}, {"cube": torch.ones(values.shape[1:], dtype=torch.bool)}, {"cube": window}, {"cube": whole}, window)

    tiles = [strip(row) for row in range(0, rows, STRIP)]

    def measure() -> Mapping[str, Any]:
        partials = pool.map(lambda tile: reduce.update(tile, {}), tiles)
        return {reduce.name: reduce.finish(functools.reduce(reduce.merge, partials), {})}

    def scores(store: Any) -> Any:
        return torch.cat([found["scores"][0] for found in pool.map(lambda tile: score.apply(tile, store), tiles)]).numpy()

    return measure, scores


def both(measure: Callable[[], Any], score: Callable[[Any], Any]) -> Any:
    return score(measure())


def main() -> None:
    options = arguments()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    import torch

    torch.set_num_threads(options.threads)
    if options.only in (None, "san-diego"):
        san_diego(options.data, options.threads)
    if options.only in (None, "targets"):
        target_scenes(options.data, options.threads)
    if options.only in (None, "planted"):
        planted(options.data, options.threads)
    if options.only in (None, "anomalies"):
        anomalies(options.data, options.threads)
    if options.only in (None, "speed"):
        speed(options)
        local_speed(options)


if __name__ == "__main__":
    main()
