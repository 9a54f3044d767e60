"""The dozen library spectra that the simulated scene is made of, resampled to any sensor.

Source: USGS Spectral Library Version 7 (Kokaly et al. 2017, doi:10.3133/ds1035), a work of the United States government in
the public domain; the table `spectra.csv` beside this file names each spectrum.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError

Floats = NDArray[np.float64]
FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))


@lru_cache(maxsize=1)
def library() -> tuple[Floats, Floats, tuple[str, ...]]:
    """The shipped table.

    Returns:
        Wavelengths (nm), shape (n,); reflectances (0 to 1), shape (spectra, n); names of the spectra.
    """
    text = (files("hsikit") / "simulate" / "spectra.csv").read_text(encoding="utf-8")
    rows = list(csv.reader(line for line in text.splitlines() if not line.startswith("#")))
    table = np.array(rows[1:], dtype=np.float64)
    return table[:, 0], np.ascontiguousarray(table[:, 1:].T), tuple(rows[0][1:])


def sensor_bands(sensor: str) -> tuple[Floats, Floats]:
    """Band centres and widths (nm) out of the table of a sensor that hsikit ships, ascending.

    Raises:
        OptionError: there is no such table.
    """
    folder = files("hsikit") / "sensors" / "tables"
    table = folder / f"{sensor}.csv"
    known = sorted(entry.name.removesuffix(".csv") for entry in folder.iterdir() if entry.name.endswith(".csv")) if folder.is_dir() else []
    if sensor not in known:
        raise OptionError("--sensor", f"no band table of a sensor named {sensor!r}", f"Known: {', '.join(known)}")
    lines = [line for line in table.read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")]
    bands = np.array([(row["wavelength"], row["fwhm"]) for row in csv.DictReader(lines)], dtype=np.float64)
    bands = bands[np.argsort(bands[:, 0], kind="stable")]
    bands = bands[np.concatenate([[True], np.diff(bands[:, 0]) > 0])]
    return bands[:, 0].copy(), bands[:, 1].copy()


def resampled_library(wavelength: Floats, fwhm: Floats) -> Floats:
    """The library as a sensor would see it.

    The library's own channels are about 10 nm wide, so a narrower band gains no detail. Each spectrum is interpolated to
    1 nm and weighted by the band's Gaussian response; beyond the library's ends its last value is held.

    Args:
        wavelength: band centres (nm), shape (C,).
        fwhm: full widths at half maximum (nm), shape (C,).

    Returns:
        Reflectances of shape (spectra, C).
    """
    own, spectra, _ = library()
    fine = np.arange(np.floor(min(own[0], wavelength.min()) - 50), np.ceil(max(own[-1], wavelength.max()) + 50) + 1.0)
    dense = np.stack([np.interp(fine, own, spectrum) for spectrum in spectra])
    response = np.exp(-0.5 * ((fine - wavelength[:, None]) / (fwhm[:, None] / FWHM_PER_SIGMA)) ** 2)
    return np.asarray(dense @ (response / response.sum(axis=1, keepdims=True)).T)
