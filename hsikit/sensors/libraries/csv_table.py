"""Libraries as CSV tables: a row for each spectrum, with wavelengths in the header; or a row for each wavelength, with names in it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.sensors.libraries.facts import LibraryFacts, LibraryOptions

MARK = "# hsikit spectral library"
"""How our own tables begin; the quantity follows. The next line holds the widths."""
_MISSING = {"", "nan", "na", "n/a", "none", "null", "-"}
Rows = list[list[str]]


def read(path: Path, options: LibraryOptions) -> LibraryFacts:
    """Reads a table (comma, semicolon or tab).

    Raises:
        SceneError: no table, or a cell that should be a number is none.
    """
    comments, rows = _rows(path)
    if comments and comments[0].startswith(MARK):
        return _own(path, comments, rows)
    header = rows[0]
    channels = [i for i, cell in enumerate(header) if _is_number(cell)]
    if len(channels) > 2 and len(channels) > len(header) / 2:
        return _spectra_in_rows(path, rows, channels)
    return _spectra_in_columns(path, rows)


def _own(path: Path, comments: list[str], rows: Rows) -> LibraryFacts:
    """What `Library.save` wrote: as many wavelengths as widths, at the end of the header."""
    widths = comments[1].partition(":")[2].strip().split(",") if len(comments) > 1 else []
    columns = len(rows[0])
    if not 0 < len(widths) < columns:
        raise SceneError(path, f"has {columns} columns and {len(widths)} widths", "Save the library again")
    facts = _spectra_in_rows(path, rows, list(range(columns - len(widths), columns)))
    facts.fwhm = None if all(not w for w in widths) else [w or "nan" for w in widths]
    facts.unit, facts.scale, facts.quantity = "nm", 1.0, comments[0].partition(":")[2].strip()
    return facts


def _spectra_in_rows(path: Path, rows: Rows, channels: list[int]) -> LibraryFacts:
    header, body = rows[0], rows[1:]
    told = [i for i in range(len(header)) if i not in set(channels)]
    named = next((i for i in told if header[i].strip().lower() in ("name", "names", "spectra names", "sample", "id")), told[0] if told else None)
    names = [row[named] for row in body] if named is not None else [f"spectrum {i + 1}" for i in range(len(body))]
    metadata = {header[i].strip() or f"column {i + 1}": [row[i] for row in body] for i in told if i != named}
    spectra = _numbers(path, [[row[i] for i in channels] for row in body], first=2)
    return LibraryFacts(str(path), spectra, [header[i] for i in channels], names=names, metadata=metadata)


def _spectra_in_columns(path: Path, rows: Rows) -> LibraryFacts:
    """The first column holds wavelengths; each other one is a spectrum, named by the header where there is one."""
    headed = not all(_is_number(cell) or cell.strip().lower() in _MISSING for cell in rows[0])
    header = [cell.strip() for cell in rows[0]] if headed else ["wavelength", *(f"spectrum {i}" for i in range(1, len(rows[0])))]
    if len(header) < 2:
        raise SceneError(path, "has one column; a library has wavelengths and at least one spectrum", "Separate columns by commas, semicolons or tabs")
    table = _numbers(path, rows[1:] if headed else rows, first=2 if headed else 1)
    fwhm = next((i for i, title in enumerate(header) if i and title.lower() in ("fwhm", "fwhm_nm")), None)
    spectra = [i for i in range(1, len(header)) if i != fwhm]
    words = header[0].lower().translate(str.maketrans("_()[]", "     ")).split()
    unit = next((unit for unit in ("nm", "um", "µm", "micrometer", "micron") if unit in words), "")
    widths = None if fwhm is None else table[:, fwhm].tolist()
    return LibraryFacts(str(path), table[:, spectra].T, table[:, 0].tolist(), unit, widths, [header[i] for i in spectra])


def _rows(path: Path) -> tuple[list[str], Rows]:
    """Comment lines at the top, and the table below, its rows of one length."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = text.splitlines(keepends=True)
        comments = []
        while lines and (lines[0].startswith("#") or not lines[0].strip()):
            comments.append(lines.pop(0).strip())
        delimiter = max(",;\t", key=lines[0].count) if lines else ","
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SceneError(path, f"is no CSV table ({error})", "Save it as UTF-8 text with commas") from None
    if len(rows) < 2:
        raise SceneError(path, "holds no spectra", "Give a header and a row for each spectrum or wavelength")
    uneven = [number for number, row in enumerate(rows, start=1) if len(row) != len(rows[0])]
    if uneven:
        raise SceneError(path, f"row {uneven[0]} has {len(rows[uneven[0] - 1])} cells, and the first has {len(rows[0])}", "Repair the table")
    return comments, rows


def _numbers(path: Path, rows: Rows, first: int) -> NDArray[np.float64]:
    """Cells as numbers, NaN where empty; `first` is the number of the first row, for messages."""
    out = np.full((len(rows), len(rows[0]) if rows else 0), np.nan)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            if cell.strip().lower() in _MISSING:
                continue
            try:
                out[i, j] = float(cell)
            except ValueError:
                raise SceneError(path, f"row {i + first} holds {cell.strip()!r} where a number should be", "Repair the table") from None
    return out


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False
