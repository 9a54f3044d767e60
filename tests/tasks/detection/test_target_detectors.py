"""Detectors of known spectra against plain NumPy in float64, against SPy, and on a scene with a known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import spectral
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.engine import compute
from hsikit.errors import OptionError, SceneError
from hsikit.metrics.detection import roc_area
from hsikit.scene import Bands
from hsikit.tasks.detection.ace import Ace, Glrt
from hsikit.tasks.detection.cem import Cem
from hsikit.tasks.detection.matched_filter import MatchedFilter, SpectralMatchedFilter
from hsikit.tasks.detection.spectral_angle import SpectralAngle
from hsikit.tasks.detection.spsmf import SubpixelMatchedFilter
from hsikit.tasks.detection.tail import distance_sums, tail_of
from hsikit.tasks.detection.target_spectra import TargetSpectra
from tests.engine.toys import Memory
from tests.tasks.detection.test_rx import gaussian_scene

METHODS = (MatchedFilter, SpectralMatchedFilter, Ace, Glrt, Cem, SubpixelMatchedFilter, SpectralAngle)
BACKGROUND = METHODS[:-1]


def targets_of(source: Memory, *spectra: np.ndarray, quantity: str = "") -> TargetSpectra:
    bands = source.info.bands
    names = tuple(f"target {k}" for k in range(len(spectra)))
    return TargetSpectra(names, np.stack(spectra).astype(float), bands.wavelength, bands.fwhm, quantity or source.info.quantity)


def scores(source: Memory, method, **how) -> np.ndarray:
    return compute(method.bind({"cube": source.info}), {"cube": source}, **how).layers["scores"]


def plain(name: str, values: np.ndarray, target: np.ndarray, shrinkage: float, counted: np.ndarray | None = None,
          around: np.ndarray | None = None) -> np.ndarray:  # fmt: skip
    """Any of the detectors, one matrix at a time; the background are all valid pixels, of those `counted`, and its tail is that of the distances `around`."""
    spectra = values.reshape(len(values), -1).T.astype(float)
    good = spectra[~np.isnan(spectra).any(1) & (True if counted is None else counted.ravel())]
    count, bands = good.shape
    mean = good.mean(0)
    if name == "spectral-angle":
        return (spectra @ target / np.linalg.norm(spectra, axis=1) / np.linalg.norm(target)).reshape(values.shape[1:])
    moments = np.cov(good.T, bias=name == "cem")
    moments = (1 - shrinkage) * moments + shrinkage * np.trace(moments) / bands * np.eye(bands)
    if name == "cem":
        moments, mean = moments + np.outer(mean, mean), np.zeros(bands)
    inverse = np.linalg.inv(moments)
    x, t = spectra - mean, target - mean
    zu, uu, zz = x @ inverse @ t, t @ inverse @ t, np.einsum("ij,jk,ik->i", x, inverse, x)
    if around is None:
        around = zz[~np.isnan(zz) & (True if counted is None else counted.ravel())]
    return statistic(name, zu, uu, zz, count, around).reshape(values.shape[1:])


def squared_distances(spectra: np.ndarray, shrinkage: float) -> np.ndarray:
    """Of pixels (n, D) from their mean, in their own covariance."""
    moments, x = np.cov(spectra.T), spectra - spectra.mean(0)
    moments = (1 - shrinkage) * moments + shrinkage * np.trace(moments) / len(moments) * np.eye(len(moments))
    return np.einsum("ij,jk,ik->i", x, np.linalg.inv(moments), x)


def statistic(name: str, zu: np.ndarray, uu: np.ndarray | float, zz: np.ndarray, count: np.ndarray | int, around: np.ndarray) -> np.ndarray:
    """The detectors' formulas.

    That of `spsmf` was Schaum and Stocker's for a Gaussian background, for which most pixels of a scene with heavy tails hold the target; it is now that of
    a multivariate t-distribution (Theiler, Zimmer and Ziemann, 2018), whose tail is that of the distances `around`.
    """
    if name in ("matched-filter", "cem"):
        return zu / uu
    if name == "smf":
        return zu / np.sqrt(uu)
    if name == "ace":
        return np.sign(zu) * zu**2 / uu / zz
    if name == "glrt":
        return np.sign(zu) * zu**2 / uu / (count + zz)
    # The likelihood ratio, its maximum searched on a fine grid of fill factors.
    found, uu = np.full(len(zz), np.nan), np.broadcast_to(uu, zz.shape)
    c = np.concatenate([np.geomspace(1e-3, 0.9, 20_000), np.linspace(0.9, 1, 100_000)])
    bands, third = around.mean(), (around**1.5).sum() / np.sqrt(around).sum()
    freedom = 3 + 1 / (third / (bands + 1) - 1) if third > (bands + 1) * (1 + 1e-6) else 1e9

    def likelihood(squares: np.ndarray, share: np.ndarray | float) -> np.ndarray:
        return -bands * np.log(share) - (bands + freedom) / 2 * np.log1p(squares / share**2 / (freedom - 2))

    for i in range(0, len(zz), 60):
        left = zz[i] - 2 * (1 - c) * zu[i] + (1 - c) ** 2 * uu[i]  # |z - a u|^2 with a = 1 - c
        found[i] = 2 * (likelihood(left, c) - likelihood(zz[i], 1.0)).max()
    return found


def test_the_tail_of_a_t_distribution_is_found() -> None:
    rng = np.random.default_rng(0)
    shape = (9, 90_000)
    for freedom in (5.0, 12.0, np.inf):
        heavy = np.sqrt(rng.chisquare(freedom, shape[1]) / (freedom - 2)) if np.isfinite(freedom) else 1.0
        found = tail_of(distance_sums(torch.from_numpy(((rng.normal(size=shape) / heavy) ** 2).sum(0))), "scene")
        assert float(found["dimensions"]) == pytest.approx(9, rel=0.02)
        assert float(found["heaviness"]) == pytest.approx(1 / freedom, abs=0.01)
    with pytest.raises(SceneError, match="all of its valid pixels are equal"):
        tail_of(distance_sums(torch.zeros(4)), "scene")


def test_heavy_tails_are_no_targets() -> None:
    """Pixels that lie nearer to the mean than the average one score below those that hold a third of the target."""
    rng = np.random.default_rng(1)
    values = 100 + rng.normal(size=(20, 60, 60)) / np.sqrt(rng.chisquare(4, (60, 60)) / 2)
    target, hit = 100 + 12 * np.cos(np.arange(20)), np.zeros((60, 60), bool)
    hit[::12, ::12] = True
    values[:, hit] += 0.3 * (target[:, None] - values[:, hit])
    source = Memory(values.astype(np.float32), nodata=None)
    assert roc_area(scores(source, SubpixelMatchedFilter(targets_of(source, target)))[0], hit) > 0.98


@pytest.mark.parametrize("shrinkage", [0.0, 0.01])
@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.name)
def test_equals_numpy(kind, shrinkage: float) -> None:
    source = gaussian_scene()
    one, two = source.values[:, 40, 5].astype(float), source.values[:, 11, 21].astype(float)
    options = {} if kind is SpectralAngle else {"shrinkage": shrinkage}
    found = scores(source, kind(targets_of(source, one, two), **options), tile=32)
    assert found.shape == (2, 70, 53)
    for k, target in enumerate((one, two)):
        expected = plain(kind.name, source.values, target, shrinkage)
        if kind is SubpixelMatchedFilter:  # without bound at the target's own pixel
            own = (source.values == target[:, None, None].astype(np.float32)).all(0)
            assert (found[k][own] > np.nanmax(expected)).all()
            compared = ~np.isnan(expected) & ~own
            assert compared.sum() > 50
            np.testing.assert_allclose(found[k][compared], expected[compared], rtol=1e-3, atol=1e-3)
            continue
        np.testing.assert_allclose(found[k], expected, rtol=0, atol=1e-5 * np.nanmax(np.abs(expected)))


@settings(max_examples=6)
@given(st.integers(5, 80), st.sampled_from(METHODS))
def test_tiles_of_any_size_give_the_same(tile: int, kind) -> None:
    source = gaussian_scene()
    method = kind(targets_of(source, source.values[:, 40, 5]), pfa=0.01)
    whole, cut = (compute(method.bind({"cube": source.info}), {"cube": source}, tile=side) for side in (100, tile))
    np.testing.assert_allclose(cut.layers["scores"], whole.layers["scores"], rtol=0, atol=1e-5 * np.nanmax(np.abs(whole.layers["scores"])))
    np.testing.assert_allclose(cut.features["hits"].points, whole.features["hits"].points)


def test_the_false_alarm_rate_is_the_scenes_own() -> None:
    source = gaussian_scene()
    found = compute(Ace(targets_of(source, source.values[:, 40, 5]), pfa=0.01).bind({"cube": source.info}), {"cube": source})
    valid = ~np.isnan(found.layers["scores"][0])
    above = found.layers["scores"][0][valid] > float(found.store["hits"]["threshold"])
    assert above.sum() == int(0.01 * valid.sum())
    assert found.features["hits"].columns["peak"].max() == pytest.approx(1.0, abs=1e-4)  # the target's own pixel


def test_what_is_excluded_no_longer_counts_as_background() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 40, 40)) + 10
    target = np.full(6, 10.0) + np.array([3, 0, -2, 1, 4, 0])
    rows, cols = rng.integers(0, 40, (2, 40))
    values[:, rows, cols] = target[:, None] + 0.1 * rng.normal(size=(6, 40))
    source = Memory(values.astype(np.float32), nodata=None)
    kept, left = (scores(source, SpectralMatchedFilter(targets_of(source, target), shrinkage=0.0, exclude=share))[0] for share in (0.0, 0.03))
    hit = np.zeros((40, 40), bool)
    hit[rows, cols] = True
    assert left[hit].mean() > 1.25 * kept[hit].mean()
    rest = values[:, left < np.sort(left.ravel())[-48]].reshape(6, -1)  # roughly what the second background holds
    assert abs(left[~hit].std() - 1) < abs(kept[~hit].std() - 1) + 0.05
    assert rest.shape[1] > 1500


def test_equals_spy_on_a_scene_of_bad_condition(shared_data: Path) -> None:
    loaded = scipy.io.loadmat(shared_data / "detection" / "abu-beach-1.mat")
    cube, truth = loaded["data"].astype(np.float32), loaded["map"].astype(bool)
    source = Memory(np.ascontiguousarray(cube.transpose(2, 0, 1)), nodata=None)
    target = cube[truth].astype(float).mean(0)
    statistics = spectral.calc_stats(cube.astype(np.float64))
    for kind, peer in ((MatchedFilter, spectral.matched_filter), (Ace, spectral.ace)):
        expected = peer(cube.astype(np.float64), target, statistics)
        found = scores(source, kind(targets_of(source, target), shrinkage=0.0))[0]
        found = found if kind is MatchedFilter else np.abs(found)  # SPy drops the sign
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_a_target_that_cannot_be_looked_for_is_named() -> None:
    source = gaussian_scene()
    bands = source.info.bands
    mean = np.nanmean(source.values.reshape(12, -1).astype(float), axis=1)
    with pytest.raises(SceneError, match="is its background's mean"):
        scores(source, Ace(targets_of(source, mean), shrinkage=0.0))
    with pytest.raises(OptionError, match="holds radiance"):
        Ace(targets_of(source, mean, quantity="radiance")).bind({"cube": source.info})
    far = TargetSpectra(("far",), np.ones((1, 5)), np.linspace(9000, 9400, 5), np.full(5, 10.0), source.info.quantity, "far.csv")
    with pytest.raises(OptionError, match=r"far\.csv: is known from 9000 to 9400 nm"):
        Ace(far).bind({"cube": source.info})
    unknown = TargetSpectra(("u",), np.full((1, 12), np.nan), bands.wavelength, bands.fwhm, source.info.quantity)
    with pytest.raises(OptionError, match="next to no values"):
        Ace(unknown).bind({"cube": source.info})
    lone = Memory(source.values[:, :1, :1], nodata=None)
    with pytest.raises(SceneError, match="valid pixels are too few"):
        scores(lone, Ace(targets_of(lone, mean)))


@pytest.mark.parametrize("wrong", [{"pfa": 0.0}, {"pfa": 1.0}, {"shrinkage": 1.0}, {"shrinkage": -0.1}, {"exclude": 0.5}, {"exclude": -1e-3}])
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    source = gaussian_scene()
    with pytest.raises(OptionError):
        Ace(targets_of(source, source.values[:, 40, 5]), **wrong)
    with pytest.raises(OptionError, match="looks at no background"):
        SpectralAngle(targets_of(source, source.values[:, 40, 5]), exclude=0.01)


def test_bands_that_the_target_lacks_are_left_out() -> None:
    source = gaussian_scene()
    target = source.values[:, 40, 5].astype(float)
    target[3] = np.nan
    source.info = source.info.with_(bands=Bands(source.info.bands.wavelength, np.full(12, 5.0), source.info.bands.good, source.info.bands.names))
    job = Ace(targets_of(source, target)).bind({"cube": source.info})
    assert job.inputs["cube"].bands == tuple(k for k in range(12) if k != 3)
