"""Detection scores against scikit-learn and against counting by hand, with ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics

from hsikit.errors import LabelError, OptionError
from hsikit.metrics import object_resampling
from hsikit.metrics.detection import roc_area, roc_area_interval, roc_corners, roc_curve, threshold_areas
from hsikit.metrics.object_resampling import resampled_areas, shares_below


@st.composite
def maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Few levels, so that many scores are equal; both classes are there."""
    size = draw(st.integers(2, 60))
    scores = draw(arrays(np.float32, size, elements=st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0, 7.5])))
    truth = draw(arrays(bool, size))
    truth[0], truth[-1] = True, False
    return scores, truth


@given(maps())
def test_area_equals_sklearn_both_ways(given_map: tuple[np.ndarray, np.ndarray]) -> None:
    scores, truth = given_map
    expected = metrics.roc_auc_score(truth, scores)
    assert roc_area(scores, truth) == pytest.approx(expected, abs=1e-12)
    assert roc_curve(scores, truth).area == pytest.approx(expected, abs=1e-12)


@given(maps())
def test_area_is_the_chance_that_a_target_scores_higher(given_map: tuple[np.ndarray, np.ndarray]) -> None:
    scores, truth = given_map
    apart = scores[truth][:, None] - scores[~truth]
    assert roc_area(scores, truth) == pytest.approx(((apart > 0) + 0.5 * (apart == 0)).mean(), abs=1e-12)


@given(maps())
def test_average_precision_equals_sklearn(given_map: tuple[np.ndarray, np.ndarray]) -> None:
    scores, truth = given_map
    assert roc_curve(scores, truth).average_precision == pytest.approx(metrics.average_precision_score(truth, scores), abs=1e-12)


@given(maps(), st.floats(0.01, 1.0))
def test_partial_area_equals_sklearn_before_it_standardises(given_map: tuple[np.ndarray, np.ndarray], most: float) -> None:
    scores, truth = given_map
    found = roc_curve(scores, truth).partial_area(most)
    if most < 1:
        least = most**2 / 2
        standard = metrics.roc_auc_score(truth, scores, max_fpr=most)
        assert found * most == pytest.approx((2 * standard - 1) * (most - least) + least, abs=1e-9)
    else:
        assert found == pytest.approx(roc_area(scores, truth))


@given(maps(), st.floats(0.001, 1.0))
def test_detection_at_a_rate_is_the_best_of_all_thresholds(given_map: tuple[np.ndarray, np.ndarray], rate: float) -> None:
    scores, truth = given_map
    allowed = int(rate * (~truth).sum() + 1e-9)
    best = max((float((scores[truth] >= level).mean()) for level in np.append(scores, np.inf) if (scores[~truth] >= level).sum() <= allowed), default=0.0)
    assert roc_curve(scores, truth).detection_at(rate) == best


@given(maps())
def test_the_curve_equals_sklearn(given_map: tuple[np.ndarray, np.ndarray]) -> None:
    scores, truth = given_map
    found = roc_curve(scores, truth)
    false, true, threshold = metrics.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose([found.false_alarm, found.detection, found.threshold], [false, true, threshold])


def test_unscored_pixels_do_not_count() -> None:
    scores = np.array([[0.9, np.nan, 0.4], [0.3, 0.2, np.nan]])
    truth = np.array([[1, 1, 0], [1, 0, 0]])
    assert roc_area(scores, truth) == 0.75
    assert (roc_curve(scores, truth).targets, roc_curve(scores, truth).background) == (2, 2)


def test_a_constant_map_says_nothing() -> None:
    truth = np.arange(10) < 3
    found = roc_curve(np.ones(10), truth)
    assert (roc_area(np.ones(10), truth), found.area, found.detection_at(0.5)) == (0.5, 0.5, 0.0)
    assert found.average_precision == pytest.approx(0.3) and found.partial_area(0.1) == pytest.approx(0.05)


def test_what_cannot_be_scored_is_named() -> None:
    with pytest.raises(LabelError, match=r"its shape is \(3,\), and the scores' \(4,\)"):
        roc_area(np.ones(4), np.ones(3))
    for truth, missing in ((np.zeros(3), "a target"), (np.ones(3), "background")):
        with pytest.raises(LabelError, match=f"none of the 2 scored pixels is {missing}"):
            roc_curve(np.array([1.0, 2.0, np.nan]), truth)
    for rate in (0.0, -1.0, 1.1, np.nan):
        with pytest.raises(OptionError, match="is no share"):
            roc_curve([1, 0], [1, 0]).detection_at(rate)


@given(maps())
def test_areas_over_the_threshold_equal_a_sweep(given_map: tuple[np.ndarray, np.ndarray]) -> None:
    scores, truth = given_map
    if np.ptp(scores) == 0:
        with pytest.raises(LabelError, match="span no range"):
            threshold_areas(scores, truth)
        return
    found = threshold_areas(scores, truth)
    scaled = (scores.astype(float) - scores.min()) / np.ptp(scores.astype(float))
    steps = (np.arange(20_000) + 0.5) / 20_000
    detection, false = ((scaled[part][:, None] >= steps).mean(0).mean() for part in (truth, ~truth))
    assert (found.roc, found.target, found.background) == (roc_area(scores, truth), pytest.approx(detection, abs=1e-4), pytest.approx(false, abs=1e-4))
    assert found.target_detectability == found.roc + found.target and found.background_suppression == found.roc - found.background
    assert found.overall_probability == pytest.approx(1 + found.detection_in_background)
    assert found.overall_with_roc == pytest.approx(found.roc + found.detection_in_background)
    if found.background:
        assert found.signal_to_noise == pytest.approx(found.target / found.background)


def test_a_glint_decides_unless_it_is_clipped() -> None:
    rng = np.random.default_rng(0)
    scores, truth = rng.uniform(0, 1, 1000), np.zeros(1000, bool)
    truth[:50], scores[:50] = True, scores[:50] / 2 + 0.5
    plain = threshold_areas(scores, truth)
    scores[999] = 1e6
    assert threshold_areas(scores, truth).background < 2e-3
    assert threshold_areas(scores, truth, clip=1e-3).background == pytest.approx(plain.background, abs=5e-3)
    with pytest.raises(OptionError, match="no share below 1"):
        threshold_areas(scores, truth, clip=1.0)


def test_the_interval_is_that_of_objects() -> None:
    rng = np.random.default_rng(0)
    scores, truth = rng.normal(size=(60, 60)), np.zeros((60, 60), bool)
    for i in range(9):
        part = slice(6 * i + 1, 6 * i + 4), slice(5, 9)
        truth[part] = True
        scores[part] += rng.normal(2, 1.5)
    low, high = roc_area_interval(scores, truth)
    assert low < roc_area(scores, truth) < high
    objects = np.zeros(truth.shape, int)
    objects[truth] = np.repeat(np.arange(9), 12)
    areas = []
    for _ in range(300):  # the definition: objects drawn, each with all of its pixels
        drawn = rng.integers(0, 9, 9)
        picked = np.concatenate([scores[truth & (objects == i)] for i in drawn])
        areas.append(roc_area(np.append(picked, scores[~truth]), np.append(np.ones(len(picked)), np.zeros((~truth).sum()))))
    np.testing.assert_allclose((low, high), np.percentile(areas, [2.5, 97.5]), atol=0.03)
    alone = roc_area_interval(scores, truth, groups=np.arange(3600).reshape(60, 60))
    assert alone[1] - alone[0] < 0.7 * (high - low)  # pixels as if each were an object


def test_intervals_that_mean_nothing_are_refused() -> None:
    scores, truth = np.arange(16.0).reshape(4, 4), np.eye(4) * 0
    truth[1:3, 1:3] = 1
    with pytest.raises(LabelError, match="one object"):
        roc_area_interval(scores, truth)
    with pytest.raises(LabelError, match="Give a number for each pixel"):
        roc_area_interval(scores, truth, groups=np.ones(3))
    with pytest.raises(OptionError, match="give no interval"):
        roc_area_interval(scores, truth, resamples=1)


@given(maps(), st.floats(0.01, 1.0))
def test_corners_say_what_the_curve_says(given_map: tuple[np.ndarray, np.ndarray], rate: float) -> None:
    scores, truth = given_map
    whole, found = roc_curve(scores, truth), roc_corners(scores[truth], np.sort(scores[~truth]))
    assert (found.targets, found.background) == (whole.targets, whole.background) and len(found.threshold) <= 2 * len(np.unique(scores[truth])) + 2
    assert (found.area, found.average_precision) == pytest.approx((whole.area, whole.average_precision), abs=1e-12)
    assert found.detection_at(rate) == whole.detection_at(rate) and found.partial_area(rate) == pytest.approx(whole.partial_area(rate), abs=1e-12)
    for false, detected, level in zip(found.false_alarm, found.detection, found.threshold, strict=True):
        assert ((scores[~truth] >= level).mean(), (scores[truth] >= level).mean()) == (false, detected)
    with pytest.raises(LabelError, match="none of the 1 scored pixels is background"):
        roc_corners([1.0], [])
    with pytest.raises(LabelError, match="none of the 1 scored pixels is a target"):
        roc_corners([], [1.0])


@given(maps())
def test_shares_below_have_the_area_as_their_mean(given_map: tuple[np.ndarray, np.ndarray]) -> None:
    scores, truth = given_map
    assert shares_below(scores[truth], np.sort(scores[~truth])).mean() == pytest.approx(roc_area(scores, truth), abs=1e-12)


def test_resampled_areas_are_those_of_the_objects_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 5, (3, 6))
    sums = pixels * rng.uniform(0.4, 1, (3, 6))
    found = resampled_areas(sums, pixels, resamples=50, seed=7)
    weights = np.random.default_rng(7).multinomial(6, np.full(6, 1 / 6), size=50)
    expected = [np.mean([(w @ s) / (w @ n) for s, n in zip(sums, pixels, strict=True) if w @ n]) for w in weights]
    np.testing.assert_allclose(found, expected)
    monkeypatch.setattr(object_resampling, "WEIGHTS_AT_ONCE", 13)
    np.testing.assert_array_equal(resampled_areas(sums, pixels, resamples=50, seed=7), found)
    assert np.isnan(resampled_areas([0.0, 0.5], [0, 1], resamples=40)).any()  # an object without pixels, drawn twice
