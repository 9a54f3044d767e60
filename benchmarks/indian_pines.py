"""Accuracy on Indian Pines where labels and test pixels lie in different halves of each class, over many draws.

    python benchmarks/indian_pines.py --draws 100

For each class, ten labels come from one half of its pixels, and half of the other half is the test (`class_halves_draw`). Every
method maps the whole scene by the engine, as a user's run does; the map is scored at the test pixels. Mean overall accuracy over
draws 0 to 99 should be: nearest-label 40.4 to 42.4; svm 43.5 to 46; mnf-lda at 40 components, a 5 x 5 mean, standardised spectra
57.5 to 59.7; smoothed 59.8 to 62; with sizes chosen inside the labels at most 2 points lower; mnf-lda-edge
67.4 to 69.4. The map takes at most 5 s.

The scene comes with the package `tensorly`, or as two .npy files in a folder.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hsikit.engine import compute
from hsikit.geo.grid import Grid
from hsikit.layers import Legend
from hsikit.metrics.scores import scores
from hsikit.scene import Bands, SceneInfo, Source
from hsikit.sensors.array import ArraySource
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.mnf_lda import MnfLda
from hsikit.tasks.classification.mnf_lda_edge import MnfLdaEdge
from hsikit.tasks.classification.nearest_label import NearestLabel
from hsikit.tasks.classification.random_forest import RandomForest
from hsikit.tasks.classification.smooth import smooth
from hsikit.tasks.classification.svm import Svm
from hsikit.train.labelled import LabelledScene
from hsikit.train.splits import class_halves_draw

BANDS = Path(__file__).parents[1] / "datasets" / "indian_pines_bands.csv"
CODES = range(1, 17)
FIXED = {"components": 40, "width": 5, "standardise": True}

METHODS: dict[str, tuple[type[PixelClassifier], Mapping[str, Any], bool]] = {
    "nearest-label": (NearestLabel, {}, False),
    "svm": (Svm, {}, False),
    "random-forest": (RandomForest, {}, False),
    "mnf-lda 40/5/standardised": (MnfLda, FIXED, False),
    "the same, smoothed": (MnfLda, FIXED, True),
    "mnf-lda, chosen inside the labels": (MnfLda, {}, False),
    "the same, smoothed ": (MnfLda, {}, True),
    "mnf-lda-edge": (MnfLdaEdge, {}, False),
    "mnf-lda-edge, not detrended": (MnfLdaEdge, {"detrend": False}, False),
}


def load_scene(folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Values (rows, cols, bands) and classes (rows, cols)."""
    if folder is not None:
        return np.load(folder / "Indian_pines_corrected.npy"), np.load(folder / "Indian_pines_gt.npy")
    from tensorly.datasets import load_indian_pines

    scene = load_indian_pines()
    return np.asarray(scene["tensor"]), np.asarray(scene["ticks"][0])


def open_scene(values: np.ndarray) -> Source:
    """The scene as a source, its bands in ascending order."""
    with BANDS.open(newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    wavelength, fwhm = (np.array([float(row[key]) for row in rows]) for key in ("wavelength", "fwhm"))
    order = np.argsort(wavelength)
    bands = Bands(wavelength[order], fwhm[order], np.ones(len(order), bool), tuple(f"band {i + 1}" for i in order))
    info = SceneInfo("Indian Pines", Grid(values.shape[:2]), bands, str(values.dtype), "array", sensor="aviris")
    return ArraySource(np.ascontiguousarray(values.transpose(2, 0, 1)[order]), info)


def labels_at(source: Source, truth: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> LabelledScene:
    order = np.lexsort((cols, rows))
    rows, cols = rows[order], cols[order]
    return LabelledScene(source, rows, cols, truth[rows, cols].astype(np.uint8), np.arange(len(rows)), Legend.of({k: f"class {k}" for k in CODES}), "labels")


def map_scene(method: PixelClassifier, source: Source, smoothed: bool, run: Callable[..., Any]) -> np.ndarray:
    job = method.with_options(extras=("log_probabilities",) if smoothed else ()).bind({"cube": source.info})
    return np.asarray(run(smooth(job) if smoothed else job, {"cube": source}, layers=("map",)).layers["map"][0])


def run_draw(seed: int, source: Source, truth: np.ndarray, chosen: list[str], run: Callable[..., Any]) -> dict[str, tuple[float, float, float, float]]:
    """Overall and average accuracy, seconds to train and seconds to map, by method."""
    rows, cols = np.nonzero(truth)
    train, test = (labels_at(source, truth, rows[part], cols[part]) for part in class_halves_draw(rows, cols, truth[rows, cols], seed))
    trained: dict[int, tuple[PixelClassifier, float]] = {}
    results = {}
    for name in chosen:
        kind, options, smoothed = METHODS[name]
        key = id(options) if options else id(kind)
        start = time.perf_counter()
        if key not in trained:
            trained[key] = kind.train([train], seed=seed, run=run, **options), time.perf_counter() - start
        method, seconds = trained[key]
        start = time.perf_counter()
        classes = map_scene(method, source, smoothed, run)
        mapped = time.perf_counter() - start
        found = scores(test.codes, classes[test.rows, test.cols], list(CODES))
        results[name] = (100 * found.overall, 100 * found.average, seconds, mapped)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="seed of the first draw")
    parser.add_argument("--folder", type=Path, help="holds Indian_pines_corrected.npy and Indian_pines_gt.npy; default: the package tensorly")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), metavar="NAME")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    values, truth = load_scene(options.folder)
    source = open_scene(values)
    run = partial(compute, threads=options.threads)
    draws = [run_draw(seed, source, truth, options.methods, run) for seed in range(options.first, options.first + options.draws)]
    print(f"Indian Pines, class halves, 10 labels a class, {options.draws} draws from seed {options.first}: mean and deviation over draws, %")
    print(f"{'method':36}{'OA':>14}{'AA':>14}{'train, s':>10}{'map, s':>8}")
    for name in options.methods:
        figures = np.array([draw[name] for draw in draws])
        mean, spread = figures.mean(0), figures.std(0)
        print(f"{name:36}{mean[0]:8.2f} ±{spread[0]:4.1f}{mean[1]:8.2f} ±{spread[1]:4.1f}{mean[2]:10.2f}{mean[3]:8.2f}")


if __name__ == "__main__":
    main()
