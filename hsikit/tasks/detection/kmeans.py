"""k-means of a few thousand points: float64, sums in one order, centres in the order of their first coordinate.

Starts after Arthur and Vassilvitskii, 2007 (SODA, pp. 1027-1035), iterations after Lloyd, 1982 (doi:10.1109/TIT.1982.1056489). Not
scikit-learn's, whose threads add up in any order: clusters of one scene must not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STARTS, MOST_ITERATIONS = 10, 100
"""Of the starts the one that ends with the smallest sum of squares stands."""

Floats = NDArray[np.float64]


def k_means(points: Floats, clusters: int, seed: int = 0) -> Floats:
    """Centres of clusters.

    Args:
        points: shape (n, k), n from 1.
        clusters: how many are wanted.
        seed: of the starts.

    Returns:
        Shape (m, k), ascending in the first coordinate; m is below `clusters` where fewer points differ.
    """
    rng = np.random.default_rng(seed)
    ends = [_settled(points, _start(points, clusters, rng)) for _ in range(STARTS)]
    centres = min(ends, key=lambda end: end[1])[0]
    return centres[np.lexsort(centres.T[::-1])]


def squares(points: Floats, centres: Floats) -> Floats:
    """Squared distances of all points from all centres, shape (n, m), less what all centres of a point share."""
    lengths: Floats = np.einsum("mk,mk->m", centres, centres)
    return lengths - 2 * points @ centres.T


def _start(points: Floats, clusters: int, rng: np.random.Generator) -> Floats:
    """Points far apart: each is drawn with chances that grow as its squared distance from those before."""
    chosen = [points[rng.integers(len(points))]]
    apart = np.full(len(points), np.inf)
    while len(chosen) < clusters:
        apart = np.minimum(apart, ((points - chosen[-1]) ** 2).sum(1))
        total = apart.cumsum()
        if not total[-1] > 0:
            break
        chosen.append(points[np.searchsorted(total, rng.random() * total[-1], side="right").clip(max=len(points) - 1)])
    return np.array(chosen)


def _settled(points: Floats, centres: Floats) -> tuple[Floats, float]:
    """Centres that are the means of the points nearest to them, and the sum of squares about them; a centre that loses all its points stays."""
    labels = np.full(len(points), -1)
    for _ in range(MOST_ITERATIONS):
        nearest = squares(points, centres).argmin(1)
        if (nearest == labels).all():
            break
        labels = nearest
        held = np.bincount(labels, minlength=len(centres))
        sums = np.stack([np.bincount(labels, column, len(centres)) for column in points.T], axis=1)
        centres = np.where(held[:, None] > 0, sums / np.maximum(held, 1)[:, None], centres)
    return centres, float(((points - centres[labels]) ** 2).sum())
