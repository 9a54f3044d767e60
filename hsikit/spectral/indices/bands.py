"""Which bands of a sensor stand for the letters of a formula.

A spectrometer has several narrow bands within the range of a letter: their mean is used. A multispectral sensor has bands as wide
as such a range, some of which overlap: the one that shares most with it is used (Sentinel-2's N is band 8, its N2 band 8A). A name
such as b842 is the band nearest to 842 nm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import WavelengthError
from hsikit.spectral.indices.catalogue import BandRange, band_ranges
from hsikit.spectral.library import channel_spacing

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

NARROW = 0.5
"""Bands are averaged where none is wider than this share of the letter's range..."""
COVERED = 0.6
"""... together they cover this share of it..."""
SEVERAL, MANY = 3, 30
"""... and there are several, or the sensor has as many bands as only a spectrometer has."""
BY_WAVELENGTH = re.compile(r"^b(\d{3,5})$")


@dataclass(frozen=True, eq=False)
class BandChoice:
    """The bands that stand for one name.

    Attributes:
        name: "N", or "b842".
        index: positions of the bands; their mean is taken. Ascending.
        centre: mean of their centres (nm).
        coverage: the share of the name's range that their widths cover; 1 for a single wavelength.
    """

    name: str
    index: Indices
    centre: float
    coverage: float


def choose_bands(names: tuple[str, ...], wavelength: Floats, fwhm: Floats, good: NDArray[np.bool_], where: str = "scene") -> dict[str, BandChoice]:
    """The bands of a sensor for letters of the catalogue and names of wavelengths.

    Args:
        names: such as ("N", "R") or ("b842",).
        wavelength: band centres (nm), ascending, shape (C,).
        fwhm: widths (nm), NaN where unknown (then the spacing), shape (C,).
        good: bands that may be used, shape (C,).
        where: the scene, for messages.

    Raises:
        WavelengthError: no good band lies within a letter's range, or near a wavelength.
    """
    used = np.flatnonzero(good & np.isfinite(wavelength))
    if not used.size:
        raise WavelengthError(where, "has no band with a wavelength that is good", "Name its band centres")
    centres = wavelength[used]
    widths = np.where(np.isnan(fwhm[used]), channel_spacing(centres), fwhm[used])
    return {name: _choose(name, used, centres, widths, where) for name in names}


def _choose(name: str, used: Indices, centres: Floats, widths: Floats, where: str) -> BandChoice:
    told = BY_WAVELENGTH.match(name)
    if told:
        return _nearest(name, float(told.group(1)), used, centres, widths, where)
    return _within(band_ranges()[name], used, centres, widths, where)


def _within(band: BandRange, used: Indices, centres: Floats, widths: Floats, where: str) -> BandChoice:
    low, high = band.range
    inside = np.flatnonzero((centres >= low) & (centres <= high))
    if not inside.size:
        raise WavelengthError(where, f"has no good band for {band.letter} ({band.name}, {low:g} to {high:g} nm)", "Choose an index without it")
    covered = _covered(centres[inside], widths[inside], low, high) / (high - low)
    several = inside.size >= SEVERAL or centres.size >= MANY
    if not several or covered < COVERED or widths[inside].max() > NARROW * (high - low):
        inside = inside[[_best(centres[inside], widths[inside], low, high)]]
        covered = _covered(centres[inside], widths[inside], low, high) / (high - low)
    return BandChoice(band.letter, used[inside], float(centres[inside].mean()), float(min(covered, 1.0)))


def _best(centres: Floats, widths: Floats, low: float, high: float) -> int:
    """The band that shares most with the range, for what it has beyond it; of like ones (to a tenth) that nearest to its middle."""
    starts, ends = centres - widths / 2, centres + widths / 2
    shared = np.maximum(np.minimum(ends, high) - np.maximum(starts, low), 0.0)
    likeness = shared / (np.maximum(ends, high) - np.minimum(starts, low))
    return int(np.lexsort((np.abs(centres - (low + high) / 2), -np.round(likeness, 1)))[0])


def _covered(centres: Floats, widths: Floats, low: float, high: float) -> float:
    """How much of a range (nm) lies within the width of some band."""
    starts, ends = np.clip(centres - widths / 2, low, high), np.clip(centres + widths / 2, low, high)
    order = np.argsort(starts)
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    return float(np.sum(np.maximum(ends - np.maximum(starts, np.concatenate([[low], ends[:-1]])), 0.0)))


def _nearest(name: str, target: float, used: Indices, centres: Floats, widths: Floats, where: str) -> BandChoice:
    nearest = int(np.argmin(np.abs(centres - target)))
    away, reach = abs(float(centres[nearest]) - target), max(float(widths[nearest]), float(channel_spacing(centres)[nearest])) / 2
    if away > reach:
        raise WavelengthError(
            where, f"has no good band at {target:g} nm; the nearest is at {centres[nearest]:g} nm", f"Write b{centres[nearest]:.0f} if it may serve"
        )
    return BandChoice(name, used[[nearest]], float(centres[nearest]), 1.0)
