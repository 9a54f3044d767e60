"""What another sensor would have measured of spectra that one sensor measured, and how wrong that may be.

A model that knows its training sensor's spectra by their means and covariances can be read out for any sensor: the other
sensor's bands are weighted sums of the first one's, so means and covariances follow, exactly, and what the two instruments
differ by beyond their responses stands in a covariance of errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.spectral.resample import Resampling, gaussian_resampling

Floats = NDArray[np.float64]

LEAST_COVERAGE = 0.9
"""A band of the other sensor is used where at least this share of its response was measured."""
SNR, SNR_BEYOND, BEYOND = 250.0, 120.0, 1000.0
"""Signal to noise of a pixel that is assumed up to 1000 nm, and beyond: those of today's imaging spectrometers from orbit."""
SHIFT = 1.0
"""Error of band centres (nm) that is allowed for: twice this, in deviations."""


@dataclass(frozen=True, eq=False)
class SensorChange:
    """From one sensor's bands to another's.

    Attributes:
        weights: the other's used bands as sums of the first one's, shape (D, C); rows sum to 1.
        used: positions of those D bands among the other's.
        wavelength: their centres (nm), shape (D,).
        coverage: of every band of the other sensor, the share of its response that the first one measured.
        seen: for each band of the first sensor, whether some used band of the other sees it, shape (C,).
    """

    weights: Floats
    used: NDArray[np.intp]
    wavelength: Floats
    coverage: Floats
    seen: NDArray[np.bool_]


def sensor_change(
    from_wavelength: ArrayLike, from_fwhm: ArrayLike, to_wavelength: ArrayLike, to_fwhm: ArrayLike, *, least: float = LEAST_COVERAGE
) -> SensorChange:
    """How another sensor's bands follow from one's.

    Args:
        from_wavelength: band centres of the first sensor (nm), strictly ascending, shape (C,).
        from_fwhm: their widths (nm); NaN where unknown.
        to_wavelength: band centres of the other (nm), shape (D',).
        to_fwhm: their widths (nm); NaN where unknown.
        least: the least coverage of a band that is used, 0 to 1.

    Raises:
        WavelengthError: centres or widths that make no sense.
    """
    return change_by(gaussian_resampling(from_wavelength, from_fwhm, to_wavelength, to_fwhm), to_wavelength, least=least)


def change_by(found: Resampling, to_wavelength: ArrayLike, *, least: float = LEAST_COVERAGE) -> SensorChange:
    """The same from weights that were found by any responses.

    Args:
        found: weights from the first sensor's bands to the other's.
        to_wavelength: band centres of the other (nm), shape (D',).
        least: the least coverage of a band that is used, 0 to 1.
    """
    weights = np.asarray(found.weights.todense(), np.float64)
    used = np.flatnonzero((found.coverage >= least) & (weights.sum(axis=1) > 0))
    return SensorChange(weights[used], used, np.asarray(to_wavelength, np.float64)[used], found.coverage, _seen(weights[used]))


def change_of(weights: Floats, to_wavelength: ArrayLike) -> SensorChange:
    """The same from weights (D, C) of a sensor whose bands are all covered."""
    centres = np.asarray(to_wavelength, np.float64)
    return SensorChange(weights, np.arange(len(centres)), centres, np.ones(len(centres)), _seen(weights))


def error_covariance(change: SensorChange, from_wavelength: Floats, mean: Floats, averaged: int = 1) -> Floats:
    """Covariance of what another sensor's values differ by, beyond its responses: noise, calibration, and shifted band centres.

    Noise of the assumed signal-to-noise ratio (twice its deviation) and one percent of each band alone; three percent that vary
    slowly along the wavelength, over 300 nm and over 50 nm; band centres that are 2 nm off together. Values follow the mean
    spectrum of the scene.

    Args:
        change: from one sensor to the other.
        from_wavelength: band centres of the first (nm), shape (C,).
        mean: mean spectrum of the training scene, shape (C,).
        averaged: pixels whose mean is judged.

    Returns:
        Shape (D, D), positive definite where no mean is 0.
    """
    signal, centres = change.weights @ mean, change.wavelength
    noise = noise_deviation(change, mean) / np.sqrt(averaged)
    # From the interpolated mean: a gradient over bands of two detectors that overlap would be wild.
    shift = change.weights @ (np.interp(from_wavelength + SHIFT, from_wavelength, mean) - mean)
    apart = (centres[:, None] - centres[None, :]) ** 2
    smooth = sum(np.exp(-apart / (2 * length**2)) for length in (300.0, 50.0))
    own = np.diag(4 * noise**2 + (0.01 * signal) ** 2)
    return np.asarray(own + 0.03**2 * smooth * np.outer(signal, signal) + 4 * np.outer(shift, shift), np.float64)


def noise_deviation(change: SensorChange, mean: Floats) -> Floats:
    """Deviation (D,) of the other's noise in a pixel, at the assumed signal-to-noise ratio.

    Args:
        change: from one sensor to the other.
        mean: mean spectrum of the training scene, shape (C,).
    """
    return np.asarray(np.abs(change.weights @ mean) / np.where(change.wavelength > BEYOND, SNR_BEYOND, SNR), np.float64)


def _seen(weights: Floats) -> NDArray[np.bool_]:
    """Whether some band sees each of the first sensor's."""
    return np.asarray((weights > 1e-3).any(axis=0))
