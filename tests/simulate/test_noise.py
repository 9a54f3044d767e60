from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.simulate.noise import NoiseModel, enmap_like


@given(st.floats(20, 2000), st.floats(0.05, 0.9), st.floats(0, 1))
def test_the_ratio_holds_at_the_reference(snr: float, reference: float, photon: float) -> None:
    model = NoiseModel(np.array([snr]), reference, photon)
    sigma = model.sigma(np.array([[reference]], np.float32))
    assert reference / float(sigma[0, 0]) == pytest.approx(snr, rel=1e-4)


def test_drawn_noise_has_the_stated_spread() -> None:
    model = NoiseModel(np.array([100.0, 50.0]), 0.3, 0.5)
    flat = np.full((40_000, 2), 0.1, np.float32)
    noisy = model.add(flat, np.random.default_rng(0))
    expected = 0.3 / np.array([100.0, 50.0]) * np.sqrt(0.5 * 0.1 / 0.3 + 0.5)
    np.testing.assert_allclose((noisy - flat).std(axis=0), expected, rtol=0.02)
    assert np.all(np.abs((noisy - flat).mean(axis=0)) < 4 * expected / 200)


def test_dark_and_negative_pixels_keep_the_read_noise() -> None:
    model = NoiseModel(np.array([100.0]), 0.3, 0.75)
    np.testing.assert_allclose(model.sigma(np.array([[0.0], [-0.2]], np.float32)), 0.003 * 0.5, rtol=1e-5)


def test_infinite_ratios_add_nothing() -> None:
    model = enmap_like(np.array([500.0, 1380.0]), np.inf)
    values = np.full((3, 2), 0.2, np.float32)
    np.testing.assert_array_equal(model.add(values, np.random.default_rng(0)), values)


def test_enmap_meets_its_requirement_and_fails_in_water_vapour() -> None:
    snr = enmap_like(np.array([495.0, 2200.0, 1380.0])).snr
    assert snr[0] == pytest.approx(500, rel=0.01)
    assert snr[1] == pytest.approx(150, rel=0.01)
    assert snr[2] < 15
