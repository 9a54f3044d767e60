from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.spectral.conditional import conditional_means, regression


def statistics(bands: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((bands, bands))
    return rng.standard_normal(bands) * 5, factor @ factor.T + 0.1 * np.eye(bands)


@settings(max_examples=40)
@given(st.integers(2, 12), st.integers(1, 9), st.integers(0, 999))
def test_every_spectrum_gets_the_mean_and_covariance_given_what_it_has(bands: int, count: int, seed: int) -> None:
    mean, covariance = statistics(bands, seed)
    rng = np.random.default_rng(seed)
    spectra = rng.standard_normal((count, bands))
    missing = rng.random((count, bands)) < 0.4
    missing[missing.all(1), 0] = False
    spectra[missing] = np.nan
    seen = np.zeros(count, int)
    for found in conditional_means(torch.from_numpy(spectra), torch.from_numpy(mean), torch.from_numpy(np.linalg.inv(covariance))):
        for place, values in zip(found.spectra.tolist(), found.values.numpy(), strict=True):
            lost, there = np.flatnonzero(missing[place]), np.flatnonzero(~missing[place])
            assert found.bands.tolist() == lost.tolist()
            gain = covariance[np.ix_(lost, there)] @ np.linalg.inv(covariance[np.ix_(there, there)])
            np.testing.assert_allclose(values, mean[lost] + gain @ (spectra[place, there] - mean[there]), rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(found.covariance, covariance[np.ix_(lost, lost)] - gain @ covariance[np.ix_(there, lost)], rtol=1e-6, atol=1e-6)
            seen[place] += 1
    np.testing.assert_array_equal(seen, missing.any(1))


def test_complete_spectra_do_not_come() -> None:
    assert not list(conditional_means(torch.ones(3, 4), torch.zeros(4).double(), torch.eye(4).double()))


def test_a_regression_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    spectra = rng.standard_normal((50, 6)) @ rng.standard_normal((6, 6))
    found = regression(spectra.T @ spectra / 50, np.array([1, 4]), np.array([0, 2, 3, 5]))
    wanted, left, _, _ = np.linalg.lstsq(spectra[:, [0, 2, 3, 5]], spectra[:, [1, 4]], rcond=None)
    np.testing.assert_allclose(found.weights, wanted.T, rtol=1e-8)
    np.testing.assert_allclose(found.variance, left / 50, rtol=1e-6)
