"""Expected calibration error on Indian Pines before and after the temperature, on the labels' ground and on other ground.

    python benchmarks/calibration.py --draws 10 --first 900

Far: ten labels a class from one half of each class, two folds of halves; tested on half of the other half
(`class_halves_draw`). Near: ten labels a class from one half, ten random folds; tested on the rest of that half. Means over draws
900 to 909 should be, in percent before and after: mnf-lda near 12.6 and 3.8, far 39.9 and 9.4; smoothed near 9.8 and 5.0, far
37.9 and 11.2; mnf-lda-edge near 7.2 and 4.8, far 30.8 and 13.2.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch
from indian_pines import FIXED, labels_at, load_scene, open_scene

from hsikit.engine import compute
from hsikit.tasks.classification.mnf_lda import MnfLda
from hsikit.tasks.classification.mnf_lda_edge import MnfLdaEdge
from hsikit.tasks.classification.smooth import smooth
from hsikit.train.pipeline import fit_calibrated
from hsikit.train.predictions import predict
from hsikit.train.splits import Split, along_longer_side, class_halves_draw

METHODS = {"mnf-lda": (MnfLda, FIXED, (None, smooth)), "mnf-lda-edge": (MnfLdaEdge, {}, (None,))}
Draw = tuple[np.ndarray, np.ndarray]


def near_draw(rows: np.ndarray, cols: np.ndarray, codes: np.ndarray, seed: int, per_class: int = 10) -> Draw:
    """Training and test pixels from one half of each class; at most half of it trains."""
    rng = np.random.default_rng(seed)
    train, test = [], []
    for code in np.unique(codes):
        order = along_longer_side(rows, cols, np.flatnonzero(codes == code))
        half = rng.permutation((order[: len(order) // 2], order[len(order) // 2 :])[int(rng.integers(2))])
        count = min(per_class, len(half) // 2)
        train.append(half[:count])
        test.append(half[count:])
    return np.concatenate(train), np.concatenate(test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--first", type=int, default=900, help="seed of the first draw")
    parser.add_argument("--folder", type=Path, help="holds Indian_pines_corrected.npy and Indian_pines_gt.npy; default: the package tensorly")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), metavar="NAME")
    options = parser.parse_args()
    torch.set_num_threads(1)
    values, truth = load_scene(options.folder)
    source, run = open_scene(values), partial(compute, threads=1)
    rows, cols = np.nonzero(truth)
    codes = truth[rows, cols]
    print(f"{'method':28}{'ground':8}{'T':>7}{'ECE before':>12}{'after':>8}{'s.e.':>6}")
    for name in options.methods:
        kind, settings, finishes = METHODS[name]
        for ground, split, draw in (("near", "random", near_draw), ("far", "class-halves", class_halves_draw)):
            found: dict[int, list[tuple[float, float, float]]] = {k: [] for k in range(len(finishes))}
            for seed in range(options.first, options.first + options.draws):
                parts = (np.sort(part) for part in draw(rows, cols, codes, seed))
                train, test = (labels_at(source, truth, rows[part], cols[part]) for part in parts)
                drawn = Split(split, [], [], seed, (), {})
                model, how = fit_calibrated(kind, [train], drawn, seed=seed, run=run, calibrate=True, options=settings)
                for k, finish in enumerate(finishes):
                    answers = predict(model, [test], run, finish=finish)
                    found[k].append((how.temperature, 100 * answers.reliability(calibrated=False).ece, 100 * answers.reliability().ece))
            for k, finish in enumerate(finishes):
                temperature, before, after = np.array(found[k]).T
                label = name + (", smoothed" if finish else "")
                error = after.std() / np.sqrt(len(after))
                print(f"{label:28}{ground:8}{temperature.mean():7.2f}{before.mean():12.2f}{after.mean():8.2f}{error:6.2f}", flush=True)


if __name__ == "__main__":
    main()
