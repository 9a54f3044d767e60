"""Streaming moments: count, mean and scatter of vectors that never stand in memory together.

For the folds of `Reduce` stages. One partial result is made per tile and merged pairwise, so the answer does not depend on
how the scene was cut, to float64 rounding. After Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
computing sample variances", 1982 (doi:10.1007/978-3-642-51461-6_3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Moments = dict[str, "Tensor"]


def moments(vectors: Tensor, name: str = "") -> Moments:
    """Moments of some vectors.

    Args:
        vectors: float64, shape (n, C); n may be 0.
        name: put before the keys, so that several moments can stand in one partial result.

    Returns:
        `name + "count"` (scalar), `name + "mean"` (C,), `name + "scatter"` (C, C): sum of (x - mean)(x - mean)^T. All float64.
    """
    count, width = vectors.shape
    if count == 0:
        return {f"{name}count": vectors.new_zeros(()), f"{name}mean": vectors.new_zeros(width), f"{name}scatter": vectors.new_zeros(width, width)}
    mean = vectors.mean(0)
    centred = vectors - mean
    return {f"{name}count": vectors.new_tensor(float(count)), f"{name}mean": mean, f"{name}scatter": centred.T @ centred}


def merge_moments(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> Moments:
    """Moments of the union of two sets of vectors, for every name that the two hold."""
    merged: Moments = {}
    for key in left:
        if key.endswith("count"):
            merged |= _merge(left, right, key.removesuffix("count"))
    return merged


def _merge(left: Mapping[str, Tensor], right: Mapping[str, Tensor], name: str) -> Moments:
    a, b = left[f"{name}count"], right[f"{name}count"]
    total = a + b
    share = b / total.clamp(min=1.0)
    step = right[f"{name}mean"] - left[f"{name}mean"]
    return {
        f"{name}count": total,
        f"{name}mean": left[f"{name}mean"] + step * share,
        f"{name}scatter": left[f"{name}scatter"] + right[f"{name}scatter"] + step.outer(step) * (a * share),
    }


def covariance(stored: Mapping[str, Tensor], name: str = "") -> Tensor:
    """Covariance (C, C) of moments, over the count; NaN where nothing was counted."""
    return stored[f"{name}scatter"] / stored[f"{name}count"]
