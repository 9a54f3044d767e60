"""Local polynomials, held against SciPy's filter, NumPy's fits, and polynomials that they must keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter

from hsikit.errors import OptionError, WavelengthError
from hsikit.spectral.smooth import savitzky_golay, smoothing_matrix


@pytest.mark.parametrize(("order", "points"), [(0, 3), (1, 5), (2, 7), (3, 7), (4, 11)])
def test_even_spacing_is_savitzky_and_golays(order: int, points: int) -> None:
    x = np.arange(400.0, 900.0, 5.0)
    values = np.random.default_rng(0).random((3, len(x))).astype(np.float32)
    found = savitzky_golay(values, x, 5.0 * (points - 1), order)
    np.testing.assert_allclose(found, savgol_filter(values.astype(float), points, order, axis=1), atol=1e-6)


@settings(max_examples=40)
@given(steps=st.lists(st.floats(2.0, 9.0), min_size=12, max_size=40), order=st.integers(0, 3), seed=st.integers(0, 2**32 - 1))
def test_uneven_windows_are_least_squares_fits(steps: list[float], order: int, seed: int) -> None:
    x = np.cumsum(steps) + 400
    values = np.random.default_rng(seed).random(len(x))
    window = 100.0
    found = smoothing_matrix(x, window, order).weights @ values
    half = min(window, x[-1] - x[0]) / 2
    for centre, value in zip(x, found, strict=True):
        near = np.abs(x - np.clip(centre, x[0] + half, x[-1] - half)) <= window / 2 + 1e-6
        assert value == pytest.approx(np.polynomial.Polynomial.fit(x[near] - centre, values[near], order)(0.0), abs=1e-7)


@settings(max_examples=40)
@given(steps=st.lists(st.floats(1.0, 12.0), min_size=20, max_size=60), order=st.integers(0, 4), seed=st.integers(0, 2**32 - 1))
def test_polynomials_up_to_the_order_stay(steps: list[float], order: int, seed: int) -> None:
    x = np.cumsum(steps) + 400
    y = np.polynomial.Polynomial(np.random.default_rng(seed).uniform(-1, 1, order + 1), domain=[x[0], x[-1]])(x)
    np.testing.assert_allclose(smoothing_matrix(x, 130.0, order).weights @ y, y, atol=1e-7)


def test_a_missing_band_is_missing_in_its_windows_only() -> None:
    x = np.arange(400.0, 700.0, 10.0)
    values = np.random.default_rng(0).random((2, 30)).astype(np.float32)
    values[1, 12] = np.nan
    missing = np.isnan(savitzky_golay(values, x, 40.0, 2))
    assert not missing[0].any() and np.flatnonzero(missing[1]).tolist() == [10, 11, 12, 13, 14]


@pytest.mark.parametrize(
    ("window", "order", "said"), [(0.0, 2, "width"), (np.nan, 2, "width"), (50.0, -1, "order"), (50.0, 99, "order"), (20.0, 3, "holds 3 bands at 400 nm")]
)
def test_nonsense_is_refused(window: float, order: int, said: str) -> None:
    values = np.ones((2, 30), np.float32)
    with pytest.raises(OptionError, match=said):
        savitzky_golay(values, np.arange(400.0, 700.0, 10.0), window, order)
    with pytest.raises(WavelengthError):
        savitzky_golay(values, np.arange(29.0), 50.0)
