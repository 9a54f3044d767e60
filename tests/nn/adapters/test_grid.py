from __future__ import annotations

import torch

from hsikit.nn.adapters.grid import GridAdapter
from tests.nn.adapters.sensors import sensor, window


def test_what_was_not_measured_has_neither_value_nor_coverage() -> None:
    model = GridAdapter(8)
    wavelength = torch.cat([torch.arange(405.0, 996, 10), torch.arange(1505.0, 1796, 10)])
    x = window(len(wavelength))
    values, coverage = model.resample(x, wavelength, torch.full_like(wavelength, 10.0), torch.ones(len(wavelength), dtype=torch.bool))
    assert values.shape == (2, 211, 2, 3)
    gap = (model.grid.centres > 1005) & (model.grid.centres < 1495)
    assert not coverage[gap].any()
    assert not values[:, gap].any()
    assert (coverage[(model.grid.centres > 405) & (model.grid.centres < 990)] > 0.999).all()


def test_features_are_one_linear_layer_of_values_and_coverage() -> None:
    torch.manual_seed(0)
    model, x, facts = GridAdapter(8, 500.0, 900.0, 20.0), window(50), sensor(50)
    values, coverage = model.resample(x, *facts)
    both = torch.cat([values, coverage[None, :, None, None].expand_as(values)], 1)
    torch.testing.assert_close(model(x, *facts), model.project(both.movedim(1, -1)).movedim(-1, 1), atol=1e-5, rtol=1e-5)
    assert model.grid.centres.tolist() == [500.0 + 20 * step for step in range(21)]


def test_the_resampling_is_fixed() -> None:
    model = GridAdapter(8)
    assert [name for name, _ in model.named_parameters()] == ["project.weight", "project.bias"]
