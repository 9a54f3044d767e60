"""Dealing whole units (blocks, groups) to training and test, or to folds, so that every class is balanced."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LOST = 10.0
"""What losing a class on one side costs, beside squared deviations from the wanted share."""


def balanced_deal(counts: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which units test: from a random deal, the unit whose change of side helps most changes it, until none helps.

    Args:
        counts: label pixels of each unit and class, shape (units, classes); every class has some.
        share: of each class that should test, 0 to 1.
        rng: gives the start, so that each call deals differently.

    Returns:
        Bool of shape (units,).
    """
    part = counts / counts.sum(axis=0)
    test = rng.random(len(counts)) < share
    now = part[test].sum(axis=0)
    cost = float(_cost(now, share))
    for _ in range(4 * len(counts)):
        flipped = now + np.where(test, -1.0, 1.0)[:, None] * part
        costs = _cost(flipped, share)
        best = int(costs.argmin())
        if costs[best] >= cost - 1e-12:
            break
        test[best] = not test[best]
        now, cost = flipped[best], float(costs[best])
    return test


def _cost(tested: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """How far the tested shares of the classes (last axis) are from the wanted one, and whether a class is lost."""
    lost = (tested < 1e-9) | (tested > 1 - 1e-9)
    cost: NDArray[np.float64] = ((tested - share) ** 2 + LOST * lost).sum(axis=-1)
    return cost


def balanced_folds(counts: NDArray[np.int64], folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Deals units to folds: the largest first, each to the fold that has least of its classes.

    Args:
        counts: label pixels of each unit and class, shape (units, classes).
        folds: how many; at most the number of units.
        rng: settles ties.

    Returns:
        The fold of each unit, 0 to folds - 1, shape (units,); no fold is empty.
    """
    part = counts / counts.sum(axis=0)
    order = rng.permutation(len(counts))
    order = order[np.argsort(-part[order].sum(axis=1), kind="stable")]
    held = np.zeros((folds, counts.shape[1]))
    size = np.zeros(folds)
    fold = np.zeros(len(counts), np.intp)
    for position, unit in enumerate(order):
        if position < folds:
            choice = position
        else:
            clash = held @ part[unit]
            choice = int(np.lexsort((size, np.round(clash, 12)))[0])
        fold[unit] = choice
        held[choice] += part[unit]
        size[choice] += counts[unit].sum()
    return fold


def joined_units(units: NDArray[np.intp], groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Units merged wherever one group lies in several: the smallest sets of units that cut no group.

    Args:
        units: unit of each pixel, shape (n,).
        groups: group of each pixel, shape (n,).

    Returns:
        The merged unit of each pixel, numbered from 0, shape (n,).
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    first = int(units.max()) + 1
    size = first + int(groups.max()) + 1
    graph = coo_matrix((np.ones(len(units), np.int8), (units, groups + first)), shape=(size, size))
    merged = connected_components(graph, directed=False)[1][units]
    return np.unique(merged, return_inverse=True)[1].astype(np.intp)
