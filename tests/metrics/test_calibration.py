from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from hsikit.errors import LabelError
from hsikit.metrics.calibration import Reliability, calibrated_confidence, confidence_temperature, fit_temperature, reliability

confident = arrays(np.float64, 60, elements=st.floats(0, 1))
answers = arrays(np.bool_, 60)


@given(confident, answers, st.integers(1, 20))
def test_the_error_is_that_of_its_definition(confidence: np.ndarray, correct: np.ndarray, bins: int) -> None:
    found = reliability(confidence, correct, bins)
    total = 0.0
    for k in range(bins):
        last = k == bins - 1
        mine = (np.floor(confidence * bins) == k) | (last & (confidence == 1))
        assert found.counts[k] == mine.sum()
        if mine.any():
            total += mine.mean() * abs(correct[mine].mean() - confidence[mine].mean())
    assert found.ece == pytest.approx(total)
    assert 0 <= found.ece <= 1
    assert len(found.edges) == bins + 1


def test_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.001, 0.999, 500)
    correct = rng.random(500) < confidence**2
    found = reliability(confidence, correct, 10)
    share, mean = calibration_curve(correct, confidence, n_bins=10)
    np.testing.assert_allclose(found.accuracy[found.counts > 0], share)
    np.testing.assert_allclose(found.confidence[found.counts > 0], mean)


def test_one_who_is_always_right_and_sure_has_no_error_and_a_liar_has_all() -> None:
    assert reliability(np.ones(5), np.ones(5)).ece == 0
    assert reliability(np.ones(5), np.zeros(5)).ece == 1
    assert np.isnan(reliability([], []).ece)


@given(confident, answers)
def test_json_has_no_nan_and_comes_back(confidence: np.ndarray, correct: np.ndarray) -> None:
    found = reliability(confidence, correct)
    text = json.dumps(found.to_json(), allow_nan=False)
    assert Reliability.from_json(json.loads(text)).to_json() == found.to_json()
    empty = reliability([], []).to_json()
    assert Reliability.from_json(json.loads(json.dumps(empty, allow_nan=False))).to_json() == empty


def test_wrong_input_is_named() -> None:
    with pytest.raises(LabelError, match="2 confidences but 1 answers"):
        reliability([0.1, 0.2], [1])
    for wrong in (np.nan, -0.1, 1.5):
        with pytest.raises(LabelError, match="outside 0 to 1"):
            reliability([wrong], [1])


@given(st.floats(0.2, 5.0), st.integers(0, 100))
def test_a_known_temperature_is_found(temperature: float, seed: int) -> None:
    """Labels drawn from the calibrated probabilities: the fit finds what the logits were multiplied by."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(4000, 5)) * 2
    labels = (rng.random((4000, 1)) > softmax(logits, 1).cumsum(1)).sum(1).clip(max=4)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.15)


def test_two_classes_agree_with_a_logistic_regression_without_intercept() -> None:
    rng = np.random.default_rng(3)
    logit = rng.normal(size=800) * 3
    labels = (rng.random(800) < 1 / (1 + np.exp(-logit / 2.5))).astype(int)
    slope = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(logit[:, None], labels).coef_[0, 0]
    decisions = np.stack([np.zeros(800), logit], 1)
    assert 1 / fit_temperature(decisions, labels) == pytest.approx(slope, rel=1e-3)


def test_nothing_to_learn_from_leaves_the_default() -> None:
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, int), 2.0) == 2.0


@given(st.floats(0.2, 5.0), st.integers(0, 100))
def test_confidence_finds_a_known_temperature_too(temperature: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(6000, 5)) * 2
    labels = (rng.random((6000, 1)) > softmax(logits, 1).cumsum(1)).sum(1).clip(max=4)
    assert confidence_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.15)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_no_other_temperature_makes_confidence_likelier(seed: int) -> None:
    """Log loss of (confidence, right) by scikit-learn, with the prior, over a fine grid."""
    rng = np.random.default_rng(seed)
    decisions = log_softmax(rng.normal(size=(40, 4)) * rng.uniform(0.5, 8), axis=1)
    targets = np.where(rng.random(40) < 0.5, decisions.argmax(1), rng.integers(0, 4, 40))
    right = decisions.argmax(1) == targets

    def loss(temperature: float) -> float:
        confidence = calibrated_confidence(np.exp(decisions), temperature)
        return float(log_loss(right, confidence, labels=[False, True], normalize=False) + 0.5 * (np.log(temperature) / 1.5) ** 2)

    found = loss(confidence_temperature(decisions, targets))
    assert found <= min(loss(t) for t in np.geomspace(0.05, 90, 400)) + 1e-6


def test_few_pixels_that_are_all_right_do_not_make_it_sure_beyond_measure() -> None:
    decisions = np.log(np.array([[0.9, 0.1]] * 8 + [[0.1, 0.9]] * 8))
    assert fit_temperature(decisions, np.repeat([0, 1], 8)) < 0.05
    assert 0.2 < confidence_temperature(decisions, np.repeat([0, 1], 8)) < 1
    assert 1 < confidence_temperature(decisions, np.repeat([1, 0], 8)) < 100


@given(arrays(np.float64, (10, 4), elements=st.floats(-30, 0)), st.floats(0.1, 10))
def test_tempered_confidence_is_a_softmax_of_divided_logits(logits: np.ndarray, temperature: float) -> None:
    probabilities = softmax(logits, axis=1)
    expected = softmax(log_softmax(logits, axis=1) / temperature, axis=1).max(1)
    np.testing.assert_allclose(calibrated_confidence(probabilities, temperature), expected, rtol=1e-6)
    np.testing.assert_allclose(calibrated_confidence(probabilities, 1.0), probabilities.max(1), rtol=1e-9)


def test_no_data_stays_no_data() -> None:
    assert np.isnan(calibrated_confidence(np.full((1, 3), np.nan), 2.0)).all()
