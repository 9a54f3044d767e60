"""Spectral Evolution field spectra (.sed): `Name: value` lines, then tab-separated columns with titles.

Pairs such as dates are of the reference and of the target, in this order (DARWin SP manual). Where a file holds the detectors' own channels, these
tell where they meet: by a step back, where they overlap, or by counts, where there are as many channels as the header's `Detectors` add up to.
Channels resampled to 1 nm, which the program writes by default, do not tell; nor does a change of their spacing, to the channel.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.library import LATITUDE, LONGITUDE, SPLICES, TIME
from hsikit.sensors.libraries.facts import LibraryFacts, LibraryOptions
from hsikit.sensors.libraries.places import degrees, iso_time
from hsikit.sensors.libraries.svc import join_detectors
from hsikit.sensors.libraries.text import read_lines, two_columns

# Title of a column -> quantity, and factor to our unit; the first that a file has is taken. Radiances are in W m-2 sr-1 nm-1.
_COLUMNS = {
    "reflect. %": ("surface_reflectance", 0.01), "tgt./ref. %": ("surface_reflectance", 0.01), "reflect. [1.0]": ("surface_reflectance", 1.0),
    "reflect. [10000]": ("surface_reflectance", 1e-4), "rad. (target)": ("radiance", 1000.0), "norm. dn (target)": ("dn", 1.0),
}  # fmt: skip


def read(path: Path, options: LibraryOptions) -> LibraryFacts:
    """Reads one spectrum.

    Raises:
        SceneError: truncated, or without a column that is known.
    """
    lines = read_lines(path)
    start = next((i for i, line in enumerate(lines) if line.strip() == "Data:"), None)
    if start is None or start + 2 >= len(lines):
        raise SceneError(path, "has no data: it is truncated", "Fetch the file again")
    told = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[:start]) if value.strip()}
    titles = [" ".join(title.lower().split()) for title in lines[start + 1].split("\t")]
    table = two_columns(path, lines[start + 2 :])
    if len(titles) != table.shape[1]:
        raise SceneError(path, f"names {len(titles)} columns and holds {table.shape[1]}", "Fetch the file again")
    chosen = next((title for title in _COLUMNS if title in titles), None)
    if chosen is None or "wvl" not in titles:
        raise SceneError(path, f"has none of the columns {', '.join(_COLUMNS)}; it has {', '.join(titles)}", "Save it with reflectance")
    quantity, factor = _COLUMNS[chosen]
    wavelength = table[:, titles.index("wvl")]
    kept, borders = detectors_meet(told.get("detectors", ""), wavelength)
    metadata = {
        TIME: iso_time([_target(told.get("date", "")), _target(told.get("time", ""))]),
        LONGITUDE: degrees(told.get("longitude", ""), "longitude"),
        LATITUDE: degrees(told.get("latitude", ""), "latitude"),
        "instrument": told.get("instrument", ""),
        "comment": told.get("comment", ""),
        SPLICES: " ".join(f"{border:g}" for border in borders),
    }
    return LibraryFacts(
        name=str(path), spectra=table[kept, titles.index(chosen)][np.newaxis], wavelength=wavelength[kept].tolist(), unit="nm", names=[path.stem],
        metadata={key: [value] for key, value in metadata.items()}, scale=factor, quantity=quantity,
    )  # fmt: skip


def detectors_meet(detectors: str, wavelength: NDArray[np.float64]) -> tuple[NDArray[np.intp], list[float]]:
    """Which channels to keep where detectors overlap, and the borders between them (nm); none where the file does not tell.

    Args:
        detectors: channels of each, such as "512,256,256".
        wavelength: of the channels, detector by detector.
    """
    parts = [part.strip() for part in detectors.split(",")]
    counts = [int(part) for part in parts if part.isdecimal() and int(part)]
    kept, steps = join_detectors(wavelength)
    if len(steps) >= max(2, len(parts)):  # channels in no order, rather than detectors
        return np.arange(len(wavelength)), []
    if len(counts) != len(parts) or sum(counts) != len(wavelength):
        return kept, steps
    ends = (int(end) for end in np.cumsum(counts)[:-1])
    return kept, [float(wavelength[end - 1] + min(0.0, wavelength[end] - wavelength[end - 1]) / 2) for end in ends]


def _target(pair: str) -> str:
    return pair.split(",")[-1]
