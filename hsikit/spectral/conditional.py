"""Missing bands of normal spectra: their mean and covariance given the bands that are there, exactly.

With the precision P, the inverse of the covariance, bands m given all others p have the mean mu_m - P_mm^-1 P_mp (x_p - mu_p) and the
covariance P_mm^-1 (Anderson, An Introduction to Multivariate Statistical Analysis, 2.5). So a spectrum costs a system of as many
equations as bands are missing, whatever their number in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Conditional:
    """Spectra that lack the same bands.

    Attributes:
        spectra: their positions, shape (m,).
        bands: positions of the bands that they lack, shape (k,).
        values: means of these bands, float64, shape (m, k).
        covariance: of these bands, the same for all of the spectra, float64, shape (k, k).
    """

    spectra: Tensor
    bands: Tensor
    values: Tensor
    covariance: Tensor


def conditional_means(spectra: Tensor, mean: Tensor, precision: Tensor) -> Iterator[Conditional]:
    """What is missing in spectra, pattern by pattern; complete spectra do not come.

    Args:
        spectra: NaN where missing, shape (n, C).
        mean: float64, shape (C,).
        precision: inverse of the covariance, float64, shape (C, C).
    """
    import torch

    missing = spectra.isnan()
    some = missing.any(1).nonzero()[:, 0]
    if not len(some):
        return
    patterns, which = torch.unique(missing[some], dim=0, return_inverse=True)
    order, counts = which.argsort(stable=True), torch.bincount(which, minlength=len(patterns))
    for pattern, members in zip(patterns, torch.split(some[order], counts.tolist()), strict=True):
        bands, others = pattern.nonzero()[:, 0], (~pattern).nonzero()[:, 0]
        covariance = torch.linalg.inv(precision[bands][:, bands])
        centred = spectra[members][:, others].double() - mean[others]
        yield Conditional(members, bands, mean[bands] - centred @ precision[others][:, bands] @ covariance, covariance)


@dataclass(frozen=True, eq=False)
class Regression:
    """Bands as weighted sums of others.

    Attributes:
        weights: shape (k, p).
        variance: of what the sums leave open, shape (k,).
    """

    weights: Floats
    variance: Floats


def regression(second: Floats, wanted: NDArray[np.intp], given: NDArray[np.intp]) -> Regression:
    """The best linear estimate of some bands from others.

    Args:
        second: second moments of all bands, about zero or about the mean, positive definite, shape (C, C).
        wanted: positions of the bands that are estimated, k of them.
        given: positions of the others, p of them.
    """
    across = second[np.ix_(wanted, given)]
    weights = np.linalg.solve(second[np.ix_(given, given)], across.T).T
    variance = np.diag(second)[wanted] - (weights * across).sum(1)
    return Regression(np.asarray(weights, np.float64), np.maximum(variance, 0.0))
