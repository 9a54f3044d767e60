"""Clusters of a scene: their draw, their centres, their guard, and RX against them, held against NumPy in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from hsikit.engine import compute
from hsikit.errors import OptionError, SceneError
from hsikit.metrics.detection import roc_area
from hsikit.tasks.detection.cluster_rx import ClusterRX
from hsikit.tasks.detection.kmeans import k_means
from hsikit.tasks.detection.scene_clusters import large_enough
from hsikit.tasks.detection.subspace_rx import SubspaceRX
from tests.engine.toys import Memory
from tests.tasks.detection.test_rx import gaussian_scene

ODD = (37, 11)
"""A pixel in the middle of all covers, which belongs to none."""


def covers(rows: int = 60, cols: int = 47, bands: int = 6, *, small: int = 0, seed: int = 1) -> Memory:
    """Three covers, each with a covariance of its own, a hole, a pixel that belongs to none, and a fourth cover of `small` pixels."""
    rng = np.random.default_rng(seed)
    place = (np.arange(rows)[:, None] // 20 + np.arange(cols)[None] // 24) % 3
    values = np.empty((bands, rows, cols))
    for cover in range(3):
        mix = rng.normal(size=(bands, bands)) * np.geomspace(20, 1, bands)
        here = place == cover
        values[:, here] = 2000 + 400 * rng.normal(size=(bands, 1)) + mix @ rng.normal(size=(bands, here.sum()))
    if small:
        values.reshape(bands, -1)[:, 5 * cols : 5 * cols + small] = 4000 + 30 * rng.normal(size=(bands, small))
    values[:, ODD[0], ODD[1]] = np.mean([values[:, place == cover].mean(1) for cover in range(3)], axis=0)
    values[:, 50:56, 30:40] = np.nan
    return Memory(values.astype(np.float32), nodata=None)


def run(source: Memory, method: ClusterRX, **how: int):
    return compute(method.bind({"cube": source.info}), {"cube": source}, **how)


def assigned(source: Memory, found) -> tuple[np.ndarray, np.ndarray]:
    """Components (rows, cols, k) by NumPy, and the nearest of the run's centres, -1 where a pixel is missing."""
    centres, project = found.store["clusters"]["centres"].numpy(), found.store["clusters"]["project"].numpy()
    spectra = source.values.reshape(len(source.values), -1).T.astype(float)
    white = (spectra - spectra[~np.isnan(spectra).any(1)].mean(0)) @ project.T
    apart = ((white[:, None, : centres.shape[1]] - centres) ** 2).sum(2)
    labels = np.where(np.isnan(apart).any(1), -1, apart.argmin(1))
    return white, labels


def test_centres_are_means_and_as_good_as_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.normal(size=(count, 4)) + 6 * rng.normal(size=4) for count in (400, 300, 200, 50, 50)])
    centres = k_means(points, 5)
    apart = ((points[:, None] - centres) ** 2).sum(2)
    np.testing.assert_allclose(centres, [points[apart.argmin(1) == k].mean(0) for k in range(5)], rtol=1e-10)
    assert (np.diff(centres[:, 0]) > 0).all()
    assert apart.min(1).sum() <= 1.02 * KMeans(5, n_init=20, random_state=0).fit(points).inertia_


def test_fewer_points_than_clusters_have_fewer_centres() -> None:
    points = np.repeat([[0.0, 1.0], [2.0, 3.0]], 7, axis=0)
    np.testing.assert_array_equal(k_means(points, 5), [[0, 1], [2, 3]])


def test_small_clusters_join_the_nearest_large_one() -> None:
    rng = np.random.default_rng(0)
    sizes, dimensions = (90, 19, 20, 30), 2  # half of an equal share is 19.9
    groups = [rng.normal(size=(size, dimensions)) + 9 * k for k, size in enumerate(sizes)]
    groups[3][:] = 5.0  # equal pixels have no covariance, however many they are
    parts = {}
    for k, group in enumerate(groups):
        centred = torch.from_numpy(group - group.mean(0))
        parts |= {f"{k} count": torch.tensor(float(len(group)), dtype=torch.float64), f"{k} mean": torch.from_numpy(group.mean(0))}
        parts[f"{k} scatter"] = centred.T @ centred
    standing, part_of = large_enough(parts, torch.tensor([[0.0], [4.0], [9.0], [8.0]], dtype=torch.float64))
    assert part_of.tolist() == [0, 0, 1, 1]
    for found, held in zip(standing, ((0, 1), (2, 3)), strict=True):
        joined = np.concatenate([groups[k] for k in held])
        np.testing.assert_allclose(found["scatter"], np.cov(joined.T) * (len(joined) - 1))
        np.testing.assert_allclose(found["mean"], joined.mean(0))


def test_where_no_cluster_is_large_all_are_one() -> None:
    source = covers()
    source = Memory(source.values[:, :7, :7].copy(), nodata=None)
    found = run(source, ClusterRX(clusters=9, components=6, shrinkage=0.0))
    assert int(found.store["background"]["standing"]) == 1 and (found.layers["clusters"] == 1).all()
    plain = compute(SubspaceRX(components=6).bind({"cube": source.info}), {"cube": source}).layers["scores"]
    np.testing.assert_allclose(found.layers["scores"], plain, rtol=1e-5)


@pytest.mark.parametrize("small", [0, 40])
def test_cluster_rx_equals_numpy(small: int) -> None:
    source = covers(small=small)
    found = run(source, ClusterRX(clusters=4, components=5, shrinkage=0.02), tile=17)
    white, labels = assigned(source, found)
    assert set(labels) == {-1, 0, 1, 2, 3}
    sizes = np.bincount(labels[labels >= 0])
    centres = found.store["clusters"]["centres"].numpy()
    large = np.flatnonzero(sizes >= max(5 * 5, 0.5 * sizes.mean()))
    assert len(large) == (3 if small else 4)
    joined = large[((centres[:, None] - centres[large]) ** 2).sum(2).argmin(1)]
    apart = []
    for cluster in large:
        own = white[(labels >= 0) & (joined[labels] == cluster)]
        covariance = np.cov(own.T)
        covariance = 0.98 * covariance + 0.02 * np.trace(covariance) / 5 * np.eye(5)
        away = white - own.mean(0)
        apart.append(np.einsum("ni,ij,nj->n", away, np.linalg.inv(covariance), away))
    expected = np.where(labels >= 0, np.min(apart, axis=0), np.nan).reshape(60, 47)
    np.testing.assert_allclose(found.layers["scores"][0], expected, rtol=1e-5)
    codes = np.where(labels >= 0, np.argmin(apart, axis=0) + 1, 0).reshape(60, 47)
    np.testing.assert_array_equal(found.layers["clusters"][0], codes)
    assert int(found.store["background"]["standing"]) == len(large)


def test_what_belongs_to_no_cover_stands_out_where_one_covariance_hides_it() -> None:
    source = covers()
    scores = run(source, ClusterRX(clusters=3, components=6)).layers["scores"][0]
    plain = compute(SubspaceRX(components=6).bind({"cube": source.info}), {"cube": source}).layers["scores"][0]
    assert np.nanargmax(scores) == np.ravel_multi_index(ODD, scores.shape)
    assert plain[ODD] < np.nanmedian(plain)


@settings(max_examples=6)
@given(st.integers(7, 70))
def test_tiles_of_any_size_give_the_same(tile: int) -> None:
    source = covers(small=40)
    method = ClusterRX(pfa=0.01, clusters=5, components=5)
    whole, cut = run(source, method, tile=100), run(source, method, tile=tile, threads=2)
    np.testing.assert_allclose(cut.layers["scores"], whole.layers["scores"], rtol=1e-5)
    np.testing.assert_array_equal(cut.layers["clusters"], whole.layers["clusters"])
    np.testing.assert_allclose(cut.features["hits"].points, whole.features["hits"].points)


def test_a_fill_that_nobody_declared_is_no_background() -> None:
    source = covers()
    source.values[:, 20:40, 24:44] = 0.0
    found = run(source, ClusterRX(clusters=4, components=5, shrinkage=0.0))
    there = ~np.isnan(source.values[0])
    assert np.isfinite(found.layers["scores"][0][there]).all()
    assert int(found.store["background"]["standing"]) < len(found.store["clusters"]["centres"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pfa": 2.0}, "--pfa"), ({"clusters": 0}, "-p clusters: 0 is no number"), ({"clusters": 51}, "Give 1 to 50"), ({"components": 0}, "components"),
        ({"shrinkage": 1.0}, "shrinkage"), ({"shrinkage": -0.1}, "shrinkage"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        ClusterRX(**options)


def test_scenes_without_a_background_are_named() -> None:
    source = gaussian_scene()
    with pytest.raises(SceneError, match="has 12 good bands, and 20 components are asked for"):
        ClusterRX().bind({"cube": source.info})
    with pytest.raises(SceneError, match="1 valid pixels are too few for 4 components"):
        run(Memory(source.values[:, :1, :1], nodata=None), ClusterRX(components=4))


def test_real_scene(shared_data: Path) -> None:
    from scipy.io import loadmat

    found = loadmat(shared_data / "detection" / "abu-beach-1.mat")
    source = Memory(np.ascontiguousarray(found["data"].astype(np.float32).transpose(2, 0, 1)), nodata=None)
    assert roc_area(run(source, ClusterRX()).layers["scores"][0], found["map"]) > 0.97
