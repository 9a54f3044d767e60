"""Records of the USGS's SPECPR libraries that are no spectra: wavelengths, widths, channel numbers, error bars."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from hsikit.sensors.libraries.facts import LibraryFacts

_WAVELENGTHS = re.compile(r"^\s*wavelengths?\s+in\s+microns", re.IGNORECASE)
_WIDTHS = re.compile(r"^\s*(resolution|bandpass)\b.*\bmicrons", re.IGNORECASE)
_CHANNELS = re.compile(r"^\s*data value\s*\S?\s*channel number", re.IGNORECASE)
_ERRORS = re.compile(r"^\s*error bars\b", re.IGNORECASE)


def without_records(facts: LibraryFacts) -> LibraryFacts:
    """The spectra alone; records of wavelengths and widths serve where the file says nothing else of them."""
    kinds = {kind: [i for i, name in enumerate(facts.names) if kind.match(name)] for kind in (_WAVELENGTHS, _WIDTHS, _CHANNELS, _ERRORS)}
    dropped = {i for found in kinds.values() for i in found}
    if not dropped:
        return facts
    kept = [i for i in range(len(facts.names)) if i not in dropped]
    notices = list(facts.notices)
    if kinds[_ERRORS]:
        notices.append(f"{len(kinds[_ERRORS])} records of error bars are left out")
    wavelength, unit, fwhm = facts.wavelength, facts.unit, facts.fwhm
    if wavelength is None and kinds[_WAVELENGTHS]:
        wavelength, unit = facts.spectra[kinds[_WAVELENGTHS][0]].tolist(), "micrometers"
    if fwhm is None and kinds[_WIDTHS]:
        # Widths stand in microns beside wavelengths in whatever unit the header names.
        fwhm = (facts.spectra[kinds[_WIDTHS][0]] * _per_micron(wavelength)).tolist()
    return replace(
        facts, spectra=facts.spectra[kept], names=[facts.names[i] for i in kept], wavelength=wavelength, unit=unit, fwhm=fwhm,
        metadata={key: [column[i] for i in kept] for key, column in facts.metadata.items()}, notices=notices,
    )  # fmt: skip


def _per_micron(wavelength: object) -> float:
    centres = np.asarray(wavelength, np.float64) if wavelength is not None else np.ones(1)
    return 1000.0 if float(np.max(centres)) > 100 else 1.0
