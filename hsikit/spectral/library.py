"""Library spectra at another sensor's bands: each spectrum has its own deleted channels, and answers only where it was measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import WavelengthError
from hsikit.spectral.resample import Resampling

Floats = NDArray[np.float64]
Weigh = Callable[[Floats, Floats], Resampling]
"""Weights to the bands that are wanted, from channels and their widths (nm)."""
MIN_COVERAGE = 0.8
"""The share of a band's response that must lie where the spectrum was measured."""


def resample_spectra(
    spectra: NDArray[np.floating], wavelength: ArrayLike, fwhm: ArrayLike, weigh: Weigh, *, min_coverage: float = MIN_COVERAGE
) -> NDArray[np.float32]:
    """Spectra as other bands would measure them.

    Args:
        spectra: shape (n, C); NaN where a channel is deleted.
        wavelength: their channels (nm), ascending, shape (C,).
        fwhm: widths (nm), shape (C,) or one number; where unknown (NaN), the local spacing of all channels.
        weigh: `hsikit.spectral.resample.gaussian_resampling` or `response_resampling` to the D bands that are wanted.
        min_coverage: see `MIN_COVERAGE`.

    Returns:
        Shape (n, D), float32; NaN where a spectrum says too little of a band.

    Raises:
        WavelengthError: spectra of another number of channels.
    """
    centres = np.asarray(wavelength, np.float64)
    values = np.asarray(spectra)
    if values.ndim != 2 or values.shape[1] != len(centres):
        raise WavelengthError("resample_spectra", f"spectra of shape {values.shape} for {len(centres)} wavelengths", "Give one row for each spectrum")
    widths = np.broadcast_to(np.asarray(fwhm, np.float64), centres.shape)
    widths = np.where(np.isnan(widths), channel_spacing(centres), widths)
    out = np.full((len(values), weigh(centres, widths).weights.shape[0]), np.nan, np.float32)
    present = np.isfinite(values)
    for pattern, rows in _groups(present):
        if pattern.any():
            means = weigh(centres[pattern], widths[pattern])
            answered = (means.coverage >= min_coverage) & (np.diff(means.weights.indptr) > 0)
            found = values[np.ix_(rows, np.flatnonzero(pattern))].astype(np.float64) @ means.weights.toarray().T
            out[rows] = np.where(answered, found, np.nan)
    return out


def channel_spacing(centres: Floats) -> Floats:
    """Distance (nm) between neighbouring channels, at most twice the usual one; 1 where there is a single channel."""
    if len(centres) < 2:
        return np.ones(len(centres))
    return np.minimum(np.gradient(centres), 2.0 * float(np.median(np.diff(centres))))


def _groups(present: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], NDArray[np.intp]]]:
    """The patterns of deleted channels, each with the spectra that have it."""
    patterns, members = np.unique(present, axis=0, return_inverse=True)
    return [(pattern, np.flatnonzero(members.ravel() == i)) for i, pattern in enumerate(patterns)]
