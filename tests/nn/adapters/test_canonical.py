from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.nn.adapters.bands import Bands
from hsikit.nn.adapters.canonical import CanonicalGrid, resampling_weights
from hsikit.spectral.resample import gaussian_resampling
from tests.nn.adapters.sensors import bands

TARGETS = torch.arange(400.0, 2501.0, 10.0, dtype=torch.float64)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(0, 9999), st.floats(2, 40))
def test_weights_and_coverage_are_those_of_the_spectral_package(count: int, seed: int, step: float) -> None:
    rng = np.random.default_rng(seed)
    wavelength, fwhm = np.sort(rng.choice(np.arange(380, 2520), count, replace=False)).astype(float), rng.uniform(1, 60, count)
    wanted = gaussian_resampling(wavelength, fwhm, TARGETS.numpy(), np.full(len(TARGETS), step))
    weights, coverage = resampling_weights(Bands(torch.tensor(wavelength), torch.tensor(fwhm)), TARGETS, step)
    shares = (weights * coverage[:, None]).numpy()
    np.testing.assert_allclose(shares, wanted.weights.todense() * wanted.coverage[:, None], atol=1e-6)
    np.testing.assert_allclose(coverage.numpy(), wanted.coverage, atol=1e-6)


def test_a_straight_spectrum_stays_straight_where_it_was_measured() -> None:
    weights, coverage = resampling_weights(bands(300), TARGETS, 10.0)
    inner = (TARGETS > 430) & (TARGETS < 2470)
    torch.testing.assert_close(weights[inner] @ bands(300).wavelength, TARGETS[inner], atol=1e-3, rtol=0)
    torch.testing.assert_close(coverage[inner], torch.ones_like(coverage[inner]))


def test_rows_of_the_fixed_layer_sum_to_the_coverage() -> None:
    weights, coverage = CanonicalGrid().resampling(bands(12))
    torch.testing.assert_close(weights.sum(1), coverage)
    assert torch.equal(CanonicalGrid().centres, TARGETS)
    assert 0 < float(coverage.mean()) < 0.9


@pytest.mark.parametrize("options", [{"first": 0.0}, {"first": 900.0, "last": 800.0}, {"step": 0.0}])
def test_senseless_grids_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must ascend"):
        CanonicalGrid(**options)
