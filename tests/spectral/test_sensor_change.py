"""From one sensor to another: weights, coverage, and the covariance of what instruments differ by."""

from __future__ import annotations

import numpy as np

from hsikit.spectral.sensor_change import error_covariance, sensor_change

OWN, OWN_WIDTH = np.arange(400.0, 1001.0, 5.0), np.full(121, 6.0)


def test_a_sensor_of_the_same_bands_sees_the_same() -> None:
    change = sensor_change(OWN, OWN_WIDTH, OWN, OWN_WIDTH)
    np.testing.assert_allclose(change.weights, np.eye(121), atol=1e-6)
    np.testing.assert_array_equal(change.used, np.arange(121))
    assert change.seen.all()


def test_broad_bands_are_sums_and_what_lies_outside_is_not_used() -> None:
    change = sensor_change(OWN, OWN_WIDTH, [380.0, 550.0, 700.0, 1200.0], [40.0, 40.0, 40.0, 40.0])
    np.testing.assert_array_equal(change.used, [1, 2])
    np.testing.assert_array_equal(change.wavelength, [550, 700])
    np.testing.assert_allclose(change.weights.sum(1), 1, atol=1e-9)
    np.testing.assert_allclose(change.weights @ OWN, [550, 700], atol=0.01)
    assert 0 < change.coverage[0] < 0.9
    assert not change.seen[OWN > 800].any()
    assert change.seen[np.abs(OWN - 550) < 20].all()


def test_the_error_covariance_term_by_term() -> None:
    mean = 0.2 + 0.1 * (OWN > 720)
    change = sensor_change(OWN, OWN_WIDTH, [500.0, 718.0, 900.0], [10.0, 10.0, 10.0])
    found = error_covariance(change, OWN, mean, averaged=9)
    signal = change.weights @ mean
    shifted = change.weights @ np.interp(OWN + 1, OWN, mean) - signal
    expected = np.zeros((3, 3))
    for i, one in enumerate(change.wavelength):
        for j, two in enumerate(change.wavelength):
            smooth = np.exp(-((one - two) ** 2) / (2 * 300**2)) + np.exp(-((one - two) ** 2) / (2 * 50**2))
            expected[i, j] = 0.0009 * smooth * signal[i] * signal[j] + 4 * shifted[i] * shifted[j]
        expected[i, i] += 4 * (signal[i] / 250 / 3) ** 2 + (0.01 * signal[i]) ** 2
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (np.linalg.eigvalsh(found) > 0).all()


def test_noise_is_larger_beyond_a_micrometre_and_smaller_in_a_mean() -> None:
    own = np.arange(900.0, 1101.0, 5.0)
    change = sensor_change(own, np.full(len(own), 6.0), [950.0, 1050.0], [10.0, 10.0])
    one, nine = (np.diag(error_covariance(change, own, np.full(len(own), 0.3), averaged=count)) for count in (1, 9))
    assert one[1] > one[0]
    np.testing.assert_allclose(one - nine, 4 * (0.3 / np.array([250, 120])) ** 2 * (1 - 1 / 9), rtol=1e-9)
