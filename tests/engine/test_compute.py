"""Every kind of stage: tiles of any size equal the whole, whatever the number of threads."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.engine import RunOptions, compute
from hsikit.errors import MemoryPlanError, SceneError
from hsikit.geo.grid import Window

from .toys import BANDS, COLS, ROWS, SHAPES, Memory, diffusion, job, learning, mean_filter, odd_scene, standardise

WHOLE = 512


def layers_of(make, tile, threads=1, source=None, **more):
    return compute(make(), {"cube": source or Memory(odd_scene())}, options=RunOptions(tile=tile, threads=threads, **more))


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=6, deadline=None)
@given(tile=st.integers(5, 90), threads=st.integers(1, 3))
def test_tiled_equals_whole(name, tile, threads):
    whole = layers_of(SHAPES[name], WHOLE).layers
    tiled = layers_of(SHAPES[name], tile, threads).layers
    assert whole
    for layer, values in whole.items():
        np.testing.assert_array_equal(np.isnan(tiled[layer]), np.isnan(values))
        np.testing.assert_allclose(np.nan_to_num(tiled[layer]), np.nan_to_num(values), rtol=0, atol=1e-5 * np.ptp(np.nan_to_num(values)))


def test_mean_filter_equals_scipy():
    from scipy.ndimage import uniform_filter

    values = odd_scene().astype(float)
    bad = (values == -9999).sum(0) > 0.1 * BANDS
    first = np.where(bad, 0, values[0])
    with np.errstate(invalid="ignore"):
        expected = uniform_filter(first, 7, mode="constant") / uniform_filter((~bad).astype(float), 7, mode="constant")
    got = layers_of(mean_filter, 20).layers["mean"][0]
    np.testing.assert_array_equal(np.isnan(got), bad)
    np.testing.assert_allclose(got[~bad], expected[~bad], rtol=1e-5)


def test_loop_equals_one_long_loop():
    a = compute(diffusion(3, 4), {"cube": Memory(odd_scene())}, tile=17).layers["y"]
    b = compute(diffusion(1, 12), {"cube": Memory(odd_scene())}, tile=40).layers["y"]
    np.testing.assert_allclose(a, b, rtol=1e-5)


def test_statistics_do_not_depend_on_threads():
    stores = [layers_of(standardise, 16, threads).store["moments"] for threads in (1, 2, 4)]
    for other in stores[1:]:
        assert all(torch.equal(stores[0][key], other[key]) for key in stores[0])
    other = layers_of(standardise, 64).store["moments"]
    for key in other:
        torch.testing.assert_close(stores[0][key], other[key], rtol=1e-10, atol=0)


def test_strips_are_read_once():
    source = Memory(odd_scene())
    layers_of(mean_filter, 16, 2, source)
    rows = [row for window in source.reads for row in range(window.row, window.row_end)]
    assert sorted(rows) == list(range(ROWS))


def test_only_tiles_with_wanted_pixels_are_read():
    source = Memory(odd_scene())
    whole = compute(mean_filter(), {"cube": Memory(odd_scene())}).layers["mean"]
    rows, cols = np.array([70, 70, 75]), np.array([50, 3, 20])
    values = compute(mean_filter(), {"cube": source}, at=(rows, cols), tile=10).values["mean"]
    np.testing.assert_allclose(values, whole[:, rows, cols], rtol=1e-6)
    assert min(window.row for window in source.reads) > 40


def test_area_is_cropped_and_sees_its_surroundings():
    whole = compute(mean_filter(), {"cube": Memory(odd_scene())}).layers["mean"]
    area = Window(30, 20, 25, 30)
    part = compute(mean_filter(), {"cube": Memory(odd_scene())}, options=RunOptions(area=area, tile=9)).layers["mean"]
    rows, cols = area.slices()
    np.testing.assert_allclose(part, whole[:, rows, cols], rtol=1e-6)


def test_statistics_of_an_area_see_nothing_else():
    area = Window(30, 20, 25, 30)
    part = odd_scene()[:, 30:55, 20:50]
    expected = compute(standardise(), {"cube": Memory(part)}).store["moments"]
    for tile in (7, 16, 200):
        got = compute(standardise(), {"cube": Memory(odd_scene())}, options=RunOptions(area=area, tile=tile)).store["moments"]
        for key in expected:
            torch.testing.assert_close(got[key], expected[key], rtol=1e-10, atol=0)


class Left:
    """Hides the left half."""

    identity = ("left",)

    def read(self, window):
        cols = np.arange(window.col, window.col_end) < COLS // 2
        return np.broadcast_to(cols, window.shape)


def test_mask_hides():
    got = layers_of(standardise, 16, mask=Left())
    whole = layers_of(standardise, 16)
    assert np.isnan(got.layers["z"][:, :, : COLS // 2]).all()
    assert np.isfinite(got.layers["z"][0, -1, COLS // 2 :]).all()
    assert not torch.equal(got.store["moments"]["mean"], whole.store["moments"]["mean"])


def test_fit_is_seeded():
    a, b = (compute(learning(), {"cube": Memory(odd_scene())}, tile=t, threads=n).store["fit"]["level"] for t, n in ((16, 1), (40, 3)))
    assert torch.equal(a, b)


def test_memory_too_small_names_the_option():
    with pytest.raises(MemoryPlanError, match="--memory"):
        layers_of(mean_filter, None, memory=2**20)


def test_a_failing_method_fails_the_run():
    from hsikit.layers import Layer
    from hsikit.method import Map

    def apply(tile, store):
        raise ZeroDivisionError("in a worker")

    with pytest.raises(ZeroDivisionError, match="in a worker"):
        compute(job([Map("bad", ("cube",), ("x",), apply)], [Layer("x")]), {"cube": Memory(odd_scene())}, tile=8, threads=3)


def test_statistics_of_an_empty_scene_are_refused():
    with pytest.raises(SceneError, match="memory: no valid pixel"):
        compute(standardise(), {"cube": Memory(np.full((BANDS, 20, 20), -9999, "int16"))})


def test_a_scene_of_wide_blocks_is_read_in_panels():
    whole = compute(mean_filter(), {"cube": Memory(odd_scene())}).layers["mean"]
    source = Memory(odd_scene(), block=(16, 16))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsikit.engine.plan.STRIP_SHARE", 1e-12)
        patch.setattr("hsikit.engine.plan.PANEL", 32)
        part = compute(mean_filter(), {"cube": source}, options=RunOptions(tile=8, threads=2)).layers["mean"]
    np.testing.assert_allclose(part, whole, rtol=1e-6)
    assert max(window.cols for window in source.reads) <= 32 + 2 * 3
    reads = [(window.row, window.col) for window in source.reads]
    assert len(reads) == len(set(reads))
