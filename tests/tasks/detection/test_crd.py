"""Collaborative representation against the weights themselves, one pixel and one ring at a time."""

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
from hsikit.tasks.detection.crd import Crd, residuals
from tests.engine.toys import Memory
from tests.tasks.detection.test_drawn_pixels import split_mix
from tests.tasks.detection.test_rx import gaussian_scene

SMALL = {"components": 4, "inner": 3, "outer": 9}


def run(source: Memory, method: Crd, **how: int) -> np.ndarray:
    return compute(method.bind({"cube": source.info}), {"cube": source}, layers=["scores"], **how).layers["scores"][0]


def components_of(values: np.ndarray, count: int) -> np.ndarray:
    """Projections (count, rows, cols) on the directions of the largest second moments."""
    spectra = values[:, ~np.isnan(values).any(0)].astype(float)
    vectors = np.linalg.eigh(spectra @ spectra.T)[1]
    return np.einsum("crs,ck->krs", np.nan_to_num(values.astype(float)), vectors[:, -count:])


def by_weights(own: np.ndarray, around: np.ndarray, penalty: float, share: float = 1.0) -> float:
    """The definition: the weights a that make |y - D a|^2 + penalty |Gamma a|^2 least, and what they leave; `share` counts each neighbour so many times."""
    costs = penalty * ((around - own) ** 2).sum(1) / share
    weights = np.linalg.solve(around @ around.T + np.diag(costs), around @ own)
    return float(np.linalg.norm(own - around.T @ weights))


def brute_force(values: np.ndarray, components: int, inner: int, outer: int, penalty: float) -> np.ndarray:
    valid = ~np.isnan(values).any(0)
    found = components_of(values, components)
    whole = outer**2 - inner**2
    rows, cols = np.nonzero(valid)
    order = np.argsort(split_mix(rows, cols, 0))[:whole]
    out = np.full(valid.shape, np.nan)
    for row, col in np.argwhere(valid):
        ring = valid.copy()
        ring[: max(0, row - outer // 2)] = ring[row + outer // 2 + 1 :] = False
        ring[:, : max(0, col - outer // 2)] = ring[:, col + outer // 2 + 1 :] = False
        ring[max(0, row - inner // 2) : row + inner // 2 + 1, max(0, col - inner // 2) : col + inner // 2 + 1] = False
        if ring.sum() <= components:
            ring = np.zeros_like(valid)
            ring[rows[order], cols[order]] = True
            ring[row, col] = False
        out[row, col] = by_weights(found[:, row, col], found[:, ring].T, penalty, whole / ring.sum())
    return out


@pytest.mark.parametrize("options", [{**SMALL, "penalty": 1e-3}, {"components": 1, "inner": 1, "outer": 3, "penalty": 10.0},
                                     {"components": 6, "inner": 5, "outer": 17, "penalty": 0.1}])  # fmt: skip
def test_equals_the_weights(options: dict[str, float]) -> None:
    source = gaussian_scene()
    source = Memory(source.values[:, 30:61, 20:47].copy(), nodata=None)  # a part of its hole included
    source.values[:, 15:17] = np.nan
    source.values[:, 20:30, 3:13] = np.nan
    source.values[:, 24, 8] = source.values[:, 0, 0] + 30  # alone in a hole: explained by the scene
    expected = brute_force(source.values, **options)
    np.testing.assert_allclose(run(source, Crd(**options), tile=16), expected, rtol=1e-5)


def test_residuals_equal_the_weights_at_the_usual_penalty() -> None:
    rng = np.random.default_rng(0)
    own, around = rng.normal(size=(30, 5)) + 4, rng.normal(size=(30, 60, 5)) * np.geomspace(1, 0.01, 5) + 4
    expected = [by_weights(y, d, 1e-6) for y, d in zip(own, around, strict=True)]
    found = residuals(torch.from_numpy(own), torch.from_numpy(around), torch.ones(30, 60, dtype=torch.bool), 1e-6)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@settings(max_examples=6)
@given(st.integers(12, 80))
def test_tiles_of_any_size_give_the_same(tile: int) -> None:
    source = gaussian_scene()
    job = Crd(pfa=0.01, **SMALL).bind({"cube": source.info})
    whole, cut = (compute(job, {"cube": source}, layers=["scores"], tile=side) for side in (100, tile))
    np.testing.assert_allclose(cut.layers["scores"], whole.layers["scores"], rtol=1e-5)
    np.testing.assert_allclose(cut.features["hits"].points, whole.features["hits"].points)


@pytest.mark.parametrize("gain", [1e-6, 1e4])
def test_the_score_has_the_unit_of_the_scene(gain: float) -> None:
    source = gaussian_scene()
    plain = run(source, Crd(**SMALL))
    np.testing.assert_allclose(run(Memory((source.values * gain).astype(np.float32), nodata=None), Crd(**SMALL)), gain * plain, rtol=0.01)


def test_equal_pixels_and_zeros_give_numbers_and_nodata_none() -> None:
    """Flat ground, two kinds of it, pixels of zeros, one among them that differs: it scores highest by far."""
    source = gaussian_scene()
    source.values[:, :28, :40] = source.values[:, :1, :1]
    source.values[:, 12:20, 5:15] = source.values[:, 50:51, 30:31]
    source.values[:, 45:70, :20] = 0
    source.values[:, 57, 10] = 900
    source.values[:, 20, 30] += 300
    found = run(source, Crd(**SMALL))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(source.values[0]))
    assert (found[~np.isnan(found)] >= 0).all()
    assert found[20, 30] > 1e3 * np.delete(found[16:25, 26:35].ravel(), 40).max()
    assert found[57, 10] > 1e3 * np.delete(found[53:62, 6:15].ravel(), 40).max()


def test_a_twin_in_the_ring_explains_a_pixel() -> None:
    rng = np.random.default_rng(1)
    around = torch.from_numpy(rng.normal(size=(1, 40, 3)) + 5)
    own = torch.tensor([[9.0, -2.0, 7.0]], dtype=torch.float64)
    counted = torch.ones(1, 40, dtype=torch.bool)
    alone = float(residuals(own, around, counted, 1e-3)[0])
    around[0, 17] = own
    assert float(residuals(own, around, counted, 1e-3)[0]) < 1e-6 * alone


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pfa": 2.0}, "--pfa"), ({"components": 0}, "components"), ({"inner": 4}, "-p inner: 4"), ({"outer": 103}, "-p outer: 103"),
        ({"penalty": 0.0}, "penalty"), ({"penalty": float("nan")}, "penalty"), ({"inner": 25}, "ring of 0 pixels"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Crd(**options)


def test_scenes_that_have_no_such_components_are_named() -> None:
    source = gaussian_scene()
    with pytest.raises(SceneError, match=r"has 12 good bands, and 20 components are asked for"):
        Crd().bind({"cube": source.info})
    with pytest.raises(SceneError, match="1 valid pixels are too few for 4 components"):
        run(Memory(source.values[:, :1, :1], nodata=None), Crd(**SMALL))


def test_two_pixels_explain_each_other() -> None:
    source = gaussian_scene()
    found = run(Memory(source.values[:, :1, :2], nodata=None), Crd(components=1, inner=1, outer=3))
    assert np.isfinite(found).all()


def test_real_scene(shared_data: Path) -> None:
    from scipy.io import loadmat

    found = loadmat(shared_data / "detection" / "abu-beach-1.mat")
    source = Memory(np.ascontiguousarray(found["data"].astype(np.float32).transpose(2, 0, 1)), nodata=None)
    assert roc_area(run(source, Crd(inner=7, outer=15)), found["map"]) > 0.98
