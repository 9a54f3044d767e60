"""USGS Spectral Library Version 7 as text: a title, then one value a line; wavelengths stand in a file of their own.

A file `splib07a_Actinolite_HS116.1B_ASDFRb_AREF.txt` begins with ` splib07a Record=108: Actinolite HS116.1B ASDFRb AREF`; the
channels of its spectrometer (ASD, BECK, NIC4, AVIRIS) are in `splib07a_Wavelengths_ASD_0.35-2.5_microns_2151_ch.txt`, in the same
folder or above it, widths in a like file `..._Bandpass_...`. Kokaly et al. 2017, doi:10.3133/ds1035.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError, WavelengthError
from hsikit.sensors.libraries.facts import LibraryFacts, LibraryOptions
from hsikit.sensors.libraries.text import numbers, read_lines
from hsikit.sensors.units import PLAUSIBLE_NM

_TITLE = re.compile(r"^\s*(\S+)\s+Record=(\d+):\s*(.*?)\s*$")
_SPECTROMETERS = ("ASD", "BECK", "NIC4", "AVIRIS")
FOLDERS_UP = 3
"""How far above a spectrum its wavelengths are looked for."""


def read(path: Path, options: LibraryOptions) -> LibraryFacts:
    """Reads one spectrum and finds its wavelengths.

    Raises:
        SceneError: no spectrum.
        WavelengthError: no file of wavelengths of as many channels is near, and none are named.
    """
    library, record, title = _title(path)
    values = numbers(path, read_lines(path)[1:])
    parts = title.split()
    signature = parts[-2] if len(parts) > 2 else ""
    told = {"library": library, "record": record, "spectrometer": signature, "measurement": parts[-1] if len(parts) > 2 else ""}
    facts = LibraryFacts(
        name=str(path), spectra=values[np.newaxis], wavelength=None, names=[" ".join(parts[:-2]) if len(parts) > 2 else title],
        metadata={key: [value] for key, value in told.items()}, scale=1.0,
    )  # fmt: skip
    if options.wavelengths is None and options.sensor is None:
        _add_axis(facts, path, _of_spectrometer(signature), len(values))
    return facts


def is_axis(path: Path) -> bool:
    """Whether a USGS file holds wavelengths, widths or error bars instead of a spectrum."""
    return bool(re.search(r"_(Wavelengths?|Wavenumber|Bandpass|Resolution)_|errorbars?", path.name, re.IGNORECASE))


def _title(path: Path) -> tuple[str, str, str]:
    found = _TITLE.match((read_lines(path) or [""])[0])
    if found is None:
        raise SceneError(path, "does not begin with a title such as 'splib07a Record=108: ...'", "Fetch the file again")
    return found.group(1), found.group(2), found.group(3)


def _of_spectrometer(signature: str) -> str:
    return next((name for name in _SPECTROMETERS if signature.upper().startswith(name)), "")


def _add_axis(facts: LibraryFacts, path: Path, spectrometer: str, channels: int) -> None:
    found = _beside(path, "Wavelengths", spectrometer, channels)
    if found is None:
        wrong = f"no file of {channels} wavelengths is in its folder or above"
        raise WavelengthError(path, wrong, f"Put the library's *_Wavelengths_{spectrometer or '*'}_*.txt beside it, or name wavelengths")
    widths = _beside(path, "Bandpass", spectrometer, channels)
    centres = found * 1000.0
    # Nicolet's channels reach 216 um, beyond what any imager here measures.
    near = (centres >= PLAUSIBLE_NM[0]) & (centres <= PLAUSIBLE_NM[1])
    if not near.all():
        facts.notices.append(f"{int((~near).sum())} channels beyond {PLAUSIBLE_NM[1] / 1000:g} um are left out")
    facts.wavelength, facts.unit, facts.spectra = centres[near].tolist(), "nm", facts.spectra[:, near]
    facts.fwhm = None if widths is None else (widths * 1000.0)[near].tolist()


def _beside(path: Path, what: str, spectrometer: str, channels: int) -> NDArray[np.float64] | None:
    """Values of the nearest file of that kind whose number of channels fits; that of the spectrometer first."""
    for folder in [path.parent, *path.parent.parents][: FOLDERS_UP + 1]:
        files = sorted(folder.glob(f"*[_]{what}[_]*.txt"), key=lambda file: spectrometer.lower() not in file.name.lower())
        for file in files:
            values = _values(file, file.stat().st_mtime_ns)
            if len(values) == channels:
                return values
    return None


@lru_cache(maxsize=64)
def _values(path: Path, changed: int) -> NDArray[np.float64]:
    """The column below a title; kept, since every spectrum of a folder asks for the same few files."""
    return numbers(path, read_lines(path)[1:])
