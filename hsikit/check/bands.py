"""Spectral axes with traps: stored out of order, off the sensor's table, doubled, empty, or dark with water vapour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsikit.check.finding import Finding, passed, skipped, warned
from hsikit.check.sample import SceneSample
from hsikit.errors import OptionError
from hsikit.scene import Bands, SceneInfo
from hsikit.sensors.bands import TIE_NM
from hsikit.sensors.catalogue import sensor_bands
from hsikit.sensors.water_vapour import DARK_RANGES, within

SORTED = "not in order of wavelength"
"""What a reader's notice says of bands that it has sorted."""
MANY_BANDS = 20
"""Fewer are a multispectral sensor's, whose band at 1375 nm is there to see cirrus."""
CROWDED = 0.4
"""Of the usual step between neighbours: closer bands come from two detectors."""
NEIGHBOURS = 10
DOUBLED = 3
JOINING = ("prisma", "enmap", "hyperion", "ahsi", "hisui", "pace-l1b")
"""Readers that join the bands of two detectors."""


def check_bands(info: SceneInfo, sample: SceneSample) -> list[Finding]:
    """All checks of this file."""
    if not np.isfinite(info.bands.wavelength).all():
        return [skipped("wavelengths", "the bands are layers without wavelengths"), _constant(info, sample)]
    return [_order(info), _ties(info.bands), _table(info), _doubled(info), _constant(info, sample), _water(info)]


def _order(info: SceneInfo) -> Finding:
    name = "band order"
    if any(SORTED in notice for notice in info.notices):
        return warned(name, "the file holds its bands out of order", "Nothing here, they are sorted on reading; other tools may take them as they come")
    return passed(name, "bands are in order of wavelength")


def _ties(bands: Bands) -> Finding:
    name = "equal wavelengths"
    tied = int((np.diff(bands.wavelength) <= 1.5 * TIE_NM).sum())
    if tied:
        return warned(name, f"{tied} bands share the wavelength of the band before (parted by {TIE_NM} nm)", "--wavelengths FILE.csv, or --detector-overlap")
    return passed(name, "no two bands share a wavelength")


def _table(info: SceneInfo) -> Finding:
    """The product's own centres always win; this tells how far they are from published ones."""
    name = "sensor's table"
    if not info.sensor:
        return skipped(name, "the sensor is not known")
    try:
        table = sensor_bands(info.sensor)
    except OptionError:
        return skipped(name, f"there is no table of {info.sensor}")
    order = np.argsort(table.wavelength)
    known, widths = table.wavelength[order], table.fwhm[order]
    nearest = np.abs(info.bands.wavelength[:, None] - known).argmin(axis=1) if len(known) != len(info.bands) else np.arange(len(known))
    away = np.abs(info.bands.wavelength - known[nearest])
    width = np.where(np.isfinite(info.bands.fwhm), info.bands.fwhm, widths[nearest])
    # Of another number of bands, those far from any in the table are bands that it lacks.
    compared = np.isfinite(width) & ((away <= width) | (len(known) == len(info.bands)))
    if not compared.any():
        return skipped(name, f"no band can be compared with {info.sensor}'s table")
    off = compared & (away > width / 4)
    if off.any():
        wrong = f"{int(off.sum())} of {int(compared.sum())} centres are off {info.sensor}'s table by over a quarter of their width: {away[off].max():.1f} nm"
        return warned(name, wrong, "The file's own are used; give --wavelengths FILE.csv, or --sensor if it is another one")
    near = f"{int(compared.sum())} centres are within a quarter of their width of {info.sensor}'s table"
    return passed(name, f"{near}, at most {away[compared].max():.1f} nm off")


def _doubled(info: SceneInfo) -> Finding:
    name, bands = "overlapping detectors", info.bands
    wavelength = bands.wavelength[bands.used]
    if len(wavelength) < MANY_BANDS:
        return skipped(name, "too few bands")
    step = np.diff(wavelength)
    padded = np.pad(step, NEIGHBOURS, mode="reflect" if len(step) > NEIGHBOURS else "edge")
    usual = np.percentile(np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1), 75, axis=1)
    crowded = step < CROWDED * usual
    if crowded.sum() >= DOUBLED:
        low, high = wavelength[:-1][crowded].min(), wavelength[1:][crowded].max()
        wrong = f"{int(crowded.sum())} bands between {low:.0f} and {high:.0f} nm lie much closer than their neighbours: two detectors, kept twice"
        cure = "--detector-overlap average" if info.driver in JOINING else "--wavelengths FILE.csv with a column good, 0 for one detector's bands there"
        return warned(name, wrong, f"{cure} (kept twice they break every derivative)")
    return passed(name, "bands are evenly spaced")


def _constant(info: SceneInfo, sample: SceneSample) -> Finding:
    name = "empty bands"
    if len(sample.spectra) < 2:
        return skipped(name, "too few pixels hold anything")
    held = np.asarray(np.isfinite(sample.spectra).any(axis=0))
    varied: NDArray[np.bool_] = np.zeros(len(info.bands), np.bool_)
    varied[held] = np.nanmax(sample.spectra[:, held], axis=0) > np.nanmin(sample.spectra[:, held], axis=0)
    spoilt = info.bands.good & ~varied
    if spoilt.any():
        return warned(name, f"{int(spoilt.sum())} bands are constant or empty ({_some(info.bands, spoilt)}) and not marked as bad", _unmark())
    return passed(name, f"no good band is constant or empty; {int((~info.bands.good).sum())} are marked as bad")


def _water(info: SceneInfo) -> Finding:
    name = "water vapour"
    if len(info.bands) < MANY_BANDS:
        return skipped(name, "too few bands")
    unmarked = info.bands.good & within(info.bands.wavelength, DARK_RANGES)
    if unmarked.any():
        return warned(name, f"{int(unmarked.sum())} bands lie in water vapour ({_some(info.bands, unmarked)}) and are not marked as bad", _unmark())
    return passed(name, "no good band lies in water vapour")


def _unmark() -> str:
    return "--wavelengths FILE.csv with a column good, 0 for these bands"


def _some(bands: Bands, chosen: NDArray[np.bool_]) -> str:
    found = [bands.names[k] for k in np.flatnonzero(chosen)]
    return ", ".join(found[:4]) + (f", ... {found[-1]}" if len(found) > 4 else "")
