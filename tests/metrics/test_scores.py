from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score, confusion_matrix, jaccard_score, precision_recall_fscore_support

from hsikit.errors import LabelError
from hsikit.metrics.scores import Scores, scores

CODES = (2, 3, 7, 250)
coded = arrays(np.uint8, 40, elements=st.sampled_from(CODES))


@given(coded, coded)
def test_scores_agree_with_scikit_learn(truth, predicted):
    mine = scores(truth, predicted, CODES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of absent classes
        precision, recall, f1, support = precision_recall_fscore_support(truth, predicted, labels=CODES, zero_division=np.nan)
        balanced = balanced_accuracy_score(truth, predicted)
        kappa = cohen_kappa_score(truth, predicted, labels=CODES)
        iou = jaccard_score(truth, predicted, labels=CODES, average=None, zero_division=0)
    assert np.array_equal(mine.confusion, confusion_matrix(truth, predicted, labels=CODES))
    assert mine.overall == pytest.approx(accuracy_score(truth, predicted))
    assert mine.average == pytest.approx(balanced)
    assert mine.kappa == pytest.approx(kappa, nan_ok=True)
    assert np.array_equal(mine.support, support)
    np.testing.assert_allclose(mine.recall, recall)
    expected = np.where((support > 0) & np.isnan(precision), 0.0, precision)  # never predicted, but there: nothing was right
    np.testing.assert_allclose(mine.precision, expected)
    seen = support > 0
    np.testing.assert_allclose(mine.f1[seen], f1[seen])
    np.testing.assert_allclose(mine.iou[seen], iou[seen])
    assert mine.mean_iou == pytest.approx(iou[seen].mean())
    np.testing.assert_allclose(mine.iou[seen], mine.f1[seen] / (2 - mine.f1[seen]))


def test_reserved_codes_are_left_out_and_counted():
    mine = scores(np.array([1, 1, 2, 2, 2]), np.array([1, 0, 2, 254, 255]), [1, 2])
    assert mine.unscored == 3
    assert mine.overall == 1.0
    assert mine.support.tolist() == [1, 1]


def test_matrices_of_two_scenes_add_up():
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(1, 4, 100), rng.integers(1, 4, 100)
    parts = [scores(truth[s], predicted[s], [1, 2, 3]) for s in (slice(0, 30), slice(30, 100))]
    both = Scores.from_confusion(parts[0].confusion + parts[1].confusion, [1, 2, 3])
    assert both.kappa == scores(truth, predicted, [1, 2, 3]).kappa


def test_json_has_no_nan_and_comes_back():
    mine = scores(np.array([1, 1, 2]), np.array([1, 2, 2]), [1, 2, 9])
    text = json.dumps(mine.to_json(), allow_nan=False)
    again = Scores.from_json(json.loads(text))
    assert again.to_json() == mine.to_json()
    assert mine.to_json()["recall"][2] is None


def test_nothing_scored_gives_nan_not_an_error():
    mine = scores(np.array([1, 2]), np.array([0, 255]), [1, 2])
    assert np.isnan([mine.overall, mine.average, mine.kappa]).all()
    assert mine.unscored == 2


def test_kappa_of_huge_maps_does_not_overflow():
    counts = np.array([[6_000_000_000, 0], [0, 6_000_000_000]])
    assert Scores.from_confusion(counts, [1, 2]).kappa == 1.0


def test_stray_codes_and_sizes_are_named():
    with pytest.raises(LabelError, match="code 9"):
        scores(np.array([1, 9]), np.array([1, 1]), [1, 2])
    with pytest.raises(LabelError, match="2 reference pixels but 1"):
        scores(np.array([1, 2]), np.array([1]), [1, 2])
