"""Rows of networks that read any sensor after one training."""

from __future__ import annotations

import numpy as np

from benchmarks import cross_sensor_networks as networks
from benchmarks.cross_sensor_networks import View, network_makers
from hsikit.scene import Bands
from tests.tasks.classification.lessons import WAVELENGTH, lesson
from tests.tasks.classification.networks import short

OWN = Bands(WAVELENGTH, np.full(60, 35.0), np.ones(60, bool), tuple(f"{centre:.0f}" for centre in WAVELENGTH))


def test_networks_are_right_about_pure_classes_on_a_sensor_that_they_never_saw() -> None:
    learned = lesson()
    makers = network_makers(learned, lambda _: lambda values: np.full((len(values), 3), 1 / 3))
    assert set(makers) == set(networks.ROWS)
    view = View(np.eye(60)[1::6], OWN.take(np.arange(1, 60, 6)))
    with short():
        found = {name: makers[name](view)(learned.spectra[:, 1::6]) for name in (*networks.ROWS[:3], "ranges adapter")}
    for name, posterior in found.items():
        np.testing.assert_allclose(posterior.sum(1), 1, atol=1e-5)
        assert (posterior.argmax(1) == learned.targets).mean() > 0.9, name
    np.testing.assert_allclose(found[networks.MEAN], (1 / 3 + found[networks.WIENER] + found[networks.HYPER]) / 3)
