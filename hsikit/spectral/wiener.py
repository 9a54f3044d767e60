"""The spectrum that another sensor's values speak for: the best linear estimate, if all is normal (Wiener 1949).

A spectrum of known mean and covariance is seen through weighted sums of its bands, with errors of known covariance. What is asked for are
some linear features of it, such as principal components; what remains unknown of each is its deviation about the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SMALLEST = 1e-12
"""Components of a smaller share of the largest variance are none."""
RIDGE = 1e-12
"""Of the mean variance, added to each band's."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """How features of a spectrum follow from a sensor's values.

    Attributes:
        weights: of the values, less the sensor's mean, shape (P, D).
        deviation: of the features about the estimate, shape (P,).
    """

    weights: Floats
    deviation: Floats


def wiener_estimate(response: Floats, errors: Floats, covariance: Floats, axes: Floats) -> Estimate:
    """The estimate for a sensor.

    Args:
        response: weights of its bands, shape (D, C).
        errors: covariance of its errors, shape (D, D).
        covariance: of the spectra, shape (C, C).
        axes: a spectrum's features are its products with these, shape (C, P).
    """
    across = response @ covariance @ axes
    seen = response @ covariance @ response.T + errors
    # A band that is always 0 has no errors either, and nothing to say.
    seen += RIDGE * np.trace(seen) / len(seen) * np.eye(len(seen))
    weights = np.linalg.solve(seen, across).T
    left = ((covariance @ axes) * axes).sum(0) - (weights.T * across).sum(0)
    return Estimate(np.asarray(weights, np.float64), np.sqrt(np.maximum(left, 0.0)))


def principal_axes(covariance: Floats, count: int) -> Floats:
    """Axes (C, P) of the principal components, at most `count`, largest first, scaled to components of variance 1."""
    variance, axes = np.linalg.eigh(covariance)
    kept = np.argsort(-variance)[:count]
    kept = kept[variance[kept] > SMALLEST * variance.max()]
    return np.asarray(axes[:, kept] / np.sqrt(variance[kept]), np.float64)
