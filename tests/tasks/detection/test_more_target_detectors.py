"""Subspace, constrained, hierarchical and mixture-tuned detectors against plain NumPy in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsikit.engine import compute
from hsikit.errors import OptionError, SceneError
from hsikit.metrics.detection import roc_area
from hsikit.tasks.detection.ace import Ace
from hsikit.tasks.detection.asd import AdaptiveSubspace
from hsikit.tasks.detection.cem import Cem
from hsikit.tasks.detection.hcem import STEEPNESS, HierarchicalCem
from hsikit.tasks.detection.matched_filter import MatchedFilter
from hsikit.tasks.detection.msd import MatchedSubspace
from hsikit.tasks.detection.mtmf import MixtureTuned
from hsikit.tasks.detection.osp import SubspaceProjection
from hsikit.tasks.detection.target_spectra import TargetSpectra
from hsikit.tasks.detection.tcimf import ConstrainedFilter
from tests.engine.toys import Memory
from tests.tasks.detection.test_rx import gaussian_scene
from tests.tasks.detection.test_target_detectors import scores, targets_of


@pytest.fixture
def source() -> Memory:
    return gaussian_scene()


def pixels(source: Memory) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """All spectra (n, D), the valid ones, and two targets."""
    spectra = source.values.reshape(len(source.values), -1).T.astype(float)
    return spectra, spectra[~np.isnan(spectra).any(1)], [source.values[:, 40, 5].astype(float), source.values[:, 11, 21].astype(float)]


def shrunk(spectra: np.ndarray, share: float, *, second: bool) -> np.ndarray:
    found = np.cov(spectra.T, bias=second)
    found = (1 - share) * found + share * np.trace(found) / len(found) * np.eye(len(found))
    return found + np.outer(spectra.mean(0), spectra.mean(0)) if second else found


def same(found: np.ndarray, expected: np.ndarray, share: float = 1e-4) -> None:
    np.testing.assert_allclose(found.ravel(), expected, rtol=0, atol=share * np.nanmax(np.abs(expected)))


def projector(spectra: np.ndarray, components: int) -> np.ndarray:
    vectors = np.linalg.eigh(spectra.T @ spectra)[1][:, -components:]
    return np.eye(len(vectors)) - vectors @ vectors.T


def test_osp_and_msd_equal_numpy(source: Memory) -> None:
    spectra, good, targets = pixels(source)
    away = projector(good, 3)
    one, two = scores(source, SubspaceProjection(targets_of(source, *targets), components=3), tile=32)
    three, four = scores(source, MatchedSubspace(targets_of(source, *targets), components=3), tile=32)
    for target, projected, matched in ((targets[0], one, three), (targets[1], two, four)):
        same(projected, spectra @ away @ target / (target @ away @ target))
        unit = away @ target / np.linalg.norm(away @ target)
        both = away - np.outer(unit, unit)
        along, rest = spectra @ unit, np.einsum("ij,jk,ik->i", spectra, both, spectra)
        expected = np.sign(along) * along**2 / rest
        own = (spectra == target).all(1)
        assert matched.ravel()[own] > 1e3 * np.nanmax(np.abs(expected[~own]))  # without bound at the target itself
        np.testing.assert_allclose(matched.ravel()[~own], expected[~own], rtol=1e-4, atol=1e-6 * np.nanmax(np.abs(expected[~own])))


@pytest.mark.parametrize("shrinkage", [0.0, 0.01])
def test_tcimf_equals_numpy(source: Memory, shrinkage: float) -> None:
    spectra, good, targets = pixels(source)
    inverse, both = np.linalg.inv(shrunk(good, shrinkage, second=True)), np.stack(targets, 1)
    weights = inverse @ both @ np.linalg.inv(both.T @ inverse @ both)
    found = scores(source, ConstrainedFilter(targets_of(source, *targets), shrinkage=shrinkage), tile=32)
    for k in (0, 1):
        same(found[k], spectra @ weights[:, k])
    assert [found[k][place] for place in ((40, 5), (11, 21)) for k in (0, 1)] == pytest.approx([1, 0, 0, 1], abs=1e-4)


def test_tcimf_of_one_target_is_cem(source: Memory) -> None:
    target = targets_of(source, source.values[:, 40, 5])
    np.testing.assert_allclose(scores(source, ConstrainedFilter(target)), scores(source, Cem(target)), rtol=1e-5)


def test_asd_equals_numpy_and_ace_for_one_target(source: Memory) -> None:
    spectra, good, targets = pixels(source)
    inverse = np.linalg.inv(shrunk(good, 0.01, second=False))
    x, t = spectra - good.mean(0), np.stack(targets, 1) - good.mean(0)[:, None]
    part = x @ inverse @ t
    expected = np.einsum("ij,jk,ik->i", part, np.linalg.inv(t.T @ inverse @ t), part) / np.einsum("ij,jk,ik->i", x, inverse, x)
    found = scores(source, AdaptiveSubspace(targets_of(source, *targets)), tile=32)
    assert found.shape == (1, 70, 53)
    same(found, expected)
    one = targets_of(source, targets[0])
    np.testing.assert_allclose(scores(source, AdaptiveSubspace(one)), np.abs(scores(source, Ace(one))), atol=1e-6)


def layers_of_cem(spectra: np.ndarray, target: np.ndarray, layers: int, share: float, per_band: int = 5) -> tuple[np.ndarray, int]:
    """Hierarchical CEM in float64, and how many filters were learned; spectra without missing values.

    Every layer's second moments are loaded by one amount, as the authors' released code has it (`R + 0.0001 * eye`; Zou and Shi, 2016), and not by a
    share of what is left of the suppressed scene, as this test once had it.
    """
    weights, load, filtered, learned = np.ones(len(spectra)), None, np.zeros(len(target)), 0
    for _ in range(layers):
        ended = learned > 0 and weights.sum() ** 2 <= per_band * len(target) * (weights**2).sum()
        if not ended:
            held = weights[:, None] * spectra
            mean, covariance = held.mean(0), np.cov(held.T, bias=True)
            load = np.trace(covariance) / len(target) if load is None else load
            inverse = np.linalg.inv((1 - share) * covariance + share * load * np.eye(len(target)) + np.outer(mean, mean))
            filtered, learned = inverse @ target / (target @ inverse @ target), learned + 1
        answers = weights * (spectra @ filtered)
        weights = weights if ended else weights * (1 - np.exp(-STEEPNESS * np.clip(answers, 0, None)))
    return answers, learned


@pytest.mark.parametrize(("layers", "rows"), [(4, 70), (6, 2)])
def test_hcem_equals_numpy(source: Memory, layers: int, rows: int) -> None:
    """Of a large scene, and of a small one, of which too little is left for further filters."""
    source, targets = Memory(source.values[:, 40 : 40 + rows].copy() if rows < 70 else source.values, nodata=None), pixels(source)[2]
    spectra = source.values.reshape(12, -1).T.astype(float)
    there = ~np.isnan(spectra).any(1)
    found = scores(source, HierarchicalCem(targets_of(source, *targets), iterations=layers, shrinkage=0.05), tile=32)
    for k, target in enumerate(targets):
        answers, learned = layers_of_cem(spectra[there], target, layers, 0.05)
        assert (learned < layers) == (rows < 70)
        # Suppression is steep: where an early answer is next to 0, its rounding shows.
        apart = np.abs(found[k].ravel()[there] - answers)
        assert apart.max() < 2e-3 and (apart < 1e-4).mean() > 0.999
        assert np.isnan(found[k].ravel()[~there]).all()


def test_one_layer_of_hcem_is_cem(source: Memory) -> None:
    target = targets_of(source, source.values[:, 40, 5])
    np.testing.assert_allclose(scores(source, HierarchicalCem(target, iterations=1)), scores(source, Cem(target)), atol=1e-5)


def test_hcem_ends_when_it_has_settled(source: Memory) -> None:
    method = HierarchicalCem(targets_of(source, source.values[:, 40, 5]), iterations=100)
    found = compute(method.bind({"cube": source.info}), {"cube": source})
    assert float(found.store["energy"]["change"]) < 1e-6
    assert found.layers["scores"][0, 40, 5] == pytest.approx(1, abs=1e-2)


def test_hcem_of_a_target_that_is_nowhere_gives_numbers(source: Memory) -> None:
    mean = np.nanmean(source.values.reshape(12, -1).astype(float), axis=1)
    found = scores(source, HierarchicalCem(targets_of(source, -mean)))
    assert np.isfinite(found[0][~np.isnan(source.values[0])]).all()


def noisy(source: Memory) -> Memory:
    rng = np.random.default_rng(3)
    return Memory((source.values + rng.normal(0, 5, source.values.shape)).astype(np.float32), nodata=None)


def test_mtmf_equals_numpy(source: Memory) -> None:
    source = noisy(source)
    spectra, good, targets = pixels(source)
    inverse = np.linalg.inv(shrunk(good, 0.01, second=False))
    method = MixtureTuned(targets_of(source, *targets))
    result = compute(method.bind({"cube": source.info}), {"cube": source}, tile=32)
    np.testing.assert_array_equal(result.layers["scores"], scores(source, MatchedFilter(targets_of(source, *targets)), tile=32))
    step = np.diff(source.values.astype(float), axis=2).reshape(12, -1).T
    step = step[~np.isnan(step).any(1)]
    noise = min(1.0, np.einsum("ij,jk,ik->i", step, inverse, step).mean() / 24)
    for k, target in enumerate(targets):
        x, t = spectra - good.mean(0), target - good.mean(0)
        share = x @ inverse @ t / (t @ inverse @ t)
        rest = x - share[:, None] * t
        held = np.clip(share, 0, 1)
        expected = np.sqrt(np.einsum("ij,jk,ik->i", rest, inverse, rest) / 12 / ((1 - held) ** 2 + held**2 * noise))
        own = (spectra == target).all(1)
        np.testing.assert_allclose(result.layers["infeasibility"][k].ravel()[~own], expected[~own], rtol=2e-3)
        assert result.layers["infeasibility"][k].ravel()[own] < 0.1
    assert 0.5 < np.nanmedian(result.layers["infeasibility"]) < 1.2


def test_mtmf_passes_over_what_is_no_mixture(source: Memory) -> None:
    """A pixel with the abundance of the target, but far off the line, is a hit of the matched filter alone."""
    source, (_, good, targets) = noisy(source), pixels(source)
    away, inverse = targets[0] - good.mean(0), np.linalg.inv(shrunk(good, 0.01, second=False))
    off = np.random.default_rng(0).normal(size=12) * np.geomspace(100, 1, 12)
    off -= away * (off @ inverse @ away) / (away @ inverse @ away)
    off *= 30 / np.sqrt(off @ inverse @ off)
    source.values[:, 60, 20] = (good.mean(0) + 1.5 * away + off).astype(np.float32)
    count, places = int((~np.isnan(source.values[0])).sum()), {}
    for kind in (MatchedFilter, MixtureTuned):
        found = compute(kind(targets_of(source, targets[0]), pfa=1 / count).bind({"cube": source.info}), {"cube": source})
        places[kind.name] = {(int((5_800_000 - y) // 30), int((x - 400_000) // 30)) for x, y in found.features["hits"].points}
    assert places == {"matched-filter": {(60, 20)}, "mtmf": {(40, 5)}}


def test_what_cannot_be_looked_for_is_named(source: Memory) -> None:
    _, good, (one, two) = pixels(source)
    first = np.linalg.eigh(good.T @ good)[1][:, -1]
    with pytest.raises(SceneError, match="target 0 lies in the subspace"):
        scores(source, SubspaceProjection(targets_of(source, first * 1000), components=2))
    with pytest.raises(SceneError, match="11 directions of 12 bands"):
        scores(source, MatchedSubspace(targets_of(source, one), components=11))
    for kind in (ConstrainedFilter, AdaptiveSubspace):
        with pytest.raises(SceneError, match="is a mixture of the others"):
            scores(source, kind(targets_of(source, one, two, (one + two) / 2)))
    flat = Memory(np.repeat(source.values[:, :, :1], 40, 2), nodata=None)
    with pytest.raises(SceneError, match="its noise cannot be measured"):
        scores(flat, MixtureTuned(targets_of(flat, two)))


@pytest.mark.parametrize("kind", [SubspaceProjection, MatchedSubspace, ConstrainedFilter, AdaptiveSubspace, HierarchicalCem, MixtureTuned])
def test_no_map_of_nothing(source: Memory, kind) -> None:
    """A single pixel has no background, and a target of other wavelengths is not looked for."""
    lone = Memory(source.values[:, :1, :1], nodata=None)
    with pytest.raises(SceneError, match=r"valid pixels"):
        scores(lone, kind(targets_of(lone, source.values[:, 40, 5])))
    far = TargetSpectra(("far",), np.ones((1, 5)), np.linspace(9000, 9400, 5), np.full(5, 10.0), source.info.quantity, "far.csv")
    with pytest.raises(OptionError, match=r"far\.csv: is known from 9000 to 9400 nm"):
        kind(far).bind({"cube": source.info})


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (SubspaceProjection, {"components": 0}, "components"), (SubspaceProjection, {"shrinkage": 0.1}, "no covariance"),
        (HierarchicalCem, {"iterations": 0}, "iterations"), (HierarchicalCem, {"exclude": 0.01}, "exclude"), (HierarchicalCem, {"shrinkage": 0.0}, "singular"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(source: Memory, kind, options: dict[str, float], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        kind(targets_of(source, source.values[:, 40, 5]), **options)


@pytest.mark.parametrize(
    ("kind", "least"), [(SubspaceProjection, 0.95), (MatchedSubspace, 0.9), (HierarchicalCem, 0.999), (AdaptiveSubspace, 0.99), (MixtureTuned, 0.995)]
)
def test_aircraft_are_found(shared_data: Path, kind, least: float) -> None:
    from scipy.io import loadmat

    found = loadmat(shared_data / "detection" / "sandiego_58.mat")
    source = Memory(np.ascontiguousarray(found["data"].astype(np.float32).transpose(2, 0, 1)), nodata=None)
    target = source.values[:, found["map"] > 0].mean(1)
    assert roc_area(scores(source, kind(targets_of(source, target)))[0], found["map"]) > least
