"""Detectors of known spectra against clusters of the scene and against rings around pixels, held against NumPy in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.engine import compute
from hsikit.errors import OptionError, SceneError
from hsikit.metrics.detection import roc_area
from hsikit.tasks.detection.ace import Ace, Glrt
from hsikit.tasks.detection.asd import AdaptiveSubspace
from hsikit.tasks.detection.cem import Cem
from hsikit.tasks.detection.hcem import HierarchicalCem
from hsikit.tasks.detection.matched_filter import MatchedFilter, SpectralMatchedFilter
from hsikit.tasks.detection.msd import MatchedSubspace
from hsikit.tasks.detection.mtmf import MixtureTuned
from hsikit.tasks.detection.osp import SubspaceProjection
from hsikit.tasks.detection.ring_moments import FLOOR
from hsikit.tasks.detection.spectral_angle import SpectralAngle
from hsikit.tasks.detection.spsmf import SubpixelMatchedFilter
from hsikit.tasks.detection.tcimf import ConstrainedFilter
from tests.engine.toys import Memory
from tests.tasks.detection.test_rx import gaussian_scene
from tests.tasks.detection.test_scene_clusters import ODD, covers
from tests.tasks.detection.test_target_detectors import plain, scores, squared_distances, statistic, targets_of

BOTH = (MatchedFilter, SpectralMatchedFilter, Ace, Glrt, Cem, SubpixelMatchedFilter)
CLUSTERS_ONLY = (ConstrainedFilter, AdaptiveSubspace)
NEITHER = (MixtureTuned, HierarchicalCem, SubspaceProjection, MatchedSubspace, SpectralAngle)
RING = {"components": 4, "inner": 3, "outer": 9}


def odd_target(source: Memory) -> np.ndarray:
    """The spectrum of the pixel that is unlike all covers, a little off."""
    return source.values[:, ODD[0], ODD[1]].astype(float) + np.linspace(-2, 2, len(source.values))


def run(source: Memory, method, **how):
    return compute(method.bind({"cube": source.info}), {"cube": source}, **how)


def assert_same(name: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Equal to a hundred-thousandth of the range, and missing in the same places; `spsmf` where its grid search looked."""
    if name == "spsmf":
        compared = ~np.isnan(expected)
        assert compared.sum() > 10
        np.testing.assert_allclose(found[compared], expected[compared], rtol=1e-3, atol=1e-3)
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.nanmax(np.abs(expected)))


# ---- clusters


@pytest.mark.parametrize("kind", BOTH, ids=lambda kind: kind.name)
def test_clusters_equal_numpy_cluster_by_cluster(kind) -> None:
    source = covers(small=30)
    target, other = odd_target(source), source.values[:, 3, 30].astype(float) + 20
    found = run(source, kind(targets_of(source, target, other), background="clusters", clusters=4, shrinkage=0.02), tile=19)
    codes = found.layers["clusters"][0]
    np.testing.assert_array_equal(codes == 0, np.isnan(source.values[0]))
    assert int(found.store["background"]["standing"]) == codes.max() == 3 and len(found.store["clusters"]["centres"]) == 4
    around = np.concatenate([squared_distances(source.values[:, codes == code].T.astype(float), 0.02) for code in (1, 2, 3)])
    for k, spectrum in enumerate((target, other)):
        for code in (1, 2, 3):
            own = np.where(codes == code, source.values, np.nan)
            assert_same(kind.name, np.where(codes == code, found.layers["scores"][k], np.nan), plain(kind.name, own, spectrum, 0.02, around=around))


def test_clusters_are_the_covers() -> None:
    source = covers()
    codes = run(source, Ace(targets_of(source, odd_target(source)), background="clusters", clusters=3)).layers["clusters"][0]
    place = (np.arange(60)[:, None] // 20 + np.arange(47)[None] // 24) % 3
    there = codes > 0
    shared = np.array([[((place == cover) & there & (codes == code)).sum() for code in (1, 2, 3)] for cover in range(3)])
    assert shared.max(1).sum() > 0.95 * there.sum()


@pytest.mark.parametrize("kind", (*BOTH, *CLUSTERS_ONLY), ids=lambda kind: kind.name)
def test_one_cluster_is_the_whole_scene(kind) -> None:
    source = gaussian_scene()
    targets = targets_of(source, source.values[:, 40, 5] + 5, source.values[:, 11, 21] - 5)
    alone, whole = scores(source, kind(targets, background="clusters", clusters=1), tile=30), scores(source, kind(targets), tile=30)
    np.testing.assert_allclose(alone, whole, rtol=0, atol=1e-5 * np.nanmax(np.abs(whole)))


@pytest.mark.parametrize("kind", CLUSTERS_ONLY, ids=lambda kind: kind.name)
def test_several_targets_at_once_are_measured_by_clusters_too(kind) -> None:
    source = covers()
    targets = targets_of(source, odd_target(source), source.values[:, 3, 30].astype(float) + 20)
    found = run(source, kind(targets, background="clusters", clusters=3), tile=30)
    codes = found.layers["clusters"][0]
    for code in (1, 2, 3):
        own = Memory(np.where(codes == code, source.values, np.nan).astype(np.float32), nodata=None)
        expected = scores(own, kind(targets))
        np.testing.assert_allclose(np.where(codes == code, found.layers["scores"], np.nan), expected, rtol=0, atol=1e-5 * np.nanmax(np.abs(expected)))


def test_what_is_excluded_no_longer_counts_in_its_cluster() -> None:
    source = covers()
    targets = targets_of(source, odd_target(source))
    options = {"background": "clusters", "clusters": 3, "shrinkage": 0.02}
    first = run(source, SpectralMatchedFilter(targets, **options))
    found = run(source, SpectralMatchedFilter(targets, exclude=0.05, **options), tile=22)
    codes, before = first.layers["clusters"][0], first.layers["scores"][0]
    np.testing.assert_array_equal(found.layers["clusters"][0], codes)
    there = codes > 0
    counted = there & (before <= np.sort(before[there])[-int(0.05 * there.sum()) - 1])
    assert counted.sum() == there.sum() - int(0.05 * there.sum())
    for code in (1, 2, 3):
        own = np.where(codes == code, source.values, np.nan)
        assert_same("smf", np.where(codes == code, found.layers["scores"][0], np.nan), plain("smf", own, odd_target(source), 0.02, counted))


def test_a_target_stands_out_more_in_its_own_cover() -> None:
    source = covers()
    target = source.values[:, 25, 30].astype(float) + 60 * np.array([1, -1, 1, -1, 1, -1])
    hit = np.zeros((60, 47), bool)
    hit[3:18:4, 2:22:4] = True
    source.values[:, hit] += (0.15 * (target[:, None] - source.values[:, hit])).astype(np.float32)
    areas = {where: roc_area(scores(source, Ace(targets_of(source, target), background=where))[0], hit) for where in ("global", "clusters")}
    assert areas["clusters"] > areas["global"] + 0.01


# ---- rings


def brute_force(name: str, values: np.ndarray, target: np.ndarray, shrinkage: float, counted: np.ndarray | None = None,
                components: int = 4, inner: int = 3, outer: int = 9) -> np.ndarray:  # fmt: skip
    """The definition, one pixel and one ring at a time; second moments from a spectrum of zeros for `cem`."""
    valid = ~np.isnan(values).any(0)
    counted = valid if counted is None else counted & valid
    spectra = values[:, valid].T.astype(float)
    variances, vectors = np.linalg.eigh(np.cov(spectra.T))
    project = (vectors[:, -components:] / np.sqrt(variances[-components:])).T
    mean = spectra.mean(0)
    zero = mean if name != "cem" else np.zeros(len(mean))
    origin, wanted = project @ (mean - zero), project @ (target - zero)
    white = np.einsum("kc,crs->rsk", project, np.nan_to_num(values.astype(float)) - zero[:, None, None])
    found = np.full((4, *valid.shape), np.nan)
    for row, col in np.argwhere(valid):
        ring = counted.copy()
        ring[: max(0, row - outer // 2)] = ring[row + outer // 2 + 1 :] = False
        ring[:, : max(0, col - outer // 2)] = ring[:, col + outer // 2 + 1 :] = False
        ring[max(0, row - inner // 2) : row + inner // 2 + 1, max(0, col - inner // 2) : col + inner // 2 + 1] = False
        count, centre, covariance = len(spectra), origin, np.eye(components)
        if ring.sum() > components:
            near = white[ring]
            count, centre, covariance = len(near), near.mean(0), np.cov(near.T, bias=True)
            covariance = (1 - shrinkage) * covariance + (shrinkage * np.trace(covariance) / components + FLOOR) * np.eye(components)
        if name == "cem":
            covariance, centre = covariance + np.outer(centre, centre), 0 * centre
        inverse, x, t = np.linalg.inv(covariance), white[row, col] - centre, wanted - centre
        found[:, row, col] = x @ inverse @ t, t @ inverse @ t, x @ inverse @ x, count
    return statistic(name, *found.reshape(4, -1), found[2][counted]).reshape(valid.shape)


def holed() -> Memory:
    """A small scene with a broad hole, in which one pixel is alone."""
    source = gaussian_scene()
    source = Memory(source.values[:, 30:61, 20:47].copy(), nodata=None)
    alone = source.values[:, 0, 0] + 30
    source.values[:, 17:29, 3:15] = np.nan
    source.values[:, 23, 9] = alone
    return source


@pytest.mark.parametrize("kind", BOTH, ids=lambda kind: kind.name)
def test_rings_equal_brute_force(kind) -> None:
    source = holed()
    one, two = source.values[:, 2, 3].astype(float) + 40, source.values[:, 14, 20].astype(float) - 25
    found = scores(source, kind(targets_of(source, one, two), background="local", shrinkage=0.05, **RING), tile=13)
    assert found.shape == (2, 31, 27) and np.isfinite(found[:, 23, 9]).all()
    for k, target in enumerate((one, two)):
        expected = brute_force(kind.name, source.values, target, 0.05)
        if kind is SubpixelMatchedFilter:
            compared = ~np.isnan(expected)
            assert compared.sum() > 5
            np.testing.assert_allclose(found[k][compared], expected[compared], rtol=1e-3, atol=1e-3)
        else:
            np.testing.assert_allclose(found[k], expected, rtol=1e-4, atol=1e-5 * np.nanmax(np.abs(expected)))


def test_what_is_excluded_no_longer_counts_in_rings() -> None:
    source = holed()
    target = source.values[:, 2, 3].astype(float) + 40
    options = {"background": "local", "shrinkage": 0.05, **RING}
    before = scores(source, Glrt(targets_of(source, target), **options))[0]
    there = ~np.isnan(before)
    counted = there & (before <= np.sort(before[there])[-int(0.1 * there.sum()) - 1])
    expected = brute_force("glrt", source.values, target, 0.05, counted)
    found = scores(source, Glrt(targets_of(source, target), exclude=0.1, **options), tile=11)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.nanmax(np.abs(expected)))
    assert np.nanmax(np.abs(found - before)) > 0.01 * np.nanmax(np.abs(before))


def test_a_ring_of_the_target_itself_gives_a_number() -> None:
    source = gaussian_scene()
    target = source.values[:, 12, 10].astype(float)
    source.values[:, 5:20, 2:18] = source.values[:, 12:13, 10:11]
    for kind in BOTH:
        found = scores(source, kind(targets_of(source, target), background="local", shrinkage=0.0, **RING))[0]
        np.testing.assert_array_equal(np.isfinite(found), ~np.isnan(source.values[0]))


# ---- both


@pytest.mark.parametrize("options", [{"background": "clusters", "clusters": 4}, {"background": "local", **RING}], ids=["clusters", "local"])
@settings(max_examples=5)
@given(st.integers(7, 70), st.sampled_from(BOTH))
def test_tiles_of_any_size_give_the_same(options: dict, tile: int, kind) -> None:
    source = covers(small=30)
    method = kind(targets_of(source, source.values[:, 3, 30].astype(float) + 20), pfa=0.01, exclude=0.02, **options)
    whole, cut = run(source, method, tile=100), run(source, method, tile=tile, threads=2)
    for name, values in whole.layers.items():
        np.testing.assert_allclose(cut.layers[name], values, rtol=0, atol=1e-5 * np.nanmax(np.abs(values)))
    np.testing.assert_allclose(cut.features["hits"].points, whole.features["hits"].points)


@pytest.mark.parametrize("background", ["clusters", "local"])
@pytest.mark.parametrize("kind", NEITHER, ids=lambda kind: kind.name)
def test_detectors_that_cannot_say_so(kind, background: str) -> None:
    source = gaussian_scene()
    with pytest.raises(OptionError, match=rf"--background: {kind.name} cannot be measured against .* take one of ace, cem"):
        kind(targets_of(source, source.values[:, 40, 5]), background=background)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (Ace, {"background": "nearby"}, "'nearby' is no background. Give global, clusters, local"),
        (ConstrainedFilter, {"background": "local"}, "tcimf cannot be measured against the ring"),
        (Ace, {"clusters": 3}, "-p clusters: belongs to a background that is clusters"),
        (Ace, {"background": "local", "clusters": 3}, "-p clusters: belongs"),
        (Ace, {"background": "clusters", "inner": 3}, "-p inner: belongs to a background that is local"),
        (SubspaceProjection, {"outer": 25}, "-p outer: belongs"),
        (Ace, {"background": "clusters", "clusters": 0}, "-p clusters: 0 is no number"),
        (Ace, {"background": "local", "inner": 4}, "-p inner: 4 is no side"),
        (Ace, {"background": "local", "inner": 25}, "a ring of 0 pixels"),
        (Ace, {"background": "local", "components": 0}, "-p components: 0"),
    ],
)
def test_options_out_of_place_are_refused(kind, options: dict, words: str) -> None:
    source = gaussian_scene()
    with pytest.raises(OptionError, match=words):
        kind(targets_of(source, source.values[:, 40, 5]), **options)


def test_what_cannot_be_measured_is_named() -> None:
    source = gaussian_scene()
    targets = targets_of(source, source.values[:, 40, 5])
    with pytest.raises(SceneError, match=r"answer for 12 of its bands, and 20 components are asked for\. Ask for fewer: -p components=5"):
        scores(source, Ace(targets, background="local"))
    lone = Memory(source.values[:, :1, :1], nodata=None)
    for options in ({"background": "clusters"}, {"background": "local", **RING}):
        with pytest.raises(SceneError, match=r"valid pixels? (are|is) too few"):
            scores(lone, Ace(targets, **options))
    flat = Memory(np.ones((12, 20, 20), np.float32), nodata=None)
    with pytest.raises(SceneError, match="0 components that vary"):
        scores(flat, Ace(targets, background="clusters"))


@pytest.mark.parametrize(("background", "least"), [("clusters", 0.99), ("local", 0.99)])
def test_aircraft_are_found(shared_data: Path, background: str, least: float) -> None:
    from scipy.io import loadmat

    found = loadmat(shared_data / "detection" / "sandiego_58.mat")
    source = Memory(np.ascontiguousarray(found["data"].astype(np.float32).transpose(2, 0, 1)), nodata=None)
    target = source.values[:, found["map"] > 0].mean(1)
    assert roc_area(scores(source, MatchedFilter(targets_of(source, target), background=background))[0], found["map"]) > least
