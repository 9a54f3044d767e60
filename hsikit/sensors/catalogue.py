"""Instruments at hand: band centres and widths as CSV tables, and such tables given by users.

A table has the columns `wavelength` (nm unless a column `unit` or the header says otherwise), and optionally `fwhm`, `good`
(0 for bad) and `name`. Lines that begin with `#` are comments; in our own tables the first says what the sensor is.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from hsikit.errors import OptionError, WavelengthError
from hsikit.scene import Booleans, Floats
from hsikit.sensors.units import parse_numbers, to_nanometres

TABLES = Path(__file__).parent / "tables"
RESPONSES = TABLES / "responses"
_CENTRES = ("wavelength", "wavelengths", "wavelength_nm", "centre", "center", "centre_nm", "center_nm", "cw", "wvl", "lambda", "wavelength_um", "nm", "um")
_WIDTHS = ("fwhm", "fwhm_nm", "fwhm_um", "width", "bandwidth")
_FLAGS = ("good", "good_band", "bbl")
_NAMES = ("name", "band", "band_name")


@dataclass(frozen=True)
class BandTable:
    """Centres (nm), widths (nm, NaN where unknown), good bands and names where given, and who says so (for messages)."""

    wavelength: Floats
    fwhm: Floats
    good: Booleans | None = None
    names: tuple[str, ...] = ()
    origin: str = "names"


@dataclass(frozen=True)
class SensorEntry:
    """One line of `hsikit sensors`.

    Attributes:
        name: what a user types.
        bands: how many there are.
        range: (shortest, longest) centre in nm.
        description: what it is.
        measured: whether its spectral responses are at hand (`hsikit.sensors.responses`); else they count as Gaussians.
        source: where its centres and widths are from.
        response_source: where its spectral responses are from, "" without any.
    """

    name: str
    bands: int
    range: tuple[float, float]
    description: str
    measured: bool
    source: str = ""
    response_source: str = ""


def list_sensors() -> list[SensorEntry]:
    """The instruments whose band centres are at hand, by name."""
    return [_entry(path) for path in sorted(TABLES.glob("*.csv"))]


def sensor_entry(name: str) -> SensorEntry:
    """One instrument of `list_sensors`.

    Raises:
        OptionError: it is not known.
    """
    return _entry(TABLES / f"{known_sensor(name)}.csv")


def _entry(path: Path) -> SensorEntry:
    centres = read_band_table(path).wavelength
    measured = (RESPONSES / path.name).is_file()
    description, source = _remarks(path)
    return SensorEntry(
        path.stem,
        len(centres),
        (float(centres.min()), float(centres.max())),
        description,
        measured,
        source,
        _remarks(RESPONSES / path.name)[1] if measured else "",
    )


def _remarks(path: Path) -> tuple[str, str]:
    """What a table is, and where its numbers are from: its first two lines."""
    with path.open(encoding="utf-8") as file:
        description, source = (file.readline().lstrip("# ").strip() for _ in range(2))
    return description, source.removeprefix("Source: ")


def known_sensor(name: str, strict: bool = True) -> str:
    """The name of a sensor as our tables spell it.

    Args:
        name: as someone spells it ("EnMAP", "Sentinel 2", "sentinel2").
        strict: raise for an unknown one; else it is "".

    Raises:
        OptionError: there is no table of that name.
    """
    known = {_bare(path.stem): path.stem for path in TABLES.glob("*.csv")}
    found = known.get(_bare(name), "")
    if strict and not found:
        near = [known[close] for close in get_close_matches(_bare(name), known, 3)]
        names = f"Near are {', '.join(near)}; `hsikit sensors` lists all" if near else f"Known are {', '.join(sorted(known.values()))}"
        raise OptionError("sensor", f"{name!r} is not known", f"{names}; or give --wavelengths FILE.csv")
    return found


def _bare(name: str) -> str:
    """A name without what people spell differently: case, spaces, dashes, underscores."""
    return "".join(name.lower().replace("_", " ").replace("-", " ").split())


def sensor_bands(name: str) -> BandTable:
    """Band centres and widths of a sensor.

    Raises:
        OptionError: it is not known.
    """
    return read_band_table(TABLES / f"{known_sensor(name)}.csv")


def read_band_table(path: Path) -> BandTable:
    """Band centres from a CSV file (comma, semicolon or tab), one row per band.

    Raises:
        WavelengthError: missing, unreadable, without a column of wavelengths, in words, or implausible.
    """
    rows = _rows(path)
    header = [cell.strip().lower() for cell in rows[0]]
    if all(_is_number(cell) for cell in rows[0]):
        header, rows = ["wavelength", "fwhm"][: len(rows[0])], [[], *rows]
    columns = {key: [row[i].strip() if i < len(row) else "" for row in rows[1:]] for i, key in enumerate(header)}
    key = next((key for key in _CENTRES if key in columns), None)
    if key is None:
        raise WavelengthError(path, f"has no column of wavelengths among {', '.join(header)}", "Name a column 'wavelength', in nm, with one row per band")
    unit = "um" if key.endswith("um") else "nm" if key.endswith("nm") else (columns.get("unit") or columns.get("units") or [""])[0]
    values = parse_numbers(str(path), columns[key])
    if not len(values):
        raise WavelengthError(path, "holds no wavelengths", "Give one row per band")
    centres, factor, _ = to_nanometres(str(path), values, unit)
    widths, flags, names = (next((columns[key] for key in keys if key in columns), None) for keys in (_WIDTHS, _FLAGS, _NAMES))
    fwhm = parse_numbers(str(path), [cell or "nan" for cell in widths], "widths") * factor if widths else np.full(len(centres), np.nan)
    good = np.array([cell.lower() not in ("0", "0.0", "false", "no", "bad") for cell in flags]) if flags else None
    return BandTable(centres, fwhm, good, tuple(names or ()), origin=f"{path.name} names")


def _rows(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise WavelengthError(path, "does not exist", "Check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise WavelengthError(path, f"cannot be read as a table ({error})", "Give a CSV file with a column 'wavelength'") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise WavelengthError(path, "is empty", "Give a CSV file with a column 'wavelength'")
    delimiter = max(",;\t", key=lines[0].count)
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise WavelengthError(path, f"is no CSV table ({error})", "Give a CSV file with a column 'wavelength'") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
