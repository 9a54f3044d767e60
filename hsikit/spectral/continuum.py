"""The continuum of spectra, their upper convex hull, and what absorption features are below it.

Clark and Roush, 1984 (doi:10.1029/JB089iB07p06329): a spectrum over its continuum shows absorptions as depths below 1, whatever
the slope and brightness. The hull is found by one pass over the bands for many spectra at once (Andrew, 1979,
doi:10.1016/0020-0190(79)90072-3), in float64, so that it is the hull of the given numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import WavelengthError

Floats = NDArray[np.float64]
SPECTRA_AT_ONCE = 4096
"""Spectra whose hulls are found in one go."""
CHORDS = (*((k, k) for k in (1, 2, 4, 8, 16, 32, 64)), (1, 8), (8, 1), (2, 16), (16, 2), (4, 32), (32, 4), (8, 64), (64, 8))
"""(bands before, bands after) a band, whose chord rules it out where it lies above."""


class Absorption(NamedTuple):
    """An absorption feature of each spectrum, float32, NaN where it cannot be told.

    Attributes:
        depth: 1 less the least value of the spectrum over its continuum.
        wavelength: where that is (nm).
    """

    depth: NDArray[np.float32]
    wavelength: NDArray[np.float32]


def continuum(values: NDArray[np.float32], wavelength: ArrayLike) -> NDArray[np.float32]:
    """The upper convex hull of spectra.

    Args:
        values: float32 of shape (..., C), NaN where missing; missing bands are no points of the hull.
        wavelength: band centres (nm), strictly ascending, shape (C,).

    Returns:
        Float32 of shape (..., C): the hull at every band between the first and the last that are there, NaN outside.

    Raises:
        WavelengthError: wavelengths that do not ascend, or of another number than the bands.
    """
    centres = ascending(values, wavelength)
    spectra = values.reshape(-1, values.shape[-1])
    out = np.empty(spectra.shape, np.float32)
    for start in range(0, len(spectra), SPECTRA_AT_ONCE):
        part = slice(start, start + SPECTRA_AT_ONCE)
        out[part] = _hulls(spectra[part].astype(np.float64), centres)
    return out.reshape(values.shape)


def continuum_removed(values: NDArray[np.float32], wavelength: ArrayLike) -> NDArray[np.float32]:
    """Spectra over their continuum: 1 on it, less in absorptions.

    Args:
        values: float32 of shape (..., C), NaN where missing.
        wavelength: band centres (nm), strictly ascending, shape (C,).

    Returns:
        Float32 of shape (..., C); NaN where a band is missing, and where the continuum is not above 0.

    Raises:
        WavelengthError: as `continuum`.
    """
    hull = continuum(values, wavelength)
    return np.divide(values, hull, out=np.full(hull.shape, np.nan, np.float32), where=hull > 0)


def band_depth(values: NDArray[np.float32], wavelength: ArrayLike, low: float, high: float) -> Absorption:
    """Depth and place of the absorption between two shoulders.

    Args:
        values: float32 of shape (..., C), NaN where missing.
        wavelength: band centres (nm), strictly ascending, shape (C,).
        low: the shoulder of shorter wavelength (nm); the continuum is the hull of the bands from here
        high: to the other shoulder (nm), both included.

    Returns:
        Depth and wavelength of the deepest band, each of shape (...).

    Raises:
        WavelengthError: as `continuum`, or fewer than three bands between the shoulders.
    """
    centres = ascending(values, wavelength)
    inside = np.flatnonzero((centres >= low) & (centres <= high))
    if inside.size < 3:
        raise WavelengthError("band_depth", f"{inside.size} bands from {low:g} to {high:g} nm", "Name shoulders with three bands or more between them")
    removed = continuum_removed(values[..., inside], centres[inside])
    told = np.isfinite(removed).any(axis=-1)
    deepest = np.where(np.isnan(removed), np.float32(np.inf), removed)
    place = deepest.argmin(axis=-1)
    depth = 1 - np.take_along_axis(deepest, place[..., None], -1)[..., 0]
    missing = np.float32(np.nan)
    return Absorption(np.where(told, depth, missing).astype(np.float32), np.where(told, centres[inside][place], missing).astype(np.float32))


def ascending(values: NDArray[np.float32], wavelength: ArrayLike) -> Floats:
    """The wavelengths of spectra of shape (..., C), which ascend.

    Raises:
        WavelengthError: they do not, or there are not C of them.
    """
    centres = np.atleast_1d(np.asarray(wavelength, np.float64))
    if centres.ndim != 1 or centres.size != values.shape[-1]:
        raise WavelengthError("spectra", f"have {values.shape[-1]} bands, and there are {centres.size} wavelengths", "Give one for each band, in nm")
    if not np.isfinite(centres).all() or (np.diff(centres) <= 0).any():
        raise WavelengthError("spectra", "their wavelengths do not ascend", "Sort the bands by wavelength")
    return centres


def _hulls(values: Floats, centres: Floats) -> Floats:
    """Upper hulls of spectra, shape (n, C)."""
    corners = _corners(np.ascontiguousarray(values.T), centres)
    spectrum, band = np.nonzero(corners.T)
    # All hulls are one line of corners, spectrum after spectrum, far enough apart that none reaches into the next.
    apart = 2 * (centres[-1] - centres[0]) + 1.0
    first, last = (np.searchsorted(spectrum, np.arange(len(values)), side) for side in ("left", "right"))
    out = np.full(values.shape, np.nan)
    told = np.flatnonzero(last > first)
    if told.size:
        place = told[:, None] * apart + (centres - centres[0])
        hull = np.interp(place, spectrum * apart + (centres[band] - centres[0]), values[spectrum, band])
        low, high = centres[band[first[told]]], centres[band[last[told] - 1]]
        out[told] = np.where((centres >= low[:, None]) & (centres <= high[:, None]), hull, np.nan)
    return out


def _corners(values: Floats, centres: Floats) -> NDArray[np.bool_]:
    """Which bands are corners of each spectrum's upper hull; spectra bands first, shape (C, n).

    Each spectrum keeps a stack of corners so far; a new band removes those that it puts below the hull.
    """
    bands, count = values.shape
    candidates = _candidates(values, centres)
    stack = np.zeros((bands + 1, count), np.int32)
    size = np.zeros(count, np.intp)
    for band in range(bands):
        there = np.flatnonzero(candidates[band])
        busy = there[size[there] >= 2]
        while busy.size:
            last, before = stack[size[busy] - 1, busy], stack[size[busy] - 2, busy]
            x0, y0 = centres[before], values[before, busy]
            busy = busy[(values[last, busy] - y0) * (centres[band] - x0) <= (values[band, busy] - y0) * (centres[last] - x0)]
            size[busy] -= 1
            busy = busy[size[busy] >= 2]
        stack[size[there], there] = band
        size[there] += 1
    corners = np.zeros((bands, count), bool)
    level, spectrum = np.nonzero(np.arange(size.max(initial=0))[:, None] < size)
    corners[stack[level, spectrum], spectrum] = True
    return corners


def _candidates(values: Floats, centres: Floats) -> NDArray[np.bool_]:
    """Which bands can be corners: those that are there and above the chords of some pairs of bands around them, shape (C, n).

    Nine in ten bands are ruled out by a few passes over whole arrays, which are far quicker than the search.
    """
    bands, kept = len(centres), ~np.isnan(values)
    for before, after in CHORDS:
        if before + after >= bands:
            continue
        left, right = slice(0, bands - before - after), slice(before + after, bands)
        middle = slice(before, bands - after)
        share = (centres[middle] - centres[left]) / (centres[right] - centres[left])
        chord = values[right] - values[left]
        chord *= share[:, None]
        chord += values[left]
        kept[middle] &= ~(values[middle] <= chord)
    return kept
