"""Detection scores against scikit-learn and against counting by hand, with ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics

from hsikit.errors import LabelError, OptionError
from hsikit.metrics.detection import roc_area, roc_curve


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
