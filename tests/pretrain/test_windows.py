from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hsikit.errors import OptionError, SceneError, WavelengthError
from hsikit.geo.grid import Window
from hsikit.pretrain.verb import simulated_supplies
from hsikit.pretrain.views import make_example
from hsikit.pretrain.windows import SIDE, SceneSupply, SimulatedSupply
from hsikit.sensors.masking import MaskedSource
from hsikit.simulate.library import sensor_bands
from tests.pretrain.scenes import scene


def test_windows_of_a_scene_are_read_one_by_one() -> None:
    source = scene(30, rows=200, cols=150)
    supply = SceneSupply(source)
    found = supply.draw(3, 5, 16, 0)
    assert source.largest <= SIDE * SIDE < 200 * 150 / 4
    assert found.values.shape == (5, 16, 16, 30) and np.isfinite(found.values).all()
    again, other = supply.draw(3, 5, 16, 0), supply.draw(4, 5, 16, 0)
    np.testing.assert_array_equal(found.values, again.values)
    assert not np.array_equal(found.values, other.values)


def test_a_window_is_what_the_scene_has_there() -> None:
    source = scene(12)
    found = SceneSupply(source).draw(0, 1, 16, 0)
    cube = np.moveaxis(source._values, 0, -1)
    view = np.lib.stride_tricks.sliding_window_view(cube, (16, 16), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    wanted = np.where(found.usable[0][..., None], found.values[0], np.nan)
    assert any(np.array_equal(each, wanted, equal_nan=True) for row in view for each in row)


def test_statistics_leave_out_what_has_no_data() -> None:
    source = scene(8, rows=100, cols=90, missing=0.5)
    known = source._values[:, 50:].reshape(8, -1).astype(float)
    found = SceneSupply(source).statistics
    np.testing.assert_allclose(found.mean, known.mean(1), rtol=1e-5)
    np.testing.assert_allclose(found.covariance, np.cov(known, bias=True), rtol=1e-4)


def test_windows_lie_where_a_mask_leaves_half_of_them() -> None:
    source = scene(8, rows=300, cols=400)
    inside = np.zeros((300, 400), bool)
    inside[200:230, 300:330] = True  # less than one in a hundred

    class Area:
        identity, said = ("area",), "area"

        def read(self, window: Window) -> np.ndarray:
            return ~inside[window.slices()]

        def close(self) -> None:
            pass

    supply = SceneSupply(MaskedSource(source, Area()))
    found = supply.draw(0, 20, 16, 0)
    assert (found.usable.mean((1, 2)) >= 0.5).all() and supply.identity != SceneSupply(source).identity
    known = source._values[:, inside].astype(float)
    np.testing.assert_allclose(supply.statistics.mean, known.mean(1), rtol=1e-5)


def test_scenes_that_cannot_be_used() -> None:
    with pytest.raises(WavelengthError, match="needs 4"):
        SceneSupply(scene(20, first=8000.0, last=12000.0))
    with pytest.raises(SceneError, match="no window of 16 x 16"):
        SceneSupply(scene(6, rows=10)).draw(0, 1, 16, 0)
    with pytest.raises(SceneError, match="none has data"):
        SceneSupply(scene(6, missing=1.0)).draw(0, 1, 16, 0)
    mostly = scene(6, rows=40, missing=0.9)
    with pytest.raises(SceneError, match=r"half of its pixels"):
        SceneSupply(mostly).draw(0, 1, 32, 0)


def test_bad_bands_and_thermal_ones_are_left_out() -> None:
    source = scene(20, first=500.0, last=3500.0)
    source.info = source.info.with_(bands=replace(source.info.bands, good=np.arange(20) != 2))
    supply = SceneSupply(source)
    assert 2 not in supply.bands and source.info.bands.wavelength[supply.bands].max() <= 2520


def test_simulations_repeat() -> None:
    (supply,) = simulated_supplies(["DESIS"])
    one, again = supply.draw(5, 3, 16, 1), SimulatedSupply("desis", *sensor_bands("desis")).draw(5, 3, 16, 1)
    np.testing.assert_array_equal(one.values, again.values)
    assert not np.array_equal(one.values, one.clean) and one.usable.all()
    with pytest.raises(OptionError, match="not known"):
        simulated_supplies(["no such"])


def test_both_views_are_standardised() -> None:
    windows = SceneSupply(scene(60, rows=80, cols=80, missing=0.0)).draw(0, 30, 16, 0)
    for seed in range(6):
        example = make_example(windows, np.random.default_rng(seed), ("sentinel-2", "prisma"))
        assert example.other is not None
        for view in (example.own, example.other):
            values = view.values.movedim(1, -1)[example.usable][:, view.bands.valid]
            assert float(values.mean(0).abs().max()) < 0.5 and 0.6 < float(values.std(0).mean()) < 1.4
    assert make_example(windows, None).other is None


def test_a_constant_band_does_not_count() -> None:
    source = scene(10, missing=0.0)
    source._values[4] = 3.0
    example = make_example(SceneSupply(source).draw(0, 2, 16, 0), np.random.default_rng(0))
    assert not example.own.bands.valid[4] and int(example.own.bands.valid.sum()) == 9
    assert torch.isfinite(example.own.values).all() and torch.isfinite(example.target).all() and torch.isfinite(example.detail).all()
