from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from hsikit.errors import LabelError, OptionError
from hsikit.metrics.bootstrap import NAMES, Intervals, bootstrap_intervals, scores_of_tables
from hsikit.metrics.scores import Scores, scores

CODES = (1, 4, 9)


@given(arrays(np.int64, (6, 3, 3), elements=st.integers(0, 20)))
def test_scores_of_many_tables_are_those_of_each(tables: np.ndarray) -> None:
    found = scores_of_tables(tables)
    for k, table in enumerate(tables):
        one = Scores.from_confusion(table, CODES)
        for name in NAMES:
            assert found[name][k] == pytest.approx(getattr(one, name), nan_ok=True)


def drawn(seed: int, groups: int = 40, size: int = 30, right: float = 0.8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups of one class whose pixels are right together, more or less."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.choice(CODES, groups), size)
    share = np.repeat(rng.beta(4 * right, 4 * (1 - right), groups), size)
    predicted = np.where(rng.random(len(truth)) < share, truth, rng.choice(CODES, len(truth)))
    return truth, predicted, np.repeat(np.arange(groups), size)


def test_agrees_with_resampling_one_by_one() -> None:
    truth, predicted, groups = drawn(1)
    found = bootstrap_intervals(truth, predicted, groups, CODES, resamples=4000)
    rng = np.random.default_rng(7)
    values = {name: [] for name in NAMES}
    for _ in range(1500):
        index = np.concatenate([np.flatnonzero(groups == g) for g in rng.integers(0, 40, 40)])
        one = scores(truth[index], predicted[index], CODES)
        for name in NAMES:
            values[name].append(getattr(one, name))
    for name in NAMES:
        np.testing.assert_allclose(found.limits[name], np.percentile(values[name], [2.5, 97.5]), atol=0.012)


def test_agrees_with_scipy_for_a_mean_of_equal_groups() -> None:
    truth, predicted, groups = drawn(2)
    shares = (truth == predicted).reshape(40, 30).mean(1)
    expected = stats.bootstrap((shares,), np.mean, method="percentile", n_resamples=5000, rng=np.random.default_rng(1)).confidence_interval
    found = bootstrap_intervals(truth, predicted, groups, CODES, resamples=5000)
    np.testing.assert_allclose(found.limits["overall"], (expected.low, expected.high), atol=0.01)


def test_groups_give_wider_intervals_than_pixels() -> None:
    truth, predicted, groups = drawn(3)
    by_group, by_pixel = (bootstrap_intervals(truth, predicted, g, CODES).limits["overall"] for g in (groups, np.arange(len(truth))))
    assert by_group[1] - by_group[0] > 1.5 * (by_pixel[1] - by_pixel[0])


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_limits_hold_the_score_and_the_seed_decides(seed: int) -> None:
    truth, predicted, groups = drawn(seed)
    found, again = (bootstrap_intervals(truth, predicted, groups, CODES, seed=seed, resamples=200) for _ in range(2))
    whole = scores(truth, predicted, CODES)
    assert found.to_json() == again.to_json()
    for name in ("overall", "average", "kappa"):
        low, high = found.limits[name]
        assert low <= getattr(whole, name) <= high


def test_reserved_codes_are_left_out_like_in_scores() -> None:
    truth, predicted, groups = drawn(4)
    hidden = predicted.copy()
    hidden[::3] = np.array([0, 254, 255])[np.arange(len(hidden[::3])) % 3]
    keep = np.isin(hidden, CODES)
    whole, cut = (bootstrap_intervals(*values, CODES) for values in ((truth, hidden, groups), (truth[keep], hidden[keep], groups[keep])))
    assert whole.to_json() == cut.to_json()


def test_few_groups_are_said_and_none_gives_nothing() -> None:
    truth, predicted, groups = drawn(5, groups=4)
    assert "Only 4 groups" in bootstrap_intervals(truth, predicted, groups, CODES).notes[0]
    assert not bootstrap_intervals(*drawn(5, groups=10), CODES).notes
    truth, predicted, groups = drawn(5)
    assert "single pixels" in bootstrap_intervals(truth, predicted, np.arange(len(truth)), CODES).notes[0]
    assert not bootstrap_intervals(truth, predicted, groups, CODES).notes
    nothing = bootstrap_intervals(truth, np.zeros_like(truth), groups, CODES)
    assert nothing.groups == 0 and np.isnan(nothing.limits["overall"]).all()
    for found in (nothing, bootstrap_intervals(truth, predicted, groups, CODES)):
        assert Intervals.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))).to_json() == found.to_json()


def test_wrong_input_is_named() -> None:
    with pytest.raises(LabelError, match="code 3 is not among"):
        bootstrap_intervals(np.array([1, 3]), np.array([1, 1]), np.array([0, 1]), CODES)
    with pytest.raises(LabelError, match="2 reference pixels, 1 predicted"):
        bootstrap_intervals(np.array([1, 4]), np.array([1]), np.array([0, 1]), CODES)
    with pytest.raises(OptionError, match="resamples"):
        bootstrap_intervals(*drawn(1), CODES, resamples=1)
