"""The best linear estimate, against the conditional of a joint normal."""

from __future__ import annotations

import numpy as np

from hsikit.spectral.wiener import principal_axes, wiener_estimate


def test_it_is_the_conditional_mean_of_the_joint_normal() -> None:
    rng = np.random.default_rng(1)
    root, response, noise = rng.normal(size=(6, 6)), rng.random((4, 6)), rng.normal(size=(4, 4))
    covariance, errors = root @ root.T, noise @ noise.T
    axes = principal_axes(covariance, 3)
    np.testing.assert_allclose(axes.T @ covariance @ axes, np.eye(3), atol=1e-9)
    # Features z and values y together, as sums of a spectrum and errors; what z is given y stands in the inverse of their covariance.
    maps = np.block([[axes.T, np.zeros((3, 4))], [response, np.eye(4)]])
    both = np.block([[covariance, np.zeros((6, 4))], [np.zeros((4, 6)), errors]])
    precision = np.linalg.inv(maps @ both @ maps.T)
    given = np.linalg.inv(precision[:3, :3])
    found = wiener_estimate(response, errors, covariance, axes)
    np.testing.assert_allclose(found.weights, -given @ precision[:3, 3:], atol=1e-8)
    np.testing.assert_allclose(found.deviation, np.sqrt(np.diag(given)), atol=1e-8)


def test_there_are_no_more_axes_than_the_spectra_span() -> None:
    spread = np.random.default_rng(2).normal(size=(2, 5))
    assert principal_axes(spread.T @ spread, 4).shape == (5, 2)
