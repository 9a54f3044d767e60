"""Derivatives, held against parabolas, NumPy's gradient and SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.errors import OptionError, WavelengthError
from hsikit.spectral.derivative import derivative, derivative_matrix

steps = st.lists(st.floats(1.0, 40.0), min_size=3, max_size=30)


@settings(max_examples=50)
@given(steps=steps, seed=st.integers(0, 2**32 - 1))
def test_parabolas_are_derived_exactly(steps: list[float], seed: int) -> None:
    x = np.cumsum(steps) + 400
    a, b, c = np.random.default_rng(seed).uniform(-1, 1, 3)
    y = a + b * x + c * x**2
    np.testing.assert_allclose(derivative_matrix(x, 1).weights @ y, b + 2 * c * x, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(derivative_matrix(x, 2).weights @ y, np.full(len(x), 2 * c), rtol=1e-6, atol=1e-5)


@settings(max_examples=30)
@given(steps=steps, seed=st.integers(0, 2**32 - 1))
def test_the_first_is_numpys_gradient(steps: list[float], seed: int) -> None:
    x = np.cumsum(steps) + 400
    values = np.random.default_rng(seed).random((4, len(x))).astype(np.float32)
    np.testing.assert_allclose(derivative(values, x), np.gradient(values.astype(float), x, axis=1, edge_order=2), rtol=1e-4, atol=1e-6)


def test_the_second_of_a_smooth_curve() -> None:
    x = np.sort(np.random.default_rng(1).uniform(400, 900, 400))
    x = x[np.concatenate([[True], np.diff(x) > 0.3])]
    found = derivative_matrix(x, 2).weights @ np.sin(x / 40.0)
    np.testing.assert_allclose(found[1:-1], -np.sin(x / 40.0)[1:-1] / 1600, atol=5e-5)


def test_a_missing_band_takes_its_neighbours_along_and_no_others() -> None:
    values = np.random.default_rng(0).random((2, 9)).astype(np.float32)
    values[1, 4] = np.nan
    missing = np.isnan(derivative(values, np.arange(400.0, 490.0, 10.0), 2))
    assert missing[0].sum() == 0 and np.flatnonzero(missing[1]).tolist() == [3, 4, 5]


def test_nonsense_is_refused() -> None:
    values = np.ones((2, 4), np.float32)
    with pytest.raises(OptionError, match="order"):
        derivative(values, [400, 410, 420, 430], 3)
    with pytest.raises(WavelengthError, match="2 bands"):
        derivative(values[:, :2], [400, 410])
    with pytest.raises(WavelengthError, match="ascend"):
        derivative(values, [400, 400, 420, 430])
