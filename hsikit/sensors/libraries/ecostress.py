"""ECOSTRESS (formerly ASTER) library text: `Name: value` lines, then columns of wavelength and value.

Format: https://speclib.jpl.nasa.gov/documents; Meerdink et al. 2019, doi:10.1016/j.rse.2019.05.015.
"""

from __future__ import annotations

import re
from pathlib import Path

from hsikit.errors import SceneError
from hsikit.sensors.libraries.facts import LibraryFacts, LibraryOptions
from hsikit.sensors.libraries.text import read_lines, two_columns

_KEY = re.compile(r"^([A-Za-z][A-Za-z .#]*?):\s*(.*)$")
KEPT = ("type", "class", "subclass", "genus", "species", "particle size", "sample no.", "owner", "wavelength range", "origin", "collection date", "description",
        "measurement")  # fmt: skip


def read(path: Path, options: LibraryOptions) -> LibraryFacts:
    """Reads one spectrum.

    Raises:
        SceneError: no spectrum, or values that are no reflectance.
    """
    lines = read_lines(path)
    told: dict[str, str] = {}
    last, first = "", len(lines)
    for number, line in enumerate(lines):
        found = _KEY.match(line)
        if found:
            last = found.group(1).strip().lower()
            told[last] = found.group(2).strip()
        elif told and re.match(r"^\s*[-+.\d]", line) and "y units" in told:
            first = number
            break
        elif last and line.strip():  # descriptions run over several lines
            told[last] = f"{told[last]} {line.strip()}"
    table = two_columns(path, lines[first:])
    unit = re.search(r"\(([^)]*)\)", told.get("x units", ""))
    return LibraryFacts(
        name=str(path), spectra=table[:, 1:2].T, wavelength=table[:, 0].tolist(), unit=unit.group(1) if unit else told.get("x units", ""),
        names=[told.get("name", "") or path.stem], metadata={key: [told[key]] for key in KEPT if told.get(key)}, scale=_scale(path, told.get("y units", "")),
    )  # fmt: skip


def _scale(path: Path, units: str) -> float | None:
    """Percent or a fraction, as the file says."""
    lowered = units.lower()
    if "reflect" not in lowered:
        raise SceneError(path, f"its values are {units!r}, not reflectance", "Only reflectance is read from these files")
    if "percent" in lowered or "%" in lowered:
        return 0.01
    return 1.0 if "fraction" in lowered or "decimal" in lowered else None
