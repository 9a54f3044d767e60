"""False alarms that detectors give beside those that were asked for.

    python -m benchmarks.false_alarms --data FOLDER

*Backgrounds*: six scenes with pixel truth, their targets masked out, and 1e-3 asked for: the rate over all pixels pooled, the least and the most as
each scene is left out in turn, and the rate where each quarter of a scene has the threshold of the other three. *With targets*: the same scenes as
they are, where targets fill 0.1 to 2 % of the pixels and take up places above the threshold. *Simulated*: a scene of 4 million pixels with heavy
tails, 1e-4 asked for, and its threshold on a second scene of the same law. Figures are over what was asked: 1 is right.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.detection import DRAWN, SCENES, load, scored
from benchmarks.rx import InMemory

TARGETED = ("ace", "matched-filter", "smf", "cem", "glrt", "spsmf", "spectral-angle")
UNTARGETED = ("rx", "local-rx", "object-anomaly")
SHARED, SIMULATED, DRAWS = 1e-3, 1e-4, 3
BANDS, FREEDOM = 10, 6
"""Of the simulated scene: bands, degrees of freedom of its radii (below 10 is a heavy tail)."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/detection"))
    parser.add_argument("--side", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("shared", "simulated"), default=None)
    return parser.parse_args()


def methods(source: Any, pixels: Callable[[int], Any]) -> Iterator[tuple[str, Any]]:
    """Every detector, those of known spectra for several draws of target pixels."""
    from hsikit.api import make_method
    from hsikit.targets import read_targets

    for name in UNTARGETED:
        yield name, make_method(name)
    for seed in range(DRAWS):
        targets = read_targets(source, pixels=pixels(seed))
        yield from ((name, make_method(name, targets=targets)) for name in TARGETED)


def threshold(scores: Any, rate: float) -> float:
    """The value that at most a share of the scores exceeds, as `hsikit.tasks.detection.quantile` finds it."""
    import numpy as np

    kept = scores[~np.isnan(scores)]
    place = len(kept) - 1 - int(rate * len(kept) + 1e-9)
    return float(np.partition(kept, place)[place])


def quarters_left_out(scores: Any, rate: float) -> float:
    """Rate of a map's quarters above the thresholds of the other three."""
    import numpy as np

    rows, cols = (side // 2 for side in scores.shape)
    above = 0
    for part in ((r, c) for r in (slice(rows), slice(rows, None)) for c in (slice(cols), slice(cols, None))):
        rest = scores.copy()
        rest[part] = np.nan
        above += int((scores[part] > threshold(rest, rate)).sum())
    return above / int((~np.isnan(scores)).sum())


def shared(folder: Path, threads: int) -> None:
    """The two tables of shared scenes."""
    import numpy as np

    found: dict[str, list[list[float]]] = {}
    for scene in SCENES:
        source, truth = load(folder / f"{scene}.mat")
        places = np.argwhere(truth)
        empty = InMemory(np.where(truth, np.nan, source.values))

        def pixels(seed: int, places: Any = places) -> list[tuple[int, int]]:
            return [(int(row), int(col)) for row, col in places[np.random.default_rng(seed).choice(len(places), DRAWN, replace=False)]]

        for name, method in methods(source, pixels):
            alone, whole = scored(method, empty, threads), scored(method, source, threads)
            limit = threshold(whole, SHARED)
            count = int((~truth).sum())
            row = (count, (alone > threshold(alone, SHARED)).sum(), count * quarters_left_out(alone, SHARED), (whole[~truth] > limit).sum())
            found.setdefault(name, []).append([len(found.get(name, [])), *row])
    print(f"{SHARED:g} asked{'':12} {'pooled':>7} {'one left out':>15} {'quarters':>9}   {'with targets':>12} {'one left out':>15}")
    for name, rows in found.items():
        table = np.array(rows)[:, 1:].reshape(len(SCENES), -1, 4).sum(1)
        rates = [pooled(table, column) for column in (1, 2, 3)]
        alone, quarters, whole = ((rate / SHARED, f"{low / SHARED:6.2f} to {high / SHARED:5.2f}") for rate, low, high in rates)
        print(f"{name:24} {alone[0]:7.2f} {alone[1]:>15} {quarters[0]:9.2f}   {whole[0]:12.2f} {whole[1]:>15}", flush=True)


def pooled(table: Any, column: int) -> tuple[float, float, float]:
    """Rate over all scenes, and the least and the most with one scene left out."""
    counts, above = table[:, 0], table[:, column]
    left = (above.sum() - above) / (counts.sum() - counts)
    return float(above.sum() / counts.sum()), float(left.min()), float(left.max())


def heavy_scene(side: int, seed: int) -> Any:
    """Three covers with correlated bands and heavy tails, int16 of shape (bands, rows, cols)."""
    import numpy as np

    law, rng = np.random.default_rng(0), np.random.default_rng(seed)
    means = law.uniform(1500, 3500, (3, BANDS))
    mixes = law.normal(size=(3, BANDS, BANDS)) * np.geomspace(60, 3, BANDS)
    cover = (np.arange(side)[:, None] * 5 // side + np.arange(side) * 3 // side) % 3
    scene = np.empty((BANDS, side, side), np.int16)
    for row in range(side):
        radius = np.sqrt(FREEDOM / rng.chisquare(FREEDOM, side))
        noise = np.einsum("cbk,kc->bc", mixes[cover[row]], rng.normal(size=(BANDS, side)) * radius)
        scene[:, row] = np.clip(means[cover[row]].T + noise, 1, 32000)
    return scene


def simulated(side: int, threads: int) -> None:
    """The table of the simulated scene."""
    first, second = (InMemory(heavy_scene(side, seed)) for seed in (900, 901))
    print(f"\n{SIMULATED:g} asked, {side * side:,} pixels{'':4} {'own':>6} {'second scene':>13}")
    for name, method in methods(first, lambda seed: [(seed * 7, 11)]):
        if name in ("local-rx", "object-anomaly"):
            continue  # many minutes; their thresholds are the same quantile
        scores, other = (scored(method, source, threads) for source in (first, second))
        limit = threshold(scores, SIMULATED)
        own, again = (float((values > limit).mean()) / SIMULATED for values in (scores, other))
        print(f"{name:30} {own:6.2f} {again:13.2f}", flush=True)


def main() -> None:
    options = arguments()
    if options.only in (None, "shared"):
        shared(options.data, options.threads)
    if options.only in (None, "simulated"):
        simulated(options.side, options.threads)


if __name__ == "__main__":
    main()
