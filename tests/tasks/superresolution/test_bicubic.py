import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.engine import compute
from hsikit.errors import OptionError
from hsikit.tasks.superresolution.bicubic import Bicubic
from hsikit.tasks.superresolution.keys import keys_weights, resample_bytes
from tests.engine.toys import Memory, odd_scene


def run(source, zoom, **how):
    return compute(Bicubic(zoom).bind({"cube": source.info}), {"cube": source}, **how).layers["fine"]


def slow_line(line, positions):
    """Keys' formula written out for one line, its neighbours that are NaN left out."""
    out = np.full(len(positions), np.nan)
    for i, p in enumerate(positions):
        own = int(np.floor(p + 0.5))
        if np.isnan(line[own]):
            continue
        total = weight = 0.0
        for j in range(int(np.floor(p)) - 1, int(np.floor(p)) + 3):
            if 0 <= j < len(line) and not np.isnan(line[j]):
                s = abs(p - j)
                w = 1.5 * s**3 - 2.5 * s**2 + 1 if s <= 1 else -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2
                total, weight = total + w * line[j], weight + w
        out[i] = total / weight
    return out


def slow(band, zoom):
    rows, cols = ((np.arange(n * zoom) + 0.5) / zoom - 0.5 for n in band.shape)
    across = np.stack([slow_line(line, cols) for line in band])
    return np.stack([slow_line(line, rows) for line in across.T]).T


@pytest.mark.parametrize("zoom", [2, 3, 5, 8])
def test_equals_torch_where_nothing_is_missing(zoom):
    values = np.random.default_rng(1).normal(size=(4, 23, 31)).astype(np.float32)
    # PyTorch's anti-aliased form has a = -1/2 and drops the weights beyond the border, as ours does.
    expected = torch.nn.functional.interpolate(torch.from_numpy(values)[None].double(), scale_factor=zoom, mode="bicubic", antialias=True)[0]
    np.testing.assert_allclose(run(Memory(values), zoom, tile=11), expected, atol=2e-6)


@pytest.mark.parametrize("zoom", [2, 3])
def test_holes_are_left_out_and_keep_their_shape(zoom):
    values = odd_scene(rows=29, cols=27).astype(np.float32)
    values[values == -9999] = np.nan
    values[:, 3:6, 20] = values[:, 20, 5:9] = values[2, 12, 12] = np.nan
    # More than a tenth of 7 bands is missing there, so the whole pixel counts as missing.
    values[:, np.isnan(values).any(0)] = np.nan
    found = run(Memory(values), zoom, tile=64)
    expected = np.stack([slow(band, zoom) for band in values.astype(float)])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-3)
    assert (np.isnan(found) == np.isnan(values).repeat(zoom, 1).repeat(zoom, 2)).all()


def test_a_single_missing_band_is_missing_alone():
    values = np.random.default_rng(2).normal(size=(20, 12, 12)).astype(np.float32)
    values[7, 5, 6] = np.nan
    found = run(Memory(values), 2)
    assert np.isnan(found).sum() == 4
    np.testing.assert_allclose(found[7], slow(values[7].astype(float), 2), rtol=1e-4, atol=1e-6)


@settings(max_examples=12)
@given(st.integers(2, 8), st.integers(5, 70))
def test_tiles_of_any_size_give_the_same(zoom, tile):
    source = Memory(odd_scene(rows=41, cols=33, bands=5))
    np.testing.assert_allclose(run(source, zoom, tile=tile), run(source, zoom, tile=200), rtol=2e-6, atol=2e-3)


@settings(max_examples=30)
@given(st.floats(-1e3, 1e3, width=32, allow_subnormal=False), st.lists(st.integers(0, 7), min_size=8, max_size=8))
def test_a_constant_stays_constant_round_any_holes(level, holes):
    values = np.full((2, 8, 8), level, np.float32)
    for row, col in enumerate(holes):
        values[:, row, col] = np.nan
    found = run(Memory(values, nodata=None), 3)
    np.testing.assert_allclose(found[~np.isnan(found)], np.float32(level), rtol=1e-5)


def test_weights_reproduce_parabolas():
    rest = np.linspace(0, 0.999, 50)
    weights = keys_weights(rest)
    for power in (0, 1, 2):
        np.testing.assert_allclose((weights * (np.arange(-1, 3.0)[:, None] ** power)).sum(0), rest**power, atol=1e-14)


def test_the_spectral_axis_is_carried():
    info = Memory(odd_scene()).info.with_(sensor="enmap", quantity="surface_reflectance")
    layer = Bicubic(4).bind({"cube": info}).layers[0]
    assert (layer.wavelength, layer.fwhm, layer.good, layer.band_names) == (info.bands.wavelength, info.bands.fwhm, info.bands.good, info.bands.names)
    assert (layer.sensor, layer.quantity, layer.unit, layer.zoom, layer.bands) == ("enmap", "surface_reflectance", "1", 4, 7)


@pytest.mark.parametrize("zoom", [1, 9, 2.5, "2"])
def test_other_zooms_are_refused(zoom):
    with pytest.raises(OptionError, match="--zoom"):
        Bicubic(zoom)


def test_temporaries_do_not_grow_with_the_number_of_bands():
    assert resample_bytes(200, 512 * 512) == resample_bytes(2000, 512 * 512) < 32 * 2**20
