"""Letters on sensors: the band that everybody uses on multispectral ones, the mean over the range on spectrometers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.errors import WavelengthError
from hsikit.sensors.catalogue import sensor_bands
from hsikit.spectral.indices import choose_bands
from hsikit.spectral.indices.catalogue import band_ranges

KNOWN = {
    "sentinel-2": {"A": 443, "B": 493, "G": 560, "R": 665, "RE1": 704, "RE2": 740, "RE3": 783, "N": 833, "N2": 865, "WV": 945, "S1": 1614, "S2": 2202},
    "landsat-8": {"A": 443, "B": 483, "G": 561, "R": 655, "N": 865, "S1": 1609, "S2": 2201},
}


@pytest.mark.parametrize("sensor", KNOWN)
def test_multispectral_sensors(sensor: str) -> None:
    table = sensor_bands(sensor)
    order = np.argsort(table.wavelength)
    found = choose_bands(tuple(KNOWN[sensor]), table.wavelength[order], table.fwhm[order], np.ones(len(order), bool))
    for letter, centre in KNOWN[sensor].items():
        assert len(found[letter].index) == 1 and found[letter].centre == pytest.approx(centre, abs=3), letter
        assert 0 < found[letter].coverage <= 1


def test_a_spectrometer_is_averaged_over_the_range() -> None:
    nm = np.arange(400.0, 2500.0, 5.0)
    found = choose_bands(("N", "RE1", "b842"), nm, np.full(len(nm), 5.0), np.ones(len(nm), bool))
    np.testing.assert_array_equal(nm[found["N"].index], nm[(nm >= 760) & (nm <= 900)])
    assert found["N"].centre == 830 and found["N"].coverage == 1 and len(found["RE1"].index) == 5
    assert nm[found["b842"].index].tolist() == [840] and found["b842"].coverage == 1


def test_bad_bands_serve_for_nothing() -> None:
    nm = np.arange(400.0, 1000.0, 5.0)
    good = (nm < 780) | (nm > 880)
    found = choose_bands(("N",), nm, np.full(len(nm), np.nan), good)
    assert good[found["N"].index].all()
    with pytest.raises(WavelengthError, match=r"scene.*no good band for S1 \(Short-wave Infrared \(SWIR\) 1, 1550 to 1750 nm\)"):
        choose_bands(("S1",), nm, np.full(len(nm), 5.0), good)
    with pytest.raises(WavelengthError, match="no good band at 842 nm; the nearest is at 885 nm"):
        choose_bands(("b842",), nm, np.full(len(nm), 5.0), good)
    with pytest.raises(WavelengthError, match="no band with a wavelength"):
        choose_bands(("N",), nm, nm, np.zeros(len(nm), bool))


@given(seed=st.integers(0, 999), bands=st.integers(1, 60), letter=st.sampled_from(sorted(band_ranges())))
def test_what_is_chosen_lies_in_the_range(seed: int, bands: int, letter: str) -> None:
    rng = np.random.default_rng(seed)
    nm = np.unique(rng.uniform(400, 2500, bands))
    widths, good = rng.uniform(2, 80, len(nm)), rng.random(len(nm)) < 0.9
    low, high = band_ranges()[letter].range
    inside = good & (nm >= low) & (nm <= high)
    if not inside.any():
        with pytest.raises(WavelengthError):
            choose_bands((letter,), nm, widths, good)
        return
    found = choose_bands((letter,), nm, widths, good)[letter]
    assert inside[found.index].all() and (np.diff(found.index) > 0).all() and 0 < found.coverage <= 1
    fine = np.linspace(low, high, 20_001)
    covered = (np.abs(fine[:, None] - nm[found.index]) <= widths[found.index] / 2).any(axis=1).mean()
    assert found.coverage == pytest.approx(covered, abs=1e-3)
