"""Instruments drawn by chance, from four bands to three hundred: what a spectrum may one day be seen through.

After the random-sensor augmentation of STARS (2024, arXiv:2411.05714). Centres, widths, gaps, overlaps and noise are drawn; a share of the
instruments are real ones, by the tables that hsikit ships.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.simulate.library import sensor_bands
from hsikit.spectral.resample import gaussian_resampling

Floats = NDArray[np.float64]

FEWEST, MOST = 4, 300
SHORTEST_RANGE = 250.0
"""Least range (nm) of an instrument that does not see all."""
WATER = ((1340.0, 1460.0), (1790.0, 1970.0))
"""Where the air lets no light through (nm): most products leave these bands out."""
SNR = (40.0, 600.0)
"""Signal-to-noise ratios of instruments that are drawn."""
SHIFT = 2.0
"""Largest error (nm) of the centres that an instrument states."""
COVERED = 0.9
"""A band of another instrument is seen where at least this share of its response was measured."""
TRIES = 8


@dataclass(frozen=True, eq=False)
class Instrument:
    """Bands of an instrument, ascending.

    Attributes:
        wavelength: centres (nm), shape (D,).
        fwhm: widths (nm), shape (D,).
        snr: signal-to-noise ratio of its bands; infinite for none.
        shift: how far (nm) the bands lie from where they are said to be.
    """

    wavelength: Floats
    fwhm: Floats
    snr: float = np.inf
    shift: float = 0.0


def draw_instrument(rng: np.random.Generator, first: float = 380.0, last: float = 2500.0, real: Sequence[str] = (), share: float = 0.3) -> Instrument:
    """Draws an instrument.

    Args:
        rng: where all chance comes from.
        first: shortest wavelength that there is something to see at (nm).
        last: longest.
        real: names of sensors, some of which are drawn as they are.
        share: of the draws that give one of these, where there are any.
    """
    snr, shift = float(np.exp(rng.uniform(*np.log(SNR)))), float(rng.uniform(-SHIFT, SHIFT))
    if real and rng.random() < share:
        wavelength, fwhm = sensor_bands(real[int(rng.integers(len(real)))])
    else:
        wavelength, fwhm = _drawn_bands(rng, first, last)
    kept = _outside_gaps(wavelength, rng)
    return Instrument(wavelength[kept], fwhm[kept], snr, shift)


def seen_by_chance(wavelength: Floats, fwhm: Floats, rng: np.random.Generator, real: Sequence[str]) -> tuple[Instrument, Floats]:
    """An instrument with bands that a scene's bands cover, and their weights (D, C): how it measures, its bands slightly beside.

    Where none of several draws sees four bands of the scene, as of one with few bands, the instrument has some of the scene's own bands.

    Args:
        wavelength: centres of the scene's bands (nm), ascending, shape (C,).
        fwhm: their widths (nm).
        rng: where all chance comes from.
        real: as in `draw_instrument`.
    """
    for attempt in range(TRIES):
        drawn = draw_instrument(rng, float(wavelength[0]), float(wavelength[-1]), real if attempt < TRIES // 2 else ())
        # What is stated is not quite where the bands lie.
        found = gaussian_resampling(wavelength, fwhm, drawn.wavelength + drawn.shift, drawn.fwhm)
        kept = found.coverage >= COVERED
        if kept.sum() >= FEWEST:
            weights = np.asarray(found.weights.todense(), np.float64)[kept]
            return Instrument(drawn.wavelength[kept], drawn.fwhm[kept], drawn.snr, drawn.shift), weights
    some = np.sort(rng.permutation(len(wavelength))[: max(FEWEST - 1, len(wavelength) // 2)])
    return Instrument(wavelength[some], fwhm[some], drawn.snr), np.eye(len(wavelength))[some]


def _drawn_bands(rng: np.random.Generator, first: float, last: float) -> tuple[Floats, Floats]:
    """Centres and widths: evenly spaced with jitter for many bands, scattered for few; the narrower, the more there are."""
    count = round(float(np.exp(rng.uniform(np.log(FEWEST), np.log(MOST)))))
    if rng.random() < 0.5 and last - first > 2 * SHORTEST_RANGE:
        length = rng.uniform(SHORTEST_RANGE, last - first)
        first = rng.uniform(first, last - length)
        last = first + length
    spacing = (last - first) / count
    jitter = 0.1 if count > 60 else 0.45
    centres = first + spacing * (np.arange(count) + 0.5 + rng.uniform(-jitter, jitter, count))
    widths = spacing * float(np.exp(rng.uniform(np.log(0.5), np.log(2.5)))) * np.exp(0.25 * rng.standard_normal(count))
    return centres, np.clip(widths, 2.0, 250.0)


def _outside_gaps(wavelength: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Bands that are left, `FEWEST` at least where there are as many: mostly without those in water vapour, now and then with gaps of its own."""
    gaps = [*(WATER if rng.random() < 0.7 else ())]
    for _ in range(int(rng.integers(0, 3)) if rng.random() < 0.5 else 0):
        start, length = rng.uniform(wavelength[0], wavelength[-1]), rng.uniform(20.0, 300.0)
        gaps.append((start, start + length))
    kept = np.ones(len(wavelength), bool)
    for start, end in gaps:
        fewer = kept & ~((wavelength >= start) & (wavelength <= end))
        kept = fewer if fewer.sum() >= FEWEST else kept
    return kept
