"""The benchmark's network: its size, what it sees, and that tiles give what the whole scene gives."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks.network import HALO, WIDTH, Network, PatchNetwork, classify, parameters
from hsikit.engine import compute
from hsikit.geo.grid import Window
from hsikit.method import Tile
from hsikit.scene import read_window

from ..engine.toys import Memory, odd_scene

BANDS = 7


@pytest.fixture(scope="module")
def network():
    generator = torch.Generator().manual_seed(1)
    return PatchNetwork(torch.rand(BANDS, generator=generator) * 1000, 500 + torch.rand(BANDS, generator=generator) * 100, seed=3)


def plain(network, values, mean, deviation):
    """The same network without folding, matrix product or memory format: standardise, then convolve."""
    weight = network.weight.T * deviation
    bias = network.bias + network.weight.T @ mean
    image = functional.conv2d(((values - mean[:, None, None]) / deviation[:, None, None])[None], weight[:, :, None, None], bias)
    for layer in network.middle:
        image = functional.conv2d(image.relu(), layer.weight.contiguous(), layer.bias)
    return functional.conv2d(image.relu(), network.last.weight.contiguous(), network.last.bias)[0]


def test_network_has_four_hundred_thousand_parameters_at_200_bands():
    module = Network().module(200)
    assert parameters(200) == sum(p.numel() for p in module.parameters())
    assert 0.38e6 < parameters(200) < 0.44e6


def test_folded_network_equals_the_plain_one():
    generator = torch.Generator().manual_seed(2)
    mean, deviation = torch.rand(BANDS, generator=generator), 0.5 + torch.rand(BANDS, generator=generator)
    network = PatchNetwork(mean, deviation, seed=5)
    values = torch.rand(BANDS, 21, 18, generator=generator)
    found = network(values, torch.ones(21, 18, dtype=torch.bool))
    expected = plain(network, values, mean, deviation)
    assert found.shape == (12, 21 - 2 * HALO, 18 - 2 * HALO)
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


def test_receptive_field_is_fifteen(network):
    values = torch.rand(BANDS, 31, 31, requires_grad=True)
    network(values, torch.ones(31, 31, dtype=torch.bool))[:, 8, 8].sum().backward()
    touched = values.grad.abs().sum(0) > 0
    rows, cols = (np.flatnonzero(touched.any(dim=axis).numpy()) for axis in (1, 0))
    assert (rows[0], rows[-1], cols[0], cols[-1]) == (8, 22, 8, 22)


def test_invalid_pixels_count_as_the_mean_spectrum(network):
    values, valid = torch.rand(BANDS, 17, 17) * 1000, torch.ones(17, 17, dtype=torch.bool)
    valid[3:6, 2:9] = False
    missing = values.clone()
    missing[:, ~valid] = float("nan")
    mean = torch.linalg.lstsq(network.weight.T, network.fill[:, None] - network.bias[:, None]).solution[:, 0]
    filled = values.clone()
    filled[:, ~valid] = mean[:, None]
    found, expected = network(missing, valid), network(filled, torch.ones_like(valid))
    assert torch.isfinite(found).all()
    assert torch.allclose(found, expected, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("tile", [19, 40])
def test_tiles_give_what_the_whole_scene_gives(tile):
    source = Memory(odd_scene())
    method = Network(mean=2500.0, deviation=1400.0)
    tiled = compute(method.bind({"cube": source.info}), {"cube": source}, tile=tile, threads=2).layers["map"][0]
    rows, cols = source.info.grid.shape
    values = np.full((BANDS, rows + 2 * HALO, cols + 2 * HALO), np.nan, np.float32)
    values[:, HALO:-HALO, HALO:-HALO] = read_window(source, Window(0, 0, rows, cols))
    gaps = np.isnan(values)
    valid = gaps.sum(0) <= 0.1 * BANDS
    whole = Tile({"cube": torch.from_numpy(values)}, {"cube": torch.from_numpy(valid)}, {}, {}, Window(0, 0, rows, cols))
    expected = classify(method.module(BANDS), whole)[0].numpy()
    expected[~valid[HALO:-HALO, HALO:-HALO]] = 0
    assert len(np.unique(tiled)) > 2
    assert (tiled != expected).mean() < 1e-3
    assert ((tiled == 0) == (expected == 0)).all()


def test_bf16_scores_are_those_of_float32_to_three_digits(network):
    values, valid = torch.rand(BANDS, 21, 18) * 1000, torch.ones(21, 18, dtype=torch.bool)
    valid[4:7, 2:9] = False
    expected = network(values, valid)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = network(values, valid)
    assert found.dtype == torch.bfloat16
    assert float((found.float() - expected).abs().max()) < 0.1 * float(expected.max() - expected.min())


def test_cost_grows_with_the_tile():
    info = Memory(odd_scene()).info
    job = Network().bind({"cube": info})
    assert job.cost((50, 60)).bytes >= 5 * 4 * WIDTH * 50 * 60
    assert job.cost((50, 60)).flops == 2 * 50 * 60 * parameters(BANDS)
