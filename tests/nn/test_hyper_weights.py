"""Integrals along the wavelength, and networks on them."""

from __future__ import annotations

import numpy as np
import torch

from hsikit.nn.hyper_weights import HyperWeights, Seen
from tests.nn.lessons import lesson


def test_bands_are_known_by_wavelength_and_not_by_number() -> None:
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


def test_standardised_values_have_the_mean_and_deviation_of_the_scene() -> None:
    learned = lesson()
    drawn = learned.instruments()[0]
    seen = Seen.of(learned, drawn).standardised(torch.from_numpy(learned.spectra @ drawn.change.weights.T).float())
    torch.testing.assert_close(seen.mean(0), torch.zeros(seen.shape[1]), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen.std(0), torch.ones(seen.shape[1]), atol=1e-3, rtol=0)
    assert np.isfinite(Seen.of(learned, drawn).measured(torch.from_numpy(learned.spectra).float()).numpy()).all()
