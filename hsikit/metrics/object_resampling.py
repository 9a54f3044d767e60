"""Areas under the ROC curve of resampled objects.

A map's area is a mean over its target pixels of the share of the background that scores lower. So the sums of these shares by object, and the objects'
pixels, are all that intervals over objects need, and maps whose sums are resampled alike are compared object by object. Pure NumPy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
WEIGHTS_AT_ONCE = 1 << 22
"""Weights of objects that are held at once."""


def shares_below(targets: ArrayLike, background: ArrayLike) -> Floats:
    """The share of the background that scores lower than each target, equal scores counting half, 0 to 1; their mean is the area under the ROC curve.

    Args:
        targets: scores, shape (n,), without NaN.
        background: scores, ascending, shape (m,), without NaN.
    """
    ordered = np.asarray(background)
    low, high = (np.searchsorted(ordered, np.asarray(targets), side) for side in ("left", "right"))
    return np.asarray((low + high) / (2 * len(ordered)), np.float64)


def resampled_areas(sums: ArrayLike, pixels: ArrayLike, *, resamples: int = 1000, seed: int = 0) -> Floats:
    """Areas for as many objects, drawn with replacement, each with all of its pixels; the mean over draws of a target.

    Args:
        sums: of `shares_below` over the pixels of each object, shape (draws, objects).
        pixels: of each object that are scored, the same shape.
        resamples: how many.
        seed: of the resamples: maps of as many objects are resampled alike.

    Returns:
        Shape (resamples,); draws that leave no pixel of the drawn objects do not count, and NaN is where none does.
    """
    above, counts = np.atleast_2d(np.asarray(sums, np.float64)), np.atleast_2d(np.asarray(pixels, np.float64))
    objects = above.shape[1]
    rng, found = np.random.default_rng(seed), []
    step = max(1, WEIGHTS_AT_ONCE // objects)
    for start in range(0, resamples, step):
        weights = rng.multinomial(objects, np.full(objects, 1 / objects), size=min(step, resamples - start)).astype(np.float64)
        total = weights @ counts.T
        areas = np.divide(weights @ above.T, total, out=np.full(total.shape, np.nan), where=total > 0)
        there = (total > 0).sum(axis=1)
        found.append(np.divide(np.nansum(areas, axis=1), there, out=np.full(len(there), np.nan), where=there > 0))
    return np.concatenate(found)
