from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hsikit.spectral.gaps import fill_gaps, valid_spectra

holes = arrays(np.bool_, (6, 12))


@given(holes, st.integers(0, 2**32 - 1))
def test_fill_agrees_with_numpy_interp(missing, seed):
    rng = np.random.default_rng(seed)
    wavelength = np.sort(rng.uniform(400, 2500, 12)) + np.arange(12) * 0.01
    values = rng.uniform(0, 1, (6, 12)).astype(np.float32)
    values[missing] = np.nan
    filled = fill_gaps(values, wavelength)
    for spectrum, out, gone in zip(values, filled, missing, strict=True):
        if gone.all():
            assert np.isnan(out).all()
        else:
            np.testing.assert_allclose(out, np.interp(wavelength, wavelength[~gone], spectrum[~gone]), rtol=1e-6, atol=1e-7)
            assert np.array_equal(out[~gone], spectrum[~gone])


def test_input_is_not_changed_and_whole_spectra_pass():
    values = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]], np.float32)
    before = values.copy()
    assert fill_gaps(values, np.array([1.0, 2.0, 4.0]))[0, 1] == pytest.approx(1 + 2 / 3)
    assert np.array_equal(values, before, equal_nan=True)


def test_bands_without_wavelengths_count_as_evenly_spaced():
    assert fill_gaps(np.array([[0.0, np.nan, np.nan, 3.0]], np.float32), np.full(4, np.nan)).tolist() == [[0.0, 1.0, 2.0, 3.0]]


@pytest.mark.parametrize(("gone", "valid"), [(0, True), (2, True), (3, False), (20, False)])
def test_a_tenth_may_be_missing(gone, valid):
    values = np.ones((1, 20), np.float32)
    values[0, :gone] = np.nan
    assert valid_spectra(values).tolist() == [valid]


def test_only_used_bands_count():
    values = np.ones((1, 10), np.float32)
    values[0, :4] = np.nan
    used = np.arange(10) >= 4
    assert valid_spectra(values, used).tolist() == [True]
    assert valid_spectra(values, np.zeros(10, bool)).tolist() == [False]
