"""The catalogue: whole, parsed, credited; its formulas give published values."""

from __future__ import annotations

import numpy as np
import pytest

from hsikit.errors import OptionError
from hsikit.spectral.indices import index_entry, list_indices
from hsikit.spectral.indices.catalogue import TABLES, band_ranges, constants

NEEDED_BESIDE = {"VV", "VH", "HV", "HH", "PAR", "kNN", "kNR", "kNB", "kNL", "kGG", "kGR", "kGB"}


def test_every_formula_parses_and_every_name_is_explained() -> None:
    entries = list_indices()
    assert len(entries) > 250 and len({entry.name for entry in entries}) == len(entries)
    for entry in entries:
        assert set(entry.unknown) <= NEEDED_BESIDE, entry.name
        assert entry.unknown or entry.letters, entry.name
        assert entry.reference.startswith("http") and entry.long_name and entry.domain
    assert {entry.domain for entry in entries if entry.unknown} == {"radar", "kernel", "vegetation"}


def test_tables_name_source_and_licence() -> None:
    for table in ("catalogue.csv", "bands.csv", "constants.csv"):
        head = (TABLES / table).read_text(encoding="utf-8").splitlines()[:3]
        assert all(line.startswith("#") for line in head) and "awesome-spectral-indices" in head[1] and "MIT License" in head[2]
    assert "Permission is hereby granted" in (TABLES / "LICENSE.txt").read_text()


def test_by_name_whatever_the_case() -> None:
    assert index_entry("ndvi").formula == index_entry("NDVI").formula
    assert index_entry("BAI").name == "BAI" and index_entry("BaI").name == "BaI"
    with pytest.raises(OptionError, match="may be BAI or BaI"):
        index_entry("bai")
    with pytest.raises(OptionError, match=r"'NDVY' is not known.*NDVI"):
        index_entry("NDVY")


SPECTRUM = {"A": 0.02, "B": 0.03, "G": 0.06, "R": 0.04, "RE1": 0.09, "RE2": 0.25, "RE3": 0.32, "N": 0.40, "S1": 0.20, "S2": 0.10}
BY_HAND = {
    "NDVI": 0.36 / 0.44, "EVI": 2.5 * 0.36 / (0.40 + 6 * 0.04 - 7.5 * 0.03 + 1), "SAVI": 2 * 0.36 / (0.44 + 1), "NDWI": -0.34 / 0.46, "MNDWI": -0.14 / 0.26,
    "NBR": 0.30 / 0.50, "NDMI": 0.20 / 0.60, "NDSI": -0.14 / 0.26, "GNDVI": 0.34 / 0.46, "MSAVI": 0.5 * (1.8 - np.sqrt(1.8**2 - 8 * 0.36)),
    "EVI2": 2.5 * 0.36 / (0.40 + 2.4 * 0.04 + 1), "BI": (0.24 - 0.43) / (0.24 + 0.43), "NDBI": -0.20 / 0.60, "MTCI": (0.25 - 0.09) / (0.09 - 0.04),
    "CIG": 0.40 / 0.06 - 1, "ARVI": (0.40 - (0.04 - (0.04 - 0.03))) / (0.40 + (0.04 - (0.04 - 0.03))), "BAI": 1 / ((0.1 - 0.04) ** 2 + (0.06 - 0.40) ** 2),
    "AWEInsh": 4 * (0.06 - 0.20) - 0.25 * 0.40 + 2.75 * 0.10,
}  # fmt: skip


@pytest.mark.parametrize("name", list(BY_HAND))
def test_well_known_indices_by_hand(name: str) -> None:
    formula = index_entry(name).parse()
    values = {part: SPECTRUM.get(part, constants()[part].default if part in constants() else None) for part in formula.names}
    assert float(formula(values)) == pytest.approx(BY_HAND[name], rel=1e-5)


def test_ranges_are_wavelengths() -> None:
    assert band_ranges()["N"].range == (760, 900) and band_ranges()["S2"].range == (2080, 2350)
    assert all(200 < band.range[0] < band.range[1] < 20_000 for band in band_ranges().values())
