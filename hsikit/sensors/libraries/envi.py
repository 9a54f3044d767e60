"""ENVI spectral libraries (.sli): a header that lists wavelengths and names, a matrix of spectra, often a table of metadata beside it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.scene import QUANTITIES
from hsikit.sensors.envi import find_header
from hsikit.sensors.envi_header import as_list, envi_layout, read_header
from hsikit.sensors.libraries.facts import LibraryFacts, LibraryOptions
from hsikit.sensors.libraries.specpr import without_records

MARK = "# hsikit spectral library"
"""How our own CSV libraries begin."""
DATA_SUFFIXES = (".sli", ".esl", "", ".dat", ".img")


def read(path: Path, options: LibraryOptions) -> LibraryFacts:
    """Reads a header or its data file.

    Raises:
        SceneError: no library, or header and data disagree.
    """
    header = path if path.suffix.lower() == ".hdr" else find_header(path)
    if header is None:
        raise SceneError(path, "has no header beside it", "An ENVI library comes with a .hdr")
    tokens = read_header(header)
    spectra = _matrix(header, _data_file(header, path), tokens)
    names = as_list(tokens.get("spectra names")) or [f"spectrum {i + 1}" for i in range(len(spectra))]
    if len(names) != len(spectra):
        raise SceneError(header, f"names {len(names)} spectra, and its data hold {len(spectra)}", "A comma in a name splits it: repair the header")
    notices: list[str] = []
    names, metadata = _table_beside(header, names, notices)
    facts = LibraryFacts(
        name=str(path), spectra=spectra, wavelength=as_list(tokens.get("wavelength")), unit=str(tokens.get("wavelength units", "")),
        fwhm=as_list(tokens.get("fwhm")), names=names, metadata=metadata, scale=_scale(header, tokens),
        nodata=_number(header, tokens, "data ignore value"), quantity=_quantity(tokens) or "surface_reflectance", notices=notices,
    )  # fmt: skip
    return without_records(facts)


def _matrix(header: Path, data: Path, tokens: dict[str, Any]) -> NDArray[np.float64]:
    """Spectra of shape (n, channels): lines and samples of a library; the only column, or the only line, of a plain file."""
    library = "library" in str(tokens.get("file type", "")).lower()
    layout = envi_layout(header, {**tokens, "file type": "ENVI Standard"})
    try:
        size = data.stat().st_size
        if size < layout.file_size:
            raise SceneError(data, f"has {size} bytes, and its header promises {layout.file_size}", "Fetch the file again")
        with np.errstate(invalid="ignore"):  # a NaN that signals, out of damaged bytes
            flat = np.fromfile(data, layout.dtype, int(np.prod(layout.shape)), offset=layout.offset).astype(np.float64)
    except OSError as error:
        raise SceneError(data, f"cannot be read ({error.strerror})") from None
    bands, lines, samples = layout.shape
    if library:
        if bands != 1:
            raise SceneError(header, f"is a library of {bands} bands", "A spectral library has one band; its samples are the channels")
        return flat.reshape(lines, samples)
    if min(lines, samples) != 1:
        raise SceneError(header, f"is a scene of {lines} x {samples} pixels, not a library", "Open it with open_scene")
    pixels = lines * samples
    bands_first = layout.interleave == "bsq" or (layout.interleave == "bil" and lines == 1)
    return flat.reshape(bands, pixels).T if bands_first else flat.reshape(pixels, bands)


def _data_file(header: Path, path: Path) -> Path:
    if path != header:
        return path
    stem = header.with_suffix("")
    for suffix in DATA_SUFFIXES:
        for candidate in (stem.with_name(stem.name + suffix), stem.with_name(stem.name + suffix.upper())):
            if candidate.is_file() and candidate != header:
                return candidate
    known = ", ".join(suffix for suffix in DATA_SUFFIXES if suffix)
    raise SceneError(header, "its data file is not beside it", f"It has the header's name and ends in {known}, or in nothing")


def _scale(header: Path, tokens: dict[str, Any]) -> float | None:
    """What the header states; a factor of 1 is often a default that nobody set, so it counts only where the quantity is named too."""
    divisor = _number(header, tokens, "reflectance scale factor")
    if divisor is not None and not divisor > 0:
        raise SceneError(header, f"reflectance scale factor {divisor:g} is not positive", "Repair the header")
    if divisor is None or divisor == 1:
        return 1.0 if _quantity(tokens) else None
    return 1.0 / divisor


def _quantity(tokens: dict[str, Any]) -> str:
    stated = str(tokens.get("quantity", "")).strip().lower()
    return stated if stated in QUANTITIES else ""


def _number(header: Path, tokens: dict[str, Any], key: str) -> float | None:
    text = str(tokens.get(key, "")).strip("{} ")
    try:
        return float(text) if text else None
    except ValueError:
        raise SceneError(header, f"{key} = {text} is no number", "Repair the header") from None


def _table_beside(header: Path, names: list[str], notices: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Names and metadata out of a CSV file of the same name with a row for each spectrum, as EnMAP-Box and we write it."""
    path = header.with_suffix(".csv")
    if not path.is_file():
        return names, {}
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = [row for row in csv.reader(text.splitlines(keepends=True)) if row]
    except (OSError, UnicodeDecodeError, csv.Error):
        text, rows = "", []
    if text.startswith(MARK):  # a library of its own that happens to have this name
        return names, {}
    if len(rows) != len(names) + 1 or any(len(row) != len(rows[0]) for row in rows):
        notices.append(f"{path.name} beside it is no table of its {len(names)} spectra; it is not used")
        return names, {}
    columns = {title.strip(): [row[i] for row in rows[1:]] for i, title in enumerate(rows[0])}
    own = next((key for key in columns if key.lower() in ("spectra names", "name", "names")), None)
    return (columns.pop(own) if own else names), columns
