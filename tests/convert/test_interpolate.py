"""Weighted means between pixels, beside SciPy and sums written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from hsikit.convert.interpolate import KERNELS, box, interpolate, keys, triangle

RNG = np.random.default_rng(0)
VALUES = RNG.random((20, 17, 3)).astype(np.float32)


def at_random(count, margin=3.0):
    return RNG.uniform(margin, 19 - margin, count), RNG.uniform(margin, 16 - margin, count)


def test_bilinear_is_scipys():
    rows, cols = at_random(200, 0.0)
    found = interpolate(VALUES, rows, cols, KERNELS["bilinear"], (1.0, 1.0))
    wanted = np.stack([map_coordinates(VALUES[..., band], [rows, cols], order=1) for band in range(3)], axis=1)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_cubic_gives_back_a_quadratic_surface():
    row, col = np.mgrid[:20, :17].astype(float)

    def surface(r, c):
        return 0.3 * r**2 - 0.2 * c**2 + 0.1 * r * c + r - 4

    rows, cols = at_random(100)
    found = interpolate(surface(row, col)[..., None].astype(np.float32), rows, cols, KERNELS["cubic"], (1.0, 1.0))
    np.testing.assert_allclose(found[:, 0], surface(rows, cols), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("steps", [(1.0, 1.0), (2.5, 1.0), (3.0, 4.2), (0.4, 0.7)])
def test_a_result_is_the_weighted_mean_written_out(name, steps):
    values = VALUES.copy()
    values[RNG.random((20, 17)) < 0.15, 1] = np.nan
    rows, cols = at_random(40, 0.0)
    found = interpolate(values, rows, cols, KERNELS[name], steps)
    for n in range(40):
        down = KERNELS[name].weight(np.arange(-30, 50) - rows[n], steps[0])
        across = KERNELS[name].weight(np.arange(-30, 50) - cols[n], steps[1])
        share = np.outer(down / down.sum(), across / across.sum())[30:50, 30:47, None]
        valid = np.isfinite(values)
        weight = (share * valid).sum(axis=(0, 1))
        wanted = np.where(weight >= 0.5, (share * np.where(valid, values, 0)).sum(axis=(0, 1)) / weight, np.nan)
        clear = np.abs(weight - 0.5) > 1e-5
        np.testing.assert_allclose(found[n][clear], wanted[clear], rtol=1e-4, atol=1e-5)


@settings(max_examples=50)
@given(st.floats(-0.5, 0.5), st.floats(0.3, 6))
def test_every_pixel_with_a_weight_is_reached(shift, step):
    for name, weight in (("bilinear", triangle), ("cubic", keys), ("average", box)):
        taps = KERNELS[name].taps(step)
        place = np.arange(-20, 21)
        beyond = (place < np.floor(shift) + 1 - taps) | (place > np.floor(shift) + taps)
        assert np.abs(weight(place[beyond] - shift, step)).max() < 1e-9


def test_each_place_is_computed_by_itself(monkeypatch):
    rows, cols = at_random(50)
    whole = interpolate(VALUES, rows, cols, KERNELS["cubic"], (1.7, 1.3))
    monkeypatch.setattr("hsikit.convert.interpolate.AT_ONCE", 20)
    np.testing.assert_array_equal(interpolate(VALUES, rows, cols, KERNELS["cubic"], (1.7, 1.3)), whole)
    np.testing.assert_array_equal(interpolate(VALUES, rows[7:9], cols[7:9], KERNELS["cubic"], (1.7, 1.3)), whole[7:9])
