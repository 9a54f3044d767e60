"""Quicklooks: the choice of bands, sampling within bounds, and the PNG itself."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread

import hsikit.viz.quicklook as module
from hsikit.errors import OptionError, OutputError, WavelengthError
from hsikit.geo.grid import Grid
from hsikit.scene import Bands, Decoding, Raw, SceneInfo
from hsikit.viz.quicklook import draw_rgb, limits, quicklook, rgb_bands, sample, to_unit


def axis(centres, bad=()):
    good = np.ones(len(centres), bool)
    good[list(bad)] = False
    return Bands(np.asarray(centres, float), np.full(len(centres), np.nan), good, ("",) * len(centres))


class Memory:
    def __init__(self, shape, block=(1, 10), centres=(460.0, 550.0, 640.0, 860.0)):
        self.info = SceneInfo("x", Grid(shape), axis(centres), "float32", "array")
        self.block, self.reads = block, []
        self.values = np.random.default_rng(0).random((len(centres), *shape), np.float32)

    def read(self, window, bands):
        assert window == window.intersect(self.info.grid.whole) and window.size
        self.reads.append((window, bands.tolist()))
        return Raw(self.values[bands][(slice(None), *window.slices())], window, Decoding())

    def close(self):
        pass


@pytest.mark.parametrize(
    ("centres", "bad", "chosen", "name"),
    [
        (np.arange(400, 1001, 10), (), (24, 15, 7), "true colour (640, 550, 470 nm)"),
        (np.arange(400, 1001, 10), (24, 15), (23, 14, 7), "true colour (630, 540, 470 nm)"),
        ([490, 560, 665, 842], (), (2, 1, 0), "true colour"),
        ([550, 650, 860], (), (2, 1, 0), "near-infrared false colour"),
        (np.arange(1000, 2500, 10), (), (120, 65, 25), "short-wave infrared false colour"),
        (np.arange(8000, 12500, 100), (), (40, 26, 6), "thermal infrared false colour"),
        ([700, 710, 720, 730, 740], (), (4, 2, 0), "false colour (740, 720, 700 nm)"),
        ([600], (), (0, 0, 0), "grey (600 nm)"),
        ([np.nan], (), (0, 0, 0), "grey"),
        ([460, 550, 640], (0, 1, 2), (2, 1, 0), "true colour"),
    ],
)
def test_choice_of_bands(centres, bad, chosen, name):
    choice = rgb_bands(axis(centres, bad))
    assert choice.indices == chosen and choice.name.startswith(name)


def test_own_choice_of_bands():
    assert rgb_bands(axis([460, 550, 640, 860]), (860, 640, 550)).indices == (3, 2, 1)
    with pytest.raises(WavelengthError, match="2200 nm"):
        rgb_bands(axis([460, 550, 640]), (2200, 640, 550))
    with pytest.raises(OptionError, match="2 wavelengths"):
        rgb_bands(axis([460, 550, 640]), (640, 550))


@settings(max_examples=150, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)), block=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    size=st.integers(1, 70), limit=st.integers(3, 4000), bands=st.lists(st.integers(0, 3), min_size=1, max_size=3),
)  # fmt: skip
def test_sample_equals_slicing_in_bounded_windows(shape, block, size, limit, bands):
    source = Memory(shape, block)
    before, module.STRIP_PIXELS = module.STRIP_PIXELS, limit
    try:
        got = sample(source, bands, size)
    finally:
        module.STRIP_PIXELS = before
    step = -(-max(shape) // size)
    np.testing.assert_array_equal(got, source.values[bands][:, ::step, ::step])
    assert max(got.shape[1:]) <= size
    assert all(w.size * len(b) <= max(limit, len(b) * block[1]) for w, b in source.reads)


def test_plain_rows_are_read_only_where_sampled():
    source = Memory((100, 30), (1, 30))
    sample(source, [0], 10)
    assert [w.row for w, _ in source.reads] == list(range(0, 100, 10)) and all(w.rows == 1 for w, _ in source.reads)


def test_stretch_and_missing():
    values = np.stack([np.arange(101.0), np.full(101, 5.0), np.arange(101.0) * 2]).astype(np.float32).reshape(3, 1, 101)
    values[1, 0, 7] = np.nan
    bounds = limits(values, (10, 90))
    seen = np.delete(np.arange(101.0), 7)
    np.testing.assert_allclose(bounds[0], np.percentile(seen, [10, 90]))
    unit = to_unit(values, bounds)
    assert np.isnan(unit[:, 0, 7]).all() and unit[0, 0, 0] == 0 and unit[0, 0, 100] == 1
    with pytest.raises(OptionError, match="percentiles"):
        limits(values, (98, 2))


def test_png_is_transparent_where_nodata(tmp_path):
    source = Memory((50, 40))
    source.values[1, 10:20, 5:9] = np.nan
    choice = quicklook(source, tmp_path / "q.png")
    assert choice.indices == (2, 1, 0) and {tuple(b) for _, b in source.reads} == {(0, 1, 2)}
    picture = imread(tmp_path / "q.png")
    assert picture.shape == (50, 40, 4)
    hidden = np.zeros((50, 40), bool)
    hidden[10:20, 5:9] = True
    np.testing.assert_array_equal(picture[..., 3] == 0, hidden)
    expected = to_unit(source.values[[2, 1, 0]], limits(source.values[[2, 1, 0]], (2, 98)))
    np.testing.assert_allclose(picture[~hidden][:, :3], np.moveaxis(expected, 0, -1)[~hidden], atol=0.5 / 255 + 1e-6)
    assert [p.name for p in tmp_path.iterdir()] == ["q.png"]


def test_scene_without_any_value(tmp_path):
    source = Memory((5, 6))
    source.values[:] = np.nan
    quicklook(source, tmp_path / "q.png")
    assert (imread(tmp_path / "q.png")[..., 3] == 0).all()


def test_output_refused(tmp_path):
    with pytest.raises(OutputError, match=r"q\.png.*does not exist"):
        quicklook(Memory((5, 6)), tmp_path / "none" / "q.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match=r"folder\.png"):
        quicklook(Memory((5, 6)), tmp_path / "folder.png")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]
    with pytest.raises(OptionError, match="max_size"):
        quicklook(Memory((5, 6)), tmp_path / "q.png", max_size=0)


@pytest.mark.parametrize(
    ("shape", "size"), [((400, 60), (6.4, 4.8)), ((100, 100), (2.0, 2.0)), ((300, 300), (6.4, 4.8)), ((60, 900), (4.0, 3.0)), ((400, 12), (3.0, 3.0))]
)
def test_map_coordinates_do_not_overlap(shape, size):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    grid = Grid(shape, (30.0, 0.0, 399_960.0, 0.0, -30.0, 5_800_020.0), "EPSG:32633")
    ax = draw_rgb(np.full((*shape, 3), 0.5, np.float32), grid, "picture", figure.add_subplot())
    figure.draw_without_rendering()
    left, right = ax.get_xlim()
    shown = [tick.label1.get_window_extent() for tick in ax.xaxis.get_major_ticks() if left <= tick.get_loc() <= right]
    assert len(shown) >= 1
    assert all(one.x1 < other.x0 for one, other in pairwise(shown))
