"""One sensor's standardised bands out of another's, against least squares on spectra that were drawn."""

from __future__ import annotations

import numpy as np
import pytest

from hsikit.spectral.band_estimate import band_estimate
from hsikit.spectral.sensor_change import change_of, noise_deviation

BANDS = 9
RNG = np.random.default_rng(4)
ROOT = RNG.normal(size=(BANDS, BANDS)) * 0.1 + np.eye(BANDS) * 0.05
COVARIANCE = ROOT @ ROOT.T
MEAN = RNG.uniform(1.0, 2.0, BANDS)


def response(count: int) -> np.ndarray:
    weights = RNG.uniform(0, 1, (count, BANDS)) * (RNG.uniform(0, 1, (count, BANDS)) > 0.5) + np.eye(BANDS)[:count]
    return weights / weights.sum(1, keepdims=True)


def standardised(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(0)) / values.std(0)


@pytest.mark.parametrize("count", [3, 6])
def test_it_is_what_least_squares_finds(count: int) -> None:
    change = change_of(response(count), np.linspace(500, 2200, count))
    spectra = RNG.multivariate_normal(MEAN, COVARIANCE, 400_000)
    seen = spectra @ change.weights.T
    seen = 1.7 * seen + 1.7 * RNG.normal(size=seen.shape) * noise_deviation(change, MEAN)
    regressed = np.linalg.lstsq(standardised(seen), standardised(spectra), rcond=None)[0].T
    np.testing.assert_allclose(band_estimate(change, MEAN, COVARIANCE), regressed, atol=0.02)


def test_a_sensor_of_the_same_bands_gives_its_values_back() -> None:
    change = change_of(np.eye(BANDS), np.linspace(500, 2200, BANDS))
    values = standardised(RNG.multivariate_normal(MEAN, COVARIANCE, 500))
    assert np.abs(values @ band_estimate(change, MEAN, COVARIANCE).T - values).mean() < 0.1
    quiet = band_estimate(change, MEAN * 1e-6, COVARIANCE)
    np.testing.assert_allclose(quiet, np.eye(BANDS), atol=1e-3)


def test_a_band_that_does_not_vary_says_nothing() -> None:
    weights = response(4)
    centres = np.linspace(500, 2200, 4)
    measured = np.array([True, False, True, True])
    found = band_estimate(change_of(weights, centres), MEAN, COVARIANCE, measured)
    assert (found[:, 1] == 0).all()
    np.testing.assert_allclose(found[:, measured], band_estimate(change_of(weights[measured], centres[measured]), MEAN, COVARIANCE))
    dead = COVARIANCE.copy()
    dead[2] = dead[:, 2] = 0
    assert (band_estimate(change_of(weights, centres), MEAN, dead)[2] == 0).all()
