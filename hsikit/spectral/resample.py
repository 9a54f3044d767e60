"""From one sensor's bands to another's: weights that turn measured bands into those of another response.

Where the target's response is published (`response_resampling`), its band is the integral of response times spectrum, taken as
piecewise linear between the band centres.

Where only centres and widths are known (`gaussian_resampling`, `response_matrix`), a band measures the spectrum through a response
that is close to a Gaussian of its full width at half maximum (FWHM). What the target band would have measured follows from the
measured bands by the kernel that is still lacking: two Gaussians in a row are one with the sum of their variances, so its variance
is the target's less the source's. The integral of kernel times line is exact (error function); a target as narrow as the source,
or narrower, is thus interpolated linearly: nothing is sharpened.

The usual shortcut, the target's response sampled at the source's centres, blurs twice where the source is not much narrower
than the target, and weighs densely sampled wavelengths more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import WavelengthError
from hsikit.spectral.band_matrix import BandMatrix

Floats = NDArray[np.float64]

FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
GAP_WIDTHS = 2.0
"""Two bands further apart than this many of their widths leave a gap in which nothing was measured."""
NARROWEST = 1e-6
"""Smallest width (nm) of the lacking kernel: keeps the arithmetic finite and changes nothing that can be measured."""
NEGLIGIBLE = 1e-7
"""Weights below this are none: the tail of a Gaussian would otherwise need every band of the scene."""


@dataclass(frozen=True, eq=False)
class Resampling(BandMatrix):
    """Weights that resample spectra, and how far the measured bands can answer for each target.

    Attributes:
        weights: see `BandMatrix`; each row sums to 1, or is empty where nothing of the target was measured.
        coverage: the share of each target's response (0 to 1) that lies where something was measured, shape (D,).
    """

    coverage: Floats


def gaussian_resampling(from_wavelength: ArrayLike, from_fwhm: ArrayLike, to_wavelength: ArrayLike, to_fwhm: ArrayLike) -> Resampling:
    """Weights to bands with Gaussian responses.

    Args:
        from_wavelength: band centres that were measured (nm), strictly ascending, shape (C,).
        from_fwhm: their widths (nm), shape (C,) or one number; where unknown (NaN), the local spacing.
        to_wavelength: band centres that are wanted (nm), shape (D,).
        to_fwhm: their widths (nm), shape (D,) or one number; where unknown (NaN), the target is interpolated.

    Raises:
        WavelengthError: centres that are not finite or not ascending, widths that are negative, or numbers that differ.
    """
    weights, coverage = _gaussian_weights(from_wavelength, from_fwhm, to_wavelength, to_fwhm)
    weights[weights < NEGLIGIBLE] = 0.0
    total = weights.sum(axis=1, keepdims=True)
    return Resampling(BandMatrix.of(weights / np.where(total > 0, total, 1.0)).weights, coverage)


def response_resampling(from_wavelength: ArrayLike, from_fwhm: ArrayLike, wavelength: ArrayLike, response: ArrayLike) -> Resampling:
    """Weights to bands whose responses were measured: integrals of response times piecewise linear spectrum, which are exact.

    Args:
        from_wavelength: band centres that were measured (nm), strictly ascending, shape (C,).
        from_fwhm: their widths (nm), shape (C,) or one number; where unknown (NaN), the local spacing. They say how far the
            outermost bands reach, and where there are gaps.
        wavelength: where the responses are sampled (nm), strictly ascending, shape (S,).
        response: relative responses of the targets, 0 or more, linear between the samples and 0 beyond them, shape (D, S).

    Raises:
        WavelengthError: centres or samples that are not finite or not ascending, responses that are negative or nowhere above
            0, or numbers that differ.
    """
    centres, widths = _measured("response_resampling", from_wavelength, from_fwhm)
    samples, curves = _responses(wavelength, response)
    spans = _covered(centres, widths)
    rows = [_response_row(centres, spans, samples, curve) for curve in curves]
    return Resampling(BandMatrix.of(np.stack([row for row, _ in rows])).weights, np.array([share for _, share in rows]))


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
    weights, coverage = _gaussian_weights(from_wavelength, from_fwhm, to_wavelength, to_fwhm)
    enough = (coverage >= min_support) & (weights.sum(axis=1) > 0)
    return np.where(enough[:, None], weights, np.nan)


def _gaussian_weights(from_wavelength: ArrayLike, from_fwhm: ArrayLike, to_wavelength: ArrayLike, to_fwhm: ArrayLike) -> tuple[Floats, Floats]:
    """Weights of shape (D, C), and the share of each target that they stand for."""
    targets, target_widths = _axis("to", to_wavelength, to_fwhm)
    spread = float(np.nanmin(target_widths)) if np.isfinite(target_widths).any() else 1.0
    centres, widths = _measured("response_matrix", from_wavelength, from_fwhm, spread)
    own = np.interp(targets, centres, widths)
    lacking = np.sqrt(np.maximum(np.where(np.isnan(target_widths), 0.0, target_widths) ** 2 - own**2, 0.0))
    return _integrate(centres, widths, targets, np.maximum(lacking, NARROWEST) / FWHM_PER_SIGMA)


def _measured(where: str, wavelength: ArrayLike, fwhm: ArrayLike, lone: float = 1.0) -> tuple[Floats, Floats]:
    """Centres and widths that were measured, widths filled in from the spacing; `lone` is that of a single band."""
    centres, widths = _axis("from", wavelength, fwhm)
    if (np.diff(centres) <= 0).any():
        raise WavelengthError(where, "the wavelengths to resample from do not ascend", "Sort the bands by wavelength")
    return centres, np.where(np.isnan(widths), _spacing(centres, lone), widths)


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


def _spacing(centres: Floats, lone: float) -> Floats:
    """Distance between neighbouring bands: what a band's width is where nobody says."""
    return np.minimum(np.gradient(centres), 2.0 * float(np.median(np.diff(centres)))) if len(centres) > 1 else np.full(1, lone)


def _integrate(centres: Floats, widths: Floats, targets: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """Integrals of each Gaussian kernel times the hat function of each band, and the share of the kernel that was measured."""
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
    return weights / np.where(total > 0, total, 1.0)[:, None], np.clip(_support(centres, widths, mean, spread), 0.0, 1.0)


def _gaussian(z: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """The normal distribution below z, and its density."""
    from scipy.special import ndtr

    return ndtr(z), np.exp(-0.5 * np.minimum(z * z, 1400.0)) / (np.sqrt(2.0 * np.pi) * spread)


def _support(centres: Floats, widths: Floats, mean: Floats, spread: Floats) -> Floats:
    """The share of each kernel that lies where something was measured."""
    starts, ends = _covered(centres, widths)
    upper, _ = _gaussian((ends - mean) / spread, spread)
    lower, _ = _gaussian((starts - mean) / spread, spread)
    return np.asarray((upper - lower).sum(axis=1), np.float64)


def _covered(centres: Floats, widths: Floats) -> tuple[Floats, Floats]:
    """Starts and ends of the ranges in which something was measured: between close bands, and within half a width of any."""
    starts, ends = centres - widths / 2, centres + widths / 2
    close = np.diff(centres) <= GAP_WIDTHS * (widths[:-1] + widths[1:]) / 2
    bridged = close | (starts[1:] <= ends[:-1])
    return starts[np.concatenate([[True], ~bridged])], ends[np.concatenate([~bridged, [True]])]


def _responses(wavelength: ArrayLike, response: ArrayLike) -> tuple[Floats, Floats]:
    samples, curves = np.atleast_1d(np.asarray(wavelength, np.float64)), np.atleast_2d(np.asarray(response, np.float64))
    if curves.shape[1] != samples.size or samples.size < 2:
        wrong = f"{samples.size} wavelengths for responses of {curves.shape[1]} samples"
        raise WavelengthError("response_resampling", wrong, "Give each response at the same wavelengths, two of them at least")
    if not np.isfinite(samples).all() or (np.diff(samples) <= 0).any():
        raise WavelengthError("response_resampling", "the wavelengths of the responses do not ascend", "Sort them, in nm")
    if not (curves >= 0).all() or not (curves > 0).any(axis=1).all():
        raise WavelengthError("response_resampling", "a response is negative, missing, or nowhere above 0", "Give relative responses of 0 or more")
    return samples, curves


def _response_row(centres: Floats, spans: tuple[Floats, Floats], samples: Floats, curve: Floats) -> tuple[Floats, float]:
    """Weights of one target, shape (C,), and the share of it that was measured (between starts and ends of `spans`)."""
    above = np.flatnonzero(curve > 0)
    part = slice(max(0, above[0] - 1), above[-1] + 2)
    starts, ends = spans
    knots = np.concatenate([centres, starts, ends])
    low, high = samples[part][0], samples[part][-1]
    x = np.unique(np.concatenate([samples[part], knots[(knots > low) & (knots < high)]]))
    height = np.interp(x, samples[part], curve[part])
    middle, mass = (x[1:] + x[:-1]) / 2, np.diff(x) * (height[1:] + height[:-1]) / 2
    measured = ((middle[:, None] > starts) & (middle[:, None] < ends)).any(axis=1)
    weights = _hat_integrals(centres, x, height, (middle > starts[0]) & (middle < ends[-1]))
    total = float(weights.sum())
    return weights / total if total > 0 else weights, float(mass[measured].sum() / mass.sum())


def _hat_integrals(centres: Floats, x: Floats, height: Floats, kept: NDArray[np.bool_]) -> Floats:
    """Integrals of a response (`height` at `x`) times the hat function of each band, over the pieces of `x` that are kept.

    On each piece both are straight lines, and Simpson's rule is exact for their product.
    """
    step, middle = np.diff(x), (x[1:] + x[:-1]) / 2
    left, right = height[:-1], height[1:]
    below = np.clip(np.searchsorted(centres, middle) - 1, 0, max(0, len(centres) - 2))
    above = np.minimum(below + 1, len(centres) - 1)
    gap = np.where(above > below, centres[above] - centres[below], np.inf)
    share = [np.clip((place - centres[below]) / gap, 0.0, 1.0) for place in (x[:-1], middle, x[1:])]
    upper = step / 6 * (left * share[0] + 2 * (left + right) * share[1] + right * share[2])
    lower = step * (left + right) / 2 - upper
    return np.asarray(np.bincount(above, upper * kept, len(centres)) + np.bincount(below, lower * kept, len(centres)), np.float64)
