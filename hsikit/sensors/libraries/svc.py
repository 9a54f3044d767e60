"""Spectra Vista field spectra (.sig): `name= value` lines, then wavelength, reference, target and reflectance in percent.

Fields that come in pairs are of the reference and of the target, in this order (SVC HR-1024i manual). The three detectors
overlap in files that the instrument's program did not join; there each one serves up to the middle of the overlap.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.library import LATITUDE, LONGITUDE, SPLICES, TIME
from hsikit.sensors.libraries.facts import LibraryFacts, LibraryOptions
from hsikit.sensors.libraries.places import degrees, iso_time
from hsikit.sensors.libraries.text import read_lines, two_columns

WAVELENGTH, REFLECTANCE, COLUMNS = 0, 3, 4
PERCENT = 0.01
_BORDERS = re.compile(r"@\s*([\d.]+(?:\s*,\s*[\d.]+)*)")


def read(path: Path, options: LibraryOptions) -> LibraryFacts:
    """Reads one spectrum.

    Raises:
        SceneError: truncated, or without the column of reflectance.
    """
    lines = read_lines(path)
    start = next((i for i, line in enumerate(lines) if line.strip().lower().startswith("data=")), None)
    if start is None:
        raise SceneError(path, "has no data: it is truncated", "Fetch the file again")
    told = {key.strip().lower(): value.strip() for key, _, value in (line.partition("=") for line in lines[:start]) if value.strip()}
    table = two_columns(path, lines[start + 1 :])
    if table.shape[1] < COLUMNS:
        raise SceneError(path, f"has {table.shape[1]} columns, and its reflectance would be the fourth", "Save it with reference, target and reflectance")
    kept, borders = join_detectors(table[:, WAVELENGTH])
    stated = _BORDERS.search(told.get("factors", ""))
    if not borders and stated:
        borders = [float(part) for part in stated.group(1).split(",")]
    metadata = {
        TIME: iso_time([_target(told.get("time", ""))]),
        LONGITUDE: degrees(_place(told.get("longitude", "")), "longitude"),
        LATITUDE: degrees(_place(told.get("latitude", "")), "latitude"),
        "instrument": told.get("instrument", ""),
        "units": told.get("units", ""),
        "comment": told.get("comm", ""),
        SPLICES: " ".join(f"{border:g}" for border in borders),
    }
    return LibraryFacts(
        name=str(path), spectra=table[kept, REFLECTANCE][np.newaxis], wavelength=table[kept, WAVELENGTH].tolist(), unit="nm",
        names=[told.get("name", path.name).removesuffix(".sig")], metadata={key: [value] for key, value in metadata.items()}, scale=PERCENT,
    )  # fmt: skip


def join_detectors(wavelength: NDArray[np.float64]) -> tuple[NDArray[np.intp], list[float]]:
    """Which channels to keep where detectors overlap, and the borders between them (nm).

    Args:
        wavelength: ascending within each detector; a step back begins the next one.
    """
    starts = np.flatnonzero(np.diff(wavelength) <= 0) + 1
    kept = np.ones(len(wavelength), bool)
    borders = []
    for start in starts:
        border = float(wavelength[start - 1] + wavelength[start]) / 2
        borders.append(border)
        position = np.arange(len(wavelength))
        kept &= ~((position < start) & (wavelength > border)) & ~((position >= start) & (wavelength <= border))
    return np.flatnonzero(kept), borders


def _target(pair: str) -> str:
    return pair.split(",")[-1]


def _place(pair: str) -> str:
    """The target's angle; a hemisphere may be parted from its number by a comma."""
    return str((re.findall(r"[\d.]+\s*,?\s*[NSEW]", pair, re.IGNORECASE) or [""])[-1])
