"""The worked example of area-adjusted accuracy, and how often its 95 % intervals cover the truth.

    python -m benchmarks.accuracy_intervals --samples 1000

(a) The example of Olofsson et al. (2014), doi:10.1016/j.rse.2014.02.015, beside the published digits. (b) Stratified samples of
a map whose confusion is known: for each design, the share of intervals that cover the truth, for overall accuracy and, as a mean over the
classes (with the lowest class), for user's and producer's accuracies and areas. The target is 93 to 97 %. Intervals of plus and minus 1.96
standard errors fall short where a class gets few points or a rare class's omissions lie in a large stratum; the table shows where.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from hsikit.metrics.area_accuracy import AreaAccuracy, Estimates, allocate, area_accuracy

CLASSES = ("deforestation", "forest gain", "stable forest", "stable non-forest")
COUNTS = ((66, 0, 5, 4), (0, 55, 8, 12), (1, 0, 153, 11), (2, 1, 9, 313))
PIXELS = (200_000, 150_000, 3_200_000, 6_450_000)
PRINTED = (
    "0.880 ± 0.074  0.749 ± 0.213   21,158 ± 6,158",
    "0.733 ± 0.101  0.847 ± 0.254   11,686 ± 3,756",
    "0.927 ± 0.040  0.935 ± 0.034  285,770 ± 15,510",
    "0.963 ± 0.021  0.962 ± 0.018  581,386 ± 16,282",
)
Floats = NDArray[np.float64]

EVEN = (np.array([0.2, 0.25, 0.25, 0.3]), np.array([[0.80, 0.08, 0.07, 0.05], [0.06, 0.82, 0.07, 0.05], [0.05, 0.07, 0.78, 0.10], [0.06, 0.05, 0.09, 0.80]]))
"""A land-cover map of four common classes: shares of the map, and reference classes within each."""
SKEWED = (np.array(PIXELS) / sum(PIXELS), np.array(COUNTS) / np.sum(COUNTS, 1, keepdims=True))
"""The worked example's own shares and rates: two rare classes, hardly omitted."""


def lines(found: AreaAccuracy) -> list[str]:
    assert found.hectares is not None
    table = []
    for k in range(len(found.classes)):
        users, producers = (f"{of.value[k]:.3f} ± {of.half_width[k]:.3f}" for of in (found.users, found.producers))
        table.append(f"{users}  {producers}  {f'{found.hectares.value[k]:,.0f}':>7} ± {found.hectares.half_width[k]:,.0f}")
    return table


def covered(of: Estimates, truth: Floats) -> Floats:
    return np.where(np.isnan(of.value), np.nan, np.abs(of.value - truth) <= of.half_width)


def coverage(weights: Floats, rates: Floats, points: NDArray[np.int64], samples: int, seed: int) -> dict[str, Floats]:
    """Share of `samples` intervals that cover the truth, by estimate: an array over the classes. NaN estimates are not counted."""
    rng = np.random.default_rng(seed)
    table = weights[:, None] * rates
    right, share = np.diag(table), table.sum(0)
    names = [str(k) for k in range(len(weights))]
    hits: dict[str, list[Floats]] = {"overall": [], "user's": [], "producer's": [], "area": []}
    for _ in range(samples):
        found = area_accuracy(rng.multinomial(points, rates), weights, names)
        hits["overall"].append(covered(found.overall, right.sum()))
        hits["user's"].append(covered(found.users, np.diag(rates)))
        hits["producer's"].append(covered(found.producers, right / share))
        hits["area"].append(covered(found.share, share))
    return {name: np.atleast_1d(np.nanmean(rows, axis=0)) for name, rows in hits.items()}


def verdict(shares: dict[str, Floats]) -> str:
    """Whether each estimate of each class, not only the means, is on target."""
    missed = [name for name, of in shares.items() if not np.all((of >= 0.93) & (of <= 0.97))]
    return f"outside 93 to 97: {', '.join(missed)}" if missed else "all on target"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found = area_accuracy(COUNTS, PIXELS, CLASSES, unit_hectares=0.09)
    for name, ours, printed in zip(CLASSES, lines(found), PRINTED, strict=True):
        print(f"{name:18} {ours:46} printed {printed:46} {'same' if ours == printed else 'DIFFERS'}")
    print(f"overall            {found.overall.value:.3f} ± {found.overall.half_width:.3f}, printed 0.947 ± 0.018\n")
    print(f"95 % intervals that cover the truth, {args.samples} samples, %: mean over classes (lowest class)")
    for label, (weights, rates) in (("common classes", EVEN), ("two rare classes", SKEWED)):
        designs = {f"{n} per class": np.full(4, n) for n in (50, 200, 500)}
        designs |= {f"{n} proportional, 50 at least": allocate(n, weights) for n in (641, 2000)}
        for design, points in designs.items():
            shares = coverage(weights, rates, points, args.samples, args.seed)
            print(f"{label:17} {design:29}", *(f"{k} {100 * v.mean():.1f} ({100 * v.min():.1f})" for k, v in shares.items()), verdict(shares), sep="  ")


if __name__ == "__main__":
    main()
