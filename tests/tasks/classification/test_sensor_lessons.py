"""What networks for any sensor learn from."""

from __future__ import annotations

import numpy as np
import torch

from hsikit.tasks.classification.sensor_lessons import Seen, learn_wiener, standardisation
from tests.tasks.classification.lessons import WAVELENGTH, lesson
from tests.tasks.classification.networks import short


def test_an_instrument_measures_beside_where_it_says() -> None:
    for drawn in lesson().instruments()[:5]:
        inside = (drawn.change.wavelength > 600) & (drawn.change.wavelength < 2200)
        off = ((drawn.measures - drawn.change.weights) @ WAVELENGTH)[inside]
        assert 1e-3 < np.abs(off).max() < 2.1 and np.ptp(off) < 0.2


def test_chance_outside_does_not_move_a_training_nor_is_moved_by_it() -> None:
    threads = torch.get_num_threads()
    with short():
        torch.manual_seed(1)
        _, first = learn_wiener(lesson())
        after = torch.rand(3)
        torch.manual_seed(2)
        _, again = learn_wiener(lesson())
        torch.manual_seed(1)
    torch.testing.assert_close(torch.rand(3), after)
    assert torch.get_num_threads() == threads
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_standardised_values_have_the_mean_and_deviation_of_the_scene() -> None:
    learned = lesson()
    drawn = learned.instruments()[0]
    seen = Seen.of(learned, drawn).standardised(torch.from_numpy(learned.spectra @ drawn.change.weights.T).float())
    torch.testing.assert_close(seen.mean(0), torch.zeros(seen.shape[1]), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen.std(0), torch.ones(seen.shape[1]), atol=1e-3, rtol=0)
    assert np.isfinite(Seen.of(learned, drawn).measured(torch.from_numpy(learned.spectra).float()).numpy()).all()


def test_a_band_that_is_constant_says_nothing() -> None:
    weights = np.eye(3)
    _, scale = standardisation(weights, np.array([1.0, 5.0, 0.0]), np.diag([0.01, 1e-13, 0.0]))
    np.testing.assert_allclose(scale, [0.1, np.inf, np.inf])
