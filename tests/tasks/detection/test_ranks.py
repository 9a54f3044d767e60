"""Ranks by histogram against SciPy's, cut into tiles in any way."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from hsikit.geo.grid import Window
from hsikit.method import Tile
from hsikit.tasks.detection.ranks import BINS, rank_stages, ranks

LAYERS = ("one", "two")


def tile_of(values: np.ndarray) -> Tile:
    """Band 0 and 1 as two layers of one row."""
    arrays = {name: torch.from_numpy(values[i : i + 1, None].copy()) for i, name in enumerate(LAYERS)}
    whole = dict.fromkeys(LAYERS, (slice(0, 1), slice(0, values.shape[1])))
    return Tile(arrays, {}, {}, whole, Window(0, 0, 1, values.shape[1]))


def ranked(values: np.ndarray, cuts: int) -> np.ndarray:
    store = {}
    parts = np.array_split(values, cuts, axis=1)
    for stage in rank_stages("ranks", LAYERS):
        total = None
        for part in parts:
            partial = stage.update(tile_of(part), store)
            if partial is not None:
                total = partial if total is None else stage.merge(total, partial)
        store[stage.name] = stage.finish(total, store)
    return np.concatenate([ranks(tile_of(part), store, "ranks", LAYERS)[:, 0].numpy() for part in parts], axis=1)


@settings(max_examples=20)
@given(st.integers(20, 300), st.integers(1, 5), st.integers(0, 100))
def test_ranks_equal_scipy_to_the_width_of_a_bin(n: int, cuts: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 1, (2, n)).astype(np.float32)
    values[1] = rng.integers(0, 8, n)
    values[:, rng.integers(0, n)] = np.nan
    found = ranked(values, cuts)
    there = ~np.isnan(values[0])
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
    count = there.sum()
    places = (values[:, there] - values[:, there].min(1, keepdims=True)) / np.ptp(values[:, there], axis=1)[:, None] * BINS
    crowded = max(np.bincount(row.astype(int)).max() for row in places)
    for own, row in zip(found, values, strict=True):
        expected = (rankdata(row[there]) - 0.5) / count
        assert np.abs(own[there] - expected).max() <= crowded / count
        assert (np.diff(own[there][np.argsort(row[there])]) >= -1e-12).all()


def test_the_many_lowest_share_the_middle_of_their_ranks() -> None:
    values = np.zeros((2, 100), np.float32)
    values[:, 80:] = np.arange(1, 21)
    found = ranked(values, 3)
    np.testing.assert_allclose(found[:, :80], 0.4, atol=1e-12)
    assert (np.diff(found[:, 80:]) > 0.008).all() and found.max() <= 1.0


def test_a_constant_layer_has_one_rank() -> None:
    assert len(np.unique(ranked(np.full((2, 30), 5.0, np.float32), 2))) == 1
