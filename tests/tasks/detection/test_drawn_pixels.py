"""Pixels drawn by a seed, against SplitMix64 in NumPy and for any tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.engine import compute
from hsikit.errors import OptionError
from hsikit.layers import Layer
from hsikit.method import Cost, Input, Job, Map, Reduce
from hsikit.tasks.detection.drawn_pixels import checked_seed, draw, merge_draws
from tests.engine.toys import Memory
from tests.tasks.detection.test_rx import gaussian_scene


def sampled(source: Memory, most: int, seed: int, tile: int) -> dict[str, np.ndarray]:
    stages = (
        Reduce("drawn", ("cube",), lambda tile, store: draw(tile, most, seed), lambda a, b: merge_draws(a, b, most)),
        Map("copy", ("cube",), ("scores",), lambda tile, store: {"scores": tile.inner("cube")[:1]}),
    )
    job = Job("toy", {}, "cube", {"cube": Input(tuple(range(len(source.values))))}, (Layer("scores"),), stages, lambda shape: Cost(0))
    return {name: value.numpy() for name, value in compute(job, {"cube": source}, layers=[], tile=tile).store["drawn"].items()}


def split_mix(rows: np.ndarray, cols: np.ndarray, seed: int) -> np.ndarray:
    """The generator's output for the state of a place, in the unsigned numbers that it is written for."""
    with np.errstate(over="ignore"):
        z = (rows.astype(np.uint64) << np.uint64(32)) + cols.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(seed + 1)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (z ^ (z >> np.uint64(31))).view(np.int64)


@settings(max_examples=8)
@given(st.integers(5, 80), st.sampled_from([1, 40, 10_000]), st.sampled_from([0, 7, 4_294_967_295]))
def test_the_sample_is_the_pixels_of_the_lowest_numbers_for_any_tiles(tile: int, most: int, seed: int) -> None:
    source = gaussian_scene()
    rows, cols = np.nonzero(~np.isnan(source.values).any(0))
    keys = split_mix(rows, cols, seed)
    order = np.argsort(keys)[:most]
    found = sampled(source, most, seed, tile)
    np.testing.assert_array_equal(found["keys"], keys[order])
    np.testing.assert_array_equal(found["places"], np.stack((rows, cols), 1)[order])
    np.testing.assert_array_equal(found["spectra"], source.values[:, rows[order], cols[order]].T)


def test_every_pixel_is_drawn_as_often_as_any_other() -> None:
    """Over seeds, a pixel's turn does not depend on where it lies, nor two pixels' turns on one another."""
    rows, cols = (each.ravel() for each in np.indices((20, 30)))
    drawn = np.zeros((400, 600))
    for seed in range(400):
        drawn[seed, np.argsort(split_mix(rows, cols, seed))[:60]] = 1
    share = drawn.mean(0)
    assert abs(share.mean() - 0.1) < 1e-12 and share.std() < 1.25 * np.sqrt(0.1 * 0.9 / 400)
    apart = np.corrcoef(drawn[:, :50].T)[np.triu_indices(50, 1)]
    assert np.abs(apart).max() < 5 / np.sqrt(400)


def test_nothing_is_drawn_where_nothing_is_valid() -> None:
    from hsikit.geo.grid import Window
    from hsikit.method import Tile

    core = (slice(0, 3), slice(0, 4))
    tile = Tile({"cube": torch.full((2, 3, 4), float("nan"))}, {"cube": torch.zeros(3, 4, dtype=torch.bool)}, {}, {"cube": core}, Window(0, 0, 3, 4))
    assert draw(tile, 5, 0) is None


@pytest.mark.parametrize("seed", [-1, 1 << 32])
def test_seeds_out_of_range_are_refused(seed: int) -> None:
    with pytest.raises(OptionError, match="-p seed"):
        checked_seed(seed)
