from __future__ import annotations

import numpy as np
import pytest
import torch

from hsikit.tasks.band_scale import SCALE, BandScale, band_facts, scale_stage, scene_scale
from tests.tasks.classification.scenes import fields, run_with, source


@pytest.mark.parametrize("tile", [None, 17, 40])
def test_statistics_are_those_of_all_valid_pixels(tile: int | None) -> None:
    values, _ = fields(61, 47, 3, 9)
    values[4] = 7.0
    values[4, np.isnan(values[0])] = np.nan
    scene = source(values + 1e3)
    found = scene_scale(scene, scene.info.bands.used, run_with(tile=tile))
    few = np.isnan(values).sum(0) == 0
    # Bands 3 and 4 of pixels with a gap there are interpolated by the engine: the others are looked at.
    others = [band for band in range(9) if band != 4]
    valid = ~np.isnan(values).all(0)
    exact = values.astype(np.float64)[others][:, valid] + 1e3
    np.testing.assert_allclose(found.mean.numpy()[others], exact.mean(1), rtol=1e-6)
    np.testing.assert_allclose(found.deviation.numpy()[others], exact.std(1), rtol=1e-5)
    assert few.any() and scale_stage().name == SCALE


def test_a_constant_band_does_not_count_and_is_zero() -> None:
    scale = BandScale(torch.tensor([2.0, 5.0]).double(), torch.tensor([4.0, 0.0]).double())
    values = torch.tensor([[[6.0]], [[5.0]]])
    assert scale.standardised(values).flatten().tolist() == [1.0, 0.0]
    scene = source(np.ones((2, 3, 3)))
    assert band_facts(scene.info.bands, scale).valid.tolist() == [True, False]
