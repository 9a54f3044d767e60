"""Tiny spectral libraries in each format's true structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.products.envi import braces


def write_sli(header: Path, spectra: np.ndarray, um: Sequence[float], names: Sequence[str], suffix: str = ".sli", **fields: object) -> Path:
    """An ENVI library: samples are channels, lines are spectra."""
    told: dict[str, object] = {
        "samples": spectra.shape[1], "lines": len(spectra), "bands": 1, "header offset": 0, "file type": "ENVI Spectral Library", "data type": 4,
        "interleave": "bsq", "byte order": 0, "wavelength units": "Micrometers", "spectra names": braces(names), "wavelength": braces(um),
    }  # fmt: skip
    told.update({key.replace("_", " "): value for key, value in fields.items()})
    header.write_text("ENVI\n" + "\n".join(f"{key} = {value}" for key, value in told.items()) + "\n")
    header.with_suffix(suffix).write_bytes(spectra.astype("<f4").tobytes())
    return header


def write_ecostress(path: Path, um: Sequence[float], percent: Sequence[float], **fields: str) -> Path:
    """ECOSTRESS text, with a description of two lines."""
    told = {
        "Name": "Construction Asphalt", "Type": "manmade", "Class": "Road", "Subclass": "none", "Particle Size": "Solid", "Sample No.": "0095UUUASP",
        "Owner": "National Photographic Interpretation Center", "Wavelength Range": "VSWIR", "Origin": "not applicable", "Collection Date": "not applicable",
        "Description": "Gray asphalt.  Original file name\n  0095uuuasp was renamed", "Measurement": "Directional (10 Degree) Hemispherical Reflectance",
        "First Column": "X", "Second Column": "Y", "X Units": "Wavelength (micrometers)", "Y Units": "Reflectance (percentage)",
        "First X Value": str(um[0]), "Last X Value": str(um[-1]), "Number of X Values": str(len(um)), "Additional Information": "asphalt.ancillary.txt",
    }  # fmt: skip
    told.update({key.replace("_", " "): value for key, value in fields.items()})
    rows = [f"{x:.4f}\t{y:.3f}" for x, y in zip(um, percent, strict=True)]
    path.write_text("\n".join([*(f"{key}: {value}" for key, value in told.items()), "", *rows, ""]))
    return path


def write_usgs(folder: Path, um: Sequence[float], spectra: Mapping[str, Sequence[float]], fwhm: Sequence[float]) -> Path:
    """A chapter of splib07a: spectra in a folder of their own, wavelengths and widths of the spectrometer above it."""
    chapter = folder / "ChapterM_Minerals"
    chapter.mkdir(parents=True)
    _column(folder / "splib07a_Wavelengths_ASD_0.35-2.5_microns_2151_ch.txt", "splib07a Record=1: Wavelengths in microns 2151 ch ASD", um)
    _column(folder / "splib07a_Wavelengths_BECK_Beckman_0.2-3.0_microns.txt", "splib07a Record=2: Wavelengths in microns Beckman", [*um, 2.9])
    _column(folder / "splib07a_Bandpass_(FWHM)_ASDFR_StandardResolution.txt", "splib07a Record=3: Bandpass (FWHM) ASDFR", fwhm)
    for i, (name, values) in enumerate(spectra.items()):
        _column(chapter / f"splib07a_{name}_ASDFRb_AREF.txt", f"splib07a Record={100 + i}: {name.replace('_', ' ')}          ASDFRb AREF", values)
    (chapter / "errorbars").mkdir()
    _column(chapter / "errorbars" / "splib07a_errorbars_for_x.txt", "splib07a Record=9: error bars", um)
    return chapter


def _column(path: Path, title: str, values: Sequence[float]) -> None:
    path.write_text(f" {title}\n" + "".join(f" {value:.7E}\n" for value in values))
