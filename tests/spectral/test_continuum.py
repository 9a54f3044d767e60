"""Continua, held against hulls found by trying all pairs of bands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.errors import WavelengthError
from hsikit.spectral import continuum as module
from hsikit.spectral.continuum import band_depth, continuum, continuum_removed


def highest_chord(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """At each band the highest of all chords over it: the upper convex hull by its definition."""
    there = np.flatnonzero(~np.isnan(values))
    out = np.full(len(values), np.nan)
    for k in range(len(values)):
        pairs = [[i, j] for i in there for j in there if i <= k <= j and (i < j or i == k)]
        out[k] = max((np.interp(centres[k], centres[pair], values[pair].astype(float)) for pair in pairs), default=np.nan)
    return out


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), bands=st.integers(1, 14), gaps=st.floats(0.0, 0.9), whole=st.booleans())
def test_the_hull_is_the_highest_chord(seed: int, bands: int, gaps: float, whole: bool) -> None:
    rng = np.random.default_rng(seed)
    centres = 400.0 + np.cumsum(rng.uniform(1.0, 30.0, bands))
    values = (rng.integers(0, 4, (6, bands)) if whole else rng.random((6, bands))).astype(np.float32)  # whole numbers: many ties
    values[rng.random(values.shape) < gaps] = np.nan
    np.testing.assert_allclose(continuum(values, centres), [highest_chord(v, centres) for v in values], rtol=1e-6, atol=1e-6)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.1, 50.0))
def test_removal_forgets_brightness_and_stays_between_0_and_1(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    centres = np.cumsum(rng.uniform(1.0, 20.0, 40)) + 400
    values = rng.uniform(0.01, 1.0, (3, 40)).astype(np.float32)
    removed = continuum_removed(values, centres)
    assert removed.dtype == np.float32 and (removed > 0).all() and (removed <= 1 + 1e-6).all()
    np.testing.assert_array_equal(removed[:, [0, -1]], 1.0)
    np.testing.assert_allclose(continuum_removed(values * np.float32(scale), centres), removed, rtol=1e-5)


def test_missing_bands_stay_missing_and_change_no_other_spectrum(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    centres = np.arange(400.0, 700.0, 10.0)
    values = rng.uniform(0.1, 1.0, (4, 5, 30)).astype(np.float32)
    whole = continuum_removed(values, centres)
    values[1, 2, 7] = values[1, 2, 0] = np.nan
    values[3, 3] = np.nan
    monkeypatch.setattr(module, "SPECTRA_AT_ONCE", 3)
    removed = continuum_removed(values, centres)
    np.testing.assert_array_equal(np.isnan(removed), np.isnan(values))
    untouched = ~np.isnan(values).any(axis=-1)
    np.testing.assert_array_equal(removed[untouched], whole[untouched])
    assert removed[1, 2, 1] == 1.0  # the first band that is there


def test_a_continuum_that_is_not_above_zero_gives_nothing() -> None:
    assert np.isnan(continuum_removed(np.array([0.0, -1.0, 0.0], np.float32), [400, 500, 600])).all()


def test_depth_and_place_of_an_absorption_of_known_depth() -> None:
    centres = np.arange(2000.0, 2401.0, 10.0)
    level = 0.2 + 2e-4 * (centres - 2000.0)
    shape = np.exp(-0.5 * ((centres - 2200.0) / 15.0) ** 2)
    values = (level * (1 - np.array([0.0, 0.1, 0.35])[:, None] * shape)).astype(np.float32)
    found = band_depth(values, centres, 2120.0, 2280.0)
    np.testing.assert_allclose(found.depth, [0.0, 0.1, 0.35], atol=1e-4)
    np.testing.assert_array_equal(found.wavelength[1:], 2200.0)
    values[1, 12:29] = np.nan
    assert np.isnan(band_depth(values, centres, 2120.0, 2280.0).depth).tolist() == [False, True, False]


def test_nonsense_is_refused() -> None:
    values = np.ones((2, 3), np.float32)
    with pytest.raises(WavelengthError, match="ascend"):
        continuum(values, [500, 400, 600])
    with pytest.raises(WavelengthError, match="3 bands, and there are 2"):
        continuum_removed(values, [400, 500])
    with pytest.raises(WavelengthError, match="2 bands from 450 to 600"):
        band_depth(values, [400, 500, 600], 450, 600)
