"""A lesson that tests of networks for any sensor share."""

from __future__ import annotations

import numpy as np

from hsikit.tasks.classification.sensor_lessons import Lesson

WAVELENGTH = np.linspace(420.0, 2440.0, 60)


def lesson() -> Lesson:
    """Three classes whose spectra differ in level, slope and curvature."""
    rng = np.random.default_rng(0)
    place = np.linspace(-1, 1, 60)
    targets = rng.integers(0, 3, 300)
    shapes = np.stack([0.2 + 0 * place, 0.3 + 0.1 * place, 0.5 - 0.3 * place**2])
    spectra = 1000 * shapes[targets] * (1 + 0.02 * rng.standard_normal((300, 1)) + 0.01 * rng.standard_normal((300, 60)))
    return Lesson(spectra, targets, WAVELENGTH, np.full(60, 35.0), spectra.mean(0), np.cov(spectra.T), 9)
