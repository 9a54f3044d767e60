"""Local RX against brute force, one pixel and one ring at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.engine import compute
from hsikit.errors import OptionError, SceneError
from hsikit.metrics.detection import roc_area
from hsikit.tasks.detection.local_rx import LocalRX, ring_distances
from hsikit.tasks.detection.ring_moments import FLOOR
from tests.engine.toys import Memory
from tests.tasks.detection.test_rx import gaussian_scene

SMALL = {"components": 4, "inner": 3, "outer": 9}


def run(source: Memory, method: LocalRX, **how: int) -> np.ndarray:
    return compute(method.bind({"cube": source.info}), {"cube": source}, layers=["scores"], **how).layers["scores"][0]


def brute_force(values: np.ndarray, components: int, inner: int, outer: int, shrinkage: float = 0.1) -> np.ndarray:
    """The definition: whiten, cut out each ring, take its mean and covariance."""
    valid = ~np.isnan(values).any(0)
    spectra = values[:, valid].T.astype(float)
    variances, vectors = np.linalg.eigh(np.cov(spectra.T))
    project = vectors[:, -components:] / np.sqrt(variances[-components:])
    white = np.einsum("crs,ck->rsk", np.nan_to_num(values.astype(float)) - spectra.mean(0)[:, None, None], project)
    out = np.full(valid.shape, np.nan)
    for row, col in np.argwhere(valid):
        ring = valid.copy()
        ring[: max(0, row - outer // 2)] = ring[row + outer // 2 + 1 :] = False
        ring[:, : max(0, col - outer // 2)] = ring[:, col + outer // 2 + 1 :] = False
        ring[max(0, row - inner // 2) : row + inner // 2 + 1, max(0, col - inner // 2) : col + inner // 2 + 1] = False
        near = white[ring]
        mean, covariance = np.zeros(components), np.eye(components)
        if len(near) > components:
            mean, covariance = near.mean(0), np.cov(near.T, bias=True).reshape(components, components)
            level = np.trace(covariance) / components
            covariance = (1 - shrinkage) * covariance + (shrinkage * level + FLOOR) * np.eye(components)
        apart = white[row, col] - mean
        out[row, col] = apart @ np.linalg.solve(covariance, apart)
    return out


@pytest.mark.parametrize("options", [SMALL, {"components": 1, "inner": 1, "outer": 3}, {"components": 6, "inner": 5, "outer": 41, "shrinkage": 0.3}])
def test_equals_brute_force(options: dict[str, float]) -> None:
    source = gaussian_scene()
    source = Memory(source.values[:, 30:61, 20:47].copy(), nodata=None)  # a part of its hole included
    source.values[:, 15:17] = np.nan
    source.values[:, 20:30, 3:13] = np.nan
    source.values[:, 24, 8] = source.values[:, 0, 0] + 30  # alone in a hole: measured by the scene
    expected = brute_force(source.values, **options)
    found = run(source, LocalRX(**options), tile=16)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=6)
@given(st.integers(12, 80))
def test_tiles_of_any_size_give_the_same(tile: int) -> None:
    source = gaussian_scene()
    job = LocalRX(pfa=0.01, **SMALL).bind({"cube": source.info})
    whole, cut = (compute(job, {"cube": source}, layers=["scores"], tile=side) for side in (100, tile))
    np.testing.assert_allclose(cut.layers["scores"], whole.layers["scores"], rtol=1e-5)
    np.testing.assert_allclose(cut.features["hits"].points, whole.features["hits"].points)


def test_the_score_does_not_depend_on_gain_and_offset_of_bands() -> None:
    source = gaussian_scene(bands=4)
    plain = run(source, LocalRX(**SMALL))
    gain = np.array([2.0, 0.5, 3.0, -1.0])[:, None, None]
    changed = Memory((source.values * gain + 100).astype(np.float32), nodata=None)
    np.testing.assert_allclose(run(changed, LocalRX(**SMALL)), plain, rtol=0.02, atol=0.05)  # all components are kept; float32 in between


def test_full_shrinkage_leaves_the_distance_to_the_mean_alone() -> None:
    rng = np.random.default_rng(0)
    white = torch.from_numpy(rng.normal(size=(3, 9, 9)))
    found = ring_distances(white, torch.ones(9, 9, dtype=torch.bool), 1, 9, 1.0)
    ring = np.delete(white.numpy().reshape(3, -1), 40, axis=1)
    level = ring.var(axis=1).mean() + FLOOR
    assert float(found[0, 0]) == pytest.approx(((white.numpy()[:, 4, 4] - ring.mean(1)) ** 2).sum() / level)


def test_a_ring_of_equal_pixels_gives_a_number() -> None:
    source = gaussian_scene()
    source.values[:, 5:20, 5:20] = source.values[:, 5:6, 5:6]
    assert np.isfinite(run(source, LocalRX(**SMALL))[5:20, 5:20]).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pfa": 2.0}, "--pfa"), ({"components": 0}, "components"), ({"inner": 4}, "-p inner: 4"), ({"outer": 999}, "-p outer: 999"),
        ({"shrinkage": 0.0}, "shrinkage"), ({"inner": 25}, "ring of 0 pixels"), ({"inner": 5, "outer": 7}, "ring of 24 pixels"),
        ({"inner": 31}, "ring of 0 pixels"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        LocalRX(**options)


def test_scenes_that_have_no_such_components_are_named() -> None:
    source = gaussian_scene()
    with pytest.raises(SceneError, match=r"has 12 good bands, and 20 components are asked for\. Ask for fewer: -p components=5"):
        LocalRX().bind({"cube": source.info})
    source.values[5] = source.values[4]
    with pytest.raises(SceneError, match="has 11 components that vary, and 12 are asked for"):
        run(source, LocalRX(components=12))
    with pytest.raises(SceneError, match="1 valid pixels are too few for 4 components"):
        run(Memory(source.values[:, :1, :1], nodata=None), LocalRX(**SMALL))


def test_real_scene_reaches_the_known_area(shared_data: Path) -> None:
    from scipy.io import loadmat

    found = loadmat(shared_data / "detection" / "abu-beach-1.mat")
    source = Memory(np.ascontiguousarray(found["data"].astype(np.float32).transpose(2, 0, 1)), nodata=None)
    assert roc_area(run(source, LocalRX()), found["map"]) == pytest.approx(0.9980, abs=2e-3)
