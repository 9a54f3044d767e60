"""The catalogue of indices: names, formulas, references; letters of bands with their ranges; constants with their defaults.

The tables are those of Awesome Spectral Indices (Montero et al. 2023, doi:10.1038/s41597-023-02096-0; MIT licence beside them).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from hsikit.errors import OptionError
from hsikit.spectral.indices.expression import Formula, parse_formula

TABLES = Path(__file__).parent
CENTRES = "lambda"
"""A name that begins so, such as lambdaN, stands for the centre (nm) of what is used for that band."""


@dataclass(frozen=True)
class BandRange:
    """A letter of the catalogue: what it is called, and its (shortest, longest) wavelength in nm."""

    letter: str
    name: str
    range: tuple[float, float]


@dataclass(frozen=True)
class Constant:
    """A constant of formulas: its usual value (None where there is none) and meaning."""

    name: str
    default: float | None
    meaning: str


@dataclass(frozen=True)
class IndexEntry:
    """One line of `hsikit indices --list`.

    Attributes:
        name: what a user types.
        domain: vegetation, water, burn, snow, soil, urban, clouds, radar, or kernel.
        long_name: in words.
        formula: in the catalogue's notation.
        reference: where it was published.
    """

    name: str
    domain: str
    long_name: str
    formula: str
    reference: str

    def parse(self) -> Formula:
        """The formula, parsed."""
        return parse_formula(self.formula)

    @property
    def letters(self) -> tuple[str, ...]:
        """Letters of the bands that it needs."""
        found = [name.removeprefix(CENTRES) or name for name in self.parse().names]
        return tuple(dict.fromkeys(name for name in found if name in band_ranges()))

    @property
    def unknown(self) -> tuple[str, ...]:
        """What it needs and no optical scene has: radar channels, kernels, measurements beside the scene."""
        return tuple(name for name in self.parse().names if not _is_known(name))


@lru_cache(maxsize=1)
def list_indices() -> tuple[IndexEntry, ...]:
    """The whole catalogue, by name."""
    return tuple(IndexEntry(**row) for row in _rows("catalogue.csv"))


@lru_cache(maxsize=1)
def band_ranges() -> dict[str, BandRange]:
    """Letter -> range."""
    return {row["letter"]: BandRange(row["letter"], row["name"], (float(row["shortest_nm"]), float(row["longest_nm"]))) for row in _rows("bands.csv")}


@lru_cache(maxsize=1)
def constants() -> dict[str, Constant]:
    """Name -> constant."""
    return {row["name"]: Constant(row["name"], float(row["default"]) if row["default"] else None, row["meaning"]) for row in _rows("constants.csv")}


def index_entry(name: str) -> IndexEntry:
    """An index by its name, whatever the case where that is unambiguous.

    Raises:
        OptionError: there is none, or several differ from it only in case.
    """
    entries = list_indices()
    exact = [entry for entry in entries if entry.name == name]
    found = exact or [entry for entry in entries if entry.name.lower() == name.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        raise OptionError("index", f"{name!r} may be {' or '.join(entry.name for entry in found)}", "Write one of them as it stands")
    near = get_close_matches(name.upper(), [entry.name for entry in entries], 3)
    raise OptionError("index", f"{name!r} is not known", f"Near are {', '.join(near)}" if near else "`hsikit indices --list` names all")


def _is_known(name: str) -> bool:
    if name in band_ranges() or (name.startswith(CENTRES) and name.removeprefix(CENTRES) in band_ranges()):
        return True
    constant = constants().get(name)
    return constant is not None and constant.default is not None


def _rows(table: str) -> list[dict[str, str]]:
    lines = (TABLES / table).read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))
