"""Minimum noise fraction: directions along the spectrum ordered by signal to noise.

Green, Berman, Switzer and Craig, 1988 (doi:10.1109/36.3001). Noise is estimated from differences between horizontal
neighbours, both of them valid, halved in variance; no labels are needed. Differs from the paper by a ridge on the noise
covariance, which is singular for standardised spectra, and by a canonical sign, so that two runs give the same components.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsikit.spectral.moments import Moments, merge_moments, moments
from hsikit.spectral.standardise import standardise

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]
RIDGE = 1e-6
"""Added to the noise covariance's diagonal, as a share of its mean."""

_CHUNK = 1 << 20
"""Numbers in float64 at once while folding: 8 MiB, and eight times as much in passing."""


def fold_bytes(bands: int, transforms: int = 1) -> int:
    """Peak of the temporary arrays of one `mnf_moments`, and of what it returns, for so many transforms in one fold."""
    return 8 * 8 * (_CHUNK + bands) + 8 * bands * bands * 8 * transforms


@dataclass(frozen=True, eq=False)
class Mnf:
    """A fitted transform: component = vectors.T @ (spectrum - mean).

    Attributes:
        mean: shape (C,).
        vectors: shape (C, C), a component a column, in descending order of `ratios`; noise has unit variance in each.
        ratios: total over noise variance, shape (C,).
    """

    mean: Floats
    vectors: Floats
    ratios: Floats


def mnf_moments(values: Tensor, valid: Tensor, *, standardised: bool, name: str = "") -> Moments:
    """What one tile adds to the statistics of the transform.

    Args:
        values: shape (C, rows, cols + 1): the tile's pixels and one column more to the right.
        valid: bool, shape (rows, cols + 1).
        standardised: whether spectra are standardised first.
        name: put before the keys.

    Returns:
        Moments under `name + "total_"` (the tile's own valid pixels) and `name + "noise_"` (differences between each of them
        and its right neighbour, where both are valid).
    """
    import torch

    bands, rows, cols = values.shape
    step = max(1, _CHUNK // max(1, bands * cols))
    folded: Moments | None = None
    for start in range(0, max(rows, 1), step):
        block = values[:, start : start + step].to(torch.float64)
        block = standardise(block) if standardised else block
        here = valid[start : start + step]
        both = here[:, 1:] & here[:, :-1]
        difference = (block[:, :, 1:] - block[:, :, :-1])[:, both]
        part = moments(block[:, :, :-1][:, here[:, :-1]].T, f"{name}total_") | moments(difference.T, f"{name}noise_")
        folded = part if folded is None else merge_moments(folded, part)
    assert folded is not None
    return folded


def solve_mnf(mean: Floats, total: Floats, noise: Floats, ridge: float = RIDGE) -> Mnf:
    """The transform from a scene's statistics.

    Args:
        mean: mean spectrum, shape (C,).
        total: covariance of the spectra, shape (C, C).
        noise: covariance of the noise (that of the neighbour differences, halved), shape (C, C).
        ridge: share of the mean noise variance that is added to its diagonal.

    Returns:
        All C components, strongest first. Each vector's largest entry is positive.
    """
    from scipy.linalg import eigh

    bands = len(mean)
    level = np.trace(noise) / bands or np.trace(total) / bands or 1.0  # a scene without noise: plain principal components
    ratios, vectors = eigh(total, noise + np.eye(bands) * level * ridge)
    vectors = vectors[:, ::-1]
    sign = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(bands)])
    return Mnf(mean, vectors * np.where(sign == 0, 1.0, sign), ratios[::-1].copy())


def mnf_from_moments(stored: Moments, name: str = "", ridge: float = RIDGE) -> Mnf:
    """The transform from the moments that `mnf_moments` folded over a scene."""
    part = {key.removeprefix(name): value.detach().cpu().numpy() for key, value in stored.items() if key.startswith(name)}
    total = part["total_scatter"] / max(float(part["total_count"]), 1.0)
    noise = part["noise_scatter"] / max(float(part["noise_count"]), 1.0) / 2
    return solve_mnf(part["total_mean"], total, noise, ridge)
