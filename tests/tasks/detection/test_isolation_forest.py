"""Isolation forest against scikit-learn's own scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest as Oracle

from hsikit.engine import compute
from hsikit.errors import OptionError, SceneError
from hsikit.metrics.detection import roc_area
from hsikit.tasks.detection.isolation_forest import SAMPLE, IsolationForest, isolation, isolation_trees
from tests.engine.toys import Memory
from tests.tasks.detection.test_rx import gaussian_scene

SMALL = {"components": 4, "trees": 20, "tree_pixels": 64}


def run(source: Memory, method: IsolationForest, **how: int) -> np.ndarray:
    return compute(method.bind({"cube": source.info}), {"cube": source}, layers=["scores"], **how).layers["scores"][0]


@settings(max_examples=8, deadline=None)
@given(st.integers(2, 300), st.integers(2, 256), st.integers(0, 5))
def test_equals_scikit_learn(count: int, tree_pixels: int, seed: int) -> None:
    """Equal pixels among them, which no cut parts."""
    rng = np.random.default_rng(seed)
    sample = rng.normal(size=(count, 5)).astype(np.float32).round(1)
    pixels = np.concatenate((sample, 3 * rng.normal(size=(200, 5)).astype(np.float32)))
    own = min(tree_pixels, count)
    expected = -Oracle(n_estimators=7, max_samples=own, random_state=seed).fit(sample).score_samples(pixels)
    forest = {name: torch.from_numpy(array) for name, array in isolation_trees(sample, 7, tree_pixels, seed).items()}
    as_they_are = {**forest, "mean": torch.zeros(5, dtype=torch.float64), "project": torch.eye(5, dtype=torch.float64)}
    found = isolation(torch.from_numpy(pixels.T.copy())[:, None], torch.ones(1, len(pixels), dtype=torch.bool), as_they_are)
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)


def test_a_scene_is_scored_by_a_forest_grown_on_its_pixels() -> None:
    """All pixels of a small scene are drawn, in the order of their numbers."""
    from tests.tasks.detection.test_drawn_pixels import split_mix

    source = gaussian_scene()
    source.values[:, 50, 30] += 5e3
    valid = ~np.isnan(source.values).any(0)
    assert valid.sum() <= SAMPLE
    spectra = source.values[:, valid].T.astype(float)
    variances, vectors = np.linalg.eigh(np.cov(spectra.T))
    kept = vectors[:, :-5:-1]
    kept = kept * np.sign(kept[np.abs(kept).argmax(0), range(4)])
    white = ((spectra - spectra.mean(0)) @ kept / np.sqrt(variances[:-5:-1])).astype(np.float32)
    order = np.argsort(split_mix(*np.nonzero(valid), 3))
    expected = -Oracle(n_estimators=20, max_samples=64, random_state=3).fit(white[order]).score_samples(white)
    found = run(source, IsolationForest(seed=3, **SMALL))
    # Where a cut falls on a pixel, the last digit of a component decides: hardly ever.
    apart = np.abs(found[valid] - expected)
    assert np.median(apart) < 1e-6 and (apart > 1e-5).mean() < 0.01
    np.testing.assert_array_equal(np.isnan(found), ~valid)
    assert found[50, 30] > np.nanquantile(found, 0.99)


@settings(max_examples=4)
@given(st.integers(5, 80))
def test_tiles_of_any_size_give_the_same(tile: int) -> None:
    source = gaussian_scene()
    job = IsolationForest(pfa=0.01, **SMALL).bind({"cube": source.info})
    whole, cut = (compute(job, {"cube": source}, layers=["scores"], tile=side) for side in (100, tile))
    expected = whole.layers["scores"]
    np.testing.assert_allclose(cut.layers["scores"], expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(cut.features["hits"].points, whole.features["hits"].points)


def test_the_seed_decides() -> None:
    source = gaussian_scene()
    first, again, other = (run(source, IsolationForest(seed=seed, **SMALL)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.nanmax(np.abs(first - other)) > 1e-3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pfa": 2.0}, "--pfa"), ({"components": 0}, "components"), ({"trees": 0}, "trees"), ({"trees": 2001}, "trees"), ({"tree_pixels": 1}, "tree_pixels"),
        ({"tree_pixels": 4097}, "tree_pixels"), ({"seed": 1 << 32}, "seed"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        IsolationForest(**options)


def test_scenes_that_have_no_such_components_are_named() -> None:
    source = gaussian_scene()
    with pytest.raises(SceneError, match="has 12 good bands, and 20 components"):
        IsolationForest().bind({"cube": source.info})
    with pytest.raises(SceneError, match="1 valid pixels are too few for 4 components"):
        run(Memory(source.values[:, :1, :1], nodata=None), IsolationForest(**SMALL))


def test_real_scene(shared_data: Path) -> None:
    from scipy.io import loadmat

    found = loadmat(shared_data / "detection" / "abu-beach-1.mat")
    source = Memory(np.ascontiguousarray(found["data"].astype(np.float32).transpose(2, 0, 1)), nodata=None)
    assert roc_area(run(source, IsolationForest(trees=100)), found["map"]) > 0.95
