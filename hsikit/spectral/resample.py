"""From one sensor's bands to another's: weights that turn measured bands into those of a narrower or wider Gaussian response.

A band measures the spectrum through a response that is close to a Gaussian, given by its centre and full width at half
maximum (FWHM). What the target band would have measured follows from the measured bands by the kernel that is still lacking:
two Gaussians in a row are one with the sum of their variances, so its variance is the target's less the source's. Between
the band centres the measured spectrum is taken as piecewise linear, and the integral of kernel times line is exact (error
function); a target as narrow as the source, or narrower, is thus interpolated linearly: nothing is sharpened.

The usual shortcut, the target's response sampled at the source's centres, blurs twice where the source is not much narrower
than the target, and weighs densely sampled wavelengths more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import WavelengthError

Floats = NDArray[np.float64]

FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
GAP_WIDTHS = 2.0
"""Two bands further apart than this many of their widths leave a gap in which nothing was measured."""
NARROWEST = 1e-6
"""Smallest width (nm) of the lacking kernel: keeps the arithmetic finite and changes nothing that can be measured."""


def response_matrix(from_wavelength: ArrayLike, from_fwhm: ArrayLike, to_wavelength: ArrayLike, to_fwhm: ArrayLike, *, min_support: float = 0.8) -> Floats:
    """Weights that resample spectra: `to = weights @ from`.

    Args:
        from_wavelength: band centres that were measured (nm), strictly ascending, shape (C,).
        from_fwhm: their widths (nm), shape (C,) or one number; where unknown (NaN), the local spacing.
        to_wavelength: band centres that are wanted (nm), shape (D,).
        to_fwhm: their widths (nm), shape (D,) or one number; where unknown (NaN), the target is interpolated.
        min_support: the share of a target's response (0 to 1) that must lie where something was measured.

    Returns:
        Shape (D, C). Each row sums to 1; a row without enough support, outside the measured range or in a gap of it, is NaN.

    Raises:
        WavelengthError: centres that are not finite or not ascending, widths that are negative, or numbers that differ.
    """
    centres, widths = _axis("from", from_wavelength, from_fwhm)
    targets, target_widths = _axis("to", to_wavelength, to_fwhm)
    if (np.diff(centres) <= 0).any():
        raise WavelengthError("response_matrix", "the wavelengths to resample from do not ascend", "Sort the bands by wavelength")
    widths = np.where(np.isnan(widths), _spacing(centres, targets, target_widths), widths)
    own = np.interp(targets, centres, widths)
    lacking = np.sqrt(np.maximum(np.where(np.isnan(target_widths), 0.0, target_widths) ** 2 - own**2, 0.0))
    return _integrate(centres, widths, targets, np.maximum(lacking, NARROWEST) / FWHM_PER_SIGMA, min_support)


def _axis(side: str, wavelength: ArrayLike, fwhm: ArrayLike) -> tuple[Floats, Floats]:
    centres = np.atleast_1d(np.asarray(wavelength, np.float64))
    widths = np.atleast_1d(np.asarray(fwhm, np.float64))
    if widths.size not in (1, centres.size) or centres.ndim != 1 or centres.size == 0:
        raise WavelengthError(
            "response_matrix", f"{centres.size} wavelengths and {widths.size} widths to resample {side}", "Give one width, or one for each band"
        )
    if not np.isfinite(centres).all() or (widths < 0).any():
        raise WavelengthError("response_matrix", f"missing wavelengths or negative widths to resample {side}", "Name all band centres and widths in nm")
    return centres, np.broadcast_to(widths, centres.shape)


def _spacing(centres: Floats, targets: Floats, target_widths: Floats) -> Floats:
    """Distance between neighbouring bands: what a band's width is where nobody says."""
    if len(centres) > 1:
        return np.minimum(np.gradient(centres), 2.0 * float(np.median(np.diff(centres))))
    return np.full(1, np.nanmin(target_widths) if np.isfinite(target_widths).any() else 1.0)


def _integrate(centres: Floats, widths: Floats, targets: Floats, sigma: Floats, min_support: float) -> Floats:
    """Integrals of each Gaussian kernel times the hat function of each band."""
    mean, spread = targets[:, None], sigma[:, None]
    edges = np.concatenate([[centres[0] - widths[0] / 2], centres, [centres[-1] + widths[-1] / 2]])
    below, density = _gaussian((edges - mean) / spread, spread)
    mass = np.diff(below, axis=1)  # (D, C + 1): the part before the first band, between the bands, after the last
    weights = np.zeros((len(targets), len(centres)))
    weights[:, 0] += mass[:, 0]
    weights[:, -1] += mass[:, -1]
    left, right = centres[:-1], centres[1:]
    inner = mass[:, 1:-1]
    moment = mean * inner - spread**2 * np.diff(density[:, 1:-1], axis=1)
    upper = np.clip((moment - left * inner) / (right - left), 0.0, inner)
    weights[:, 1:] += upper
    weights[:, :-1] += inner - upper
    total = weights.sum(axis=1)
    enough = (_support(centres, widths, mean, spread) >= min_support) & (total > 0)
    return np.where(enough[:, None], weights / np.where(total > 0, total, 1.0)[:, None], np.nan)


def _gaussian(z: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """The normal distribution below z, and its density."""
    from scipy.special import ndtr

    return ndtr(z), np.exp(-0.5 * np.minimum(z * z, 1400.0)) / (np.sqrt(2.0 * np.pi) * spread)


def _support(centres: Floats, widths: Floats, mean: Floats, spread: Floats) -> Floats:
    """The share of each kernel that lies where something was measured: between close bands, and within half a width of any."""
    starts, ends = centres - widths / 2, centres + widths / 2
    close = np.diff(centres) <= GAP_WIDTHS * (widths[:-1] + widths[1:]) / 2
    bridged = close | (starts[1:] <= ends[:-1])
    first = np.concatenate([[True], ~bridged])
    last = np.concatenate([~bridged, [True]])
    upper, _ = _gaussian((ends[last] - mean) / spread, spread)
    lower, _ = _gaussian((starts[first] - mean) / spread, spread)
    return np.asarray((upper - lower).sum(axis=1), np.float64)
