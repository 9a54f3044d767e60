"""Networks that read any sensor after one training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import cross_sensor_networks as networks
from benchmarks.cross_sensor_networks import HyperWeights, Lesson, Seen, View, draw_view, network_makers, principal_axes, wiener
from hsikit.scene import Bands

WAVELENGTH = np.linspace(420.0, 2440.0, 60)
OWN = Bands(WAVELENGTH, np.full(60, 35.0), np.ones(60, bool), tuple(f"{centre:.0f}" for centre in WAVELENGTH))


def lesson() -> Lesson:
    """Three classes whose spectra differ in level, slope and curvature."""
    rng = np.random.default_rng(0)
    place = np.linspace(-1, 1, 60)
    targets = rng.integers(0, 3, 300)
    shapes = np.stack([0.2 + 0 * place, 0.3 + 0.1 * place, 0.5 - 0.3 * place**2])
    spectra = 1000 * shapes[targets] * (1 + 0.02 * rng.standard_normal((300, 1)) + 0.01 * rng.standard_normal((300, 60)))
    return Lesson(spectra, targets, OWN, spectra.mean(0), np.cov(spectra.T))


def test_the_wiener_estimate_is_the_conditional_mean_of_the_joint_normal() -> None:
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
    found = wiener(response, errors, covariance, axes)
    np.testing.assert_allclose(found.weights, -given @ precision[:3, 3:], atol=1e-8)
    np.testing.assert_allclose(found.deviation, np.sqrt(np.diag(given)), atol=1e-8)


def test_hyper_weights_know_bands_by_wavelength_and_not_by_number() -> None:
    torch.manual_seed(0)
    model, window = HyperWeights(8), torch.randn(5, 7, 1, 1)
    centres, widths, valid = torch.tensor([450.0, 560, 665, 842, 900, 1610, 2190]), torch.tensor([60.0, 40, 30, 110, 20, 90, 180]), torch.ones(7, dtype=bool)
    plain = model(window, centres, widths, valid)
    assert plain.shape == (5, 8, 1, 1)
    order = torch.randperm(7)
    torch.testing.assert_close(model(window[:, order], centres[order], widths[order], valid), plain)
    twice = torch.tensor([0, 1, 2, 2, 3, 4, 5, 6, 6])
    torch.testing.assert_close(model(window[:, twice], centres[twice], widths[twice], valid[torch.zeros(9, dtype=int)]), plain)
    assert not torch.allclose(model(window, centres + 100, widths, valid), plain, atol=1e-2)


def test_an_instrument_measures_beside_where_it_says() -> None:
    rng = np.random.default_rng(2)
    for _ in range(5):
        drawn = draw_view(OWN, rng)
        inside = (drawn.view.bands.wavelength > 600) & (drawn.view.bands.wavelength < 2200)
        off = ((drawn.weights - drawn.view.weights) @ WAVELENGTH)[inside]
        assert 1e-3 < np.abs(off).max() < 2.1 and np.ptp(off) < 0.2


def test_standardised_values_have_the_mean_and_deviation_of_the_scene() -> None:
    learned = lesson()
    weights = draw_view(OWN, np.random.default_rng(3)).view
    seen = Seen.of(learned, networks.Drawn(weights, weights.weights)).standardised(torch.from_numpy(learned.spectra @ weights.weights.T).float())
    torch.testing.assert_close(seen.mean(0), torch.zeros(seen.shape[1]), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen.std(0), torch.ones(seen.shape[1]), atol=1e-3, rtol=0)


def test_networks_are_right_about_pure_classes_on_a_sensor_that_they_never_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"INSTRUMENTS": 8, "WIENER_STEPS": 60, "WIENER_BATCH": 128, "STEPS": 60, "PARTS": 2, "PART": 32}.items():
        monkeypatch.setattr(networks, name, value)
    learned = lesson()
    makers = network_makers(learned, lambda _: lambda values: np.full((len(values), 3), 1 / 3))
    assert set(makers) == set(networks.ROWS)
    other = OWN.take(np.arange(1, 60, 6))
    view = View(np.eye(60)[1::6], other)
    found = {name: makers[name](view)(learned.spectra[:, 1::6]) for name in (*networks.ROWS[:3], "ranges adapter")}
    for name, posterior in found.items():
        np.testing.assert_allclose(posterior.sum(1), 1, atol=1e-5)
        assert (posterior.argmax(1) == learned.targets).mean() > 0.9, name
    np.testing.assert_allclose(found[networks.MEAN], (1 / 3 + found[networks.WIENER] + found[networks.HYPER]) / 3)
