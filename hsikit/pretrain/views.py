"""Windows as examples of a pretraining: standardised by the scene's statistics, and seen through a second instrument.

What another instrument's bands have for mean and deviation follows from those of the scene's own bands, exactly: they are weighted sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from hsikit.nn.body import BandFacts
from hsikit.nn.rebuilding import Example, View
from hsikit.pretrain.windows import Windows
from hsikit.simulate.instruments import seen_by_chance

Floats = NDArray[np.float64]

LARGEST, SMALLEST, POWER = 40, 1e-4, 0.375
"""Components of `Example.detail`: at most; the least variance, relative to the largest; and the power of the variance that they are divided by."""
VARIES = 1e-6
"""A band whose deviation is a smaller share of its mean is constant."""


def make_example(windows: Windows, rng: np.random.Generator | None, real: Sequence[str] = ()) -> Example:
    """Windows as an example.

    Args:
        windows: of one scene.
        rng: draws the second instrument; without a second view where None.
        real: sensors of which some instruments are.
    """
    statistics = windows.statistics
    scale = _deviation(statistics.mean, np.diag(statistics.covariance))
    own = View(_standardised(windows.values, statistics.mean, scale), _facts(windows.wavelength, windows.fwhm, scale > 0))
    target = own.values if windows.clean is windows.values else _standardised(windows.clean, statistics.mean, scale)
    other = None if rng is None else _other_view(windows, rng, real)
    usable = torch.from_numpy(windows.usable)
    return Example(own, other, target, usable, torch.from_numpy(detail_matrix(statistics.covariance, scale).astype(np.float32)))


def detail_matrix(covariance: Floats, scale: Floats) -> Floats:
    """From standardised bands to damped components (C, K): each principal component over a power of its variance, 1/2 of which would make all alike."""
    inverse = np.where(scale > 0, 1.0 / np.where(scale > 0, scale, 1.0), 0.0)
    variance, axes = np.linalg.eigh(covariance * inverse[:, None] * inverse)
    variance, axes = variance[::-1], axes[:, ::-1]
    kept = int(((variance > SMALLEST * variance[0]) & (np.arange(len(variance)) < LARGEST)).sum())
    return np.asarray(axes[:, :kept] * variance[:kept] ** -POWER)


def _deviation(mean: Floats, variance: Floats) -> Floats:
    """Deviations, 0 for bands that are constant."""
    deviation = np.sqrt(np.maximum(variance, 0.0))
    return np.where(deviation > VARIES * np.abs(mean), deviation, 0.0)


def _standardised(values: NDArray[np.float32], mean: Floats, scale: Floats) -> torch.Tensor:
    """Spectra (n, rows, cols, C) as windows (n, C, rows, cols) of mean 0 and deviation 1; 0 in constant bands."""
    inverse = np.where(scale > 0, 1.0 / np.where(scale > 0, scale, 1.0), 0.0)
    done = (values - mean.astype(np.float32)) * inverse.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(done, -1, 1)))


def _facts(wavelength: Floats, fwhm: Floats, valid: NDArray[np.bool_]) -> BandFacts:
    return BandFacts(torch.from_numpy(wavelength.copy()), torch.from_numpy(fwhm.copy()), torch.from_numpy(valid.copy()))


def _other_view(windows: Windows, rng: np.random.Generator, real: Sequence[str]) -> View:
    """The windows through an instrument that is drawn, with its noise."""
    instrument, weights = seen_by_chance(windows.wavelength, windows.fwhm, rng, real)
    mean = weights @ windows.statistics.mean
    noise = np.abs(mean) / instrument.snr
    # Of what the scene's own instrument did not spoil, where that is known: noise that both views share would count as signal.
    values = windows.clean @ weights.T.astype(np.float32)
    values += rng.standard_normal(values.shape, dtype=np.float32) * noise.astype(np.float32)
    scale = _deviation(mean, np.einsum("dc,ce,de->d", weights, windows.statistics.covariance, weights, optimize=True) + noise**2)
    return View(_standardised(values, mean, scale), _facts(instrument.wavelength, instrument.fwhm, scale > 0))
