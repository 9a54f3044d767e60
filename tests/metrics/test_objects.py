"""Average precision of located objects against answers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hsikit.errors import LabelError
from hsikit.metrics.objects import Boxes, bootstrap_ap, component_boxes, object_scores


def boxes(*rows: tuple[float, ...]) -> Boxes:
    table = np.array(rows, float).reshape(-1, 7)
    return Boxes(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:6], table[:, 6])


TRUTH = boxes((0, 0, 0, 0, 2, 2, 1), (0, 0, 10, 10, 12, 12, 1), (1, 1, 5, 5, 6, 6, 1))


def test_the_truth_itself_is_perfect() -> None:
    scored = object_scores(TRUTH, TRUTH)
    assert scored.ap == 1
    assert set(scored.by_overlap.values()) == set(scored.by_distance.values()) == {1.0}


def test_by_hand() -> None:
    """Class 0: right, wrong, right of two; class 1: nothing found."""
    found = boxes((0, 0, 0, 0, 2, 2, 0.9), (0, 0, 30, 30, 32, 32, 0.8), (0, 0, 10, 10, 12, 12, 0.7))
    own = (51 * 1 + 50 * 2 / 3) / 101
    assert object_scores(TRUTH, found).by_overlap[0.5] == pytest.approx(own / 2)


def test_a_second_box_of_one_object_is_wrong() -> None:
    found = boxes((1, 1, 5, 5, 6, 6, 0.9), (1, 1, 5, 5, 6, 6, 0.8))
    assert object_scores(boxes((1, 1, 5, 5, 6, 6, 1)), found).ap == 1
    late = boxes((1, 1, 5, 5, 6, 6, 0.9), (1, 1, 5, 5, 6, 6, 0.8), (2, 1, 0, 0, 1, 1, 0.7))
    assert object_scores(boxes((1, 1, 5, 5, 6, 6, 1), (2, 1, 0, 0, 1, 1, 1)), late).ap == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_equal_scores_know_no_order() -> None:
    rows = [(0, 0, 30, 30, 32, 32, 0.5), (0, 0, 0, 0, 2, 2, 0.5)]
    truth = boxes((0, 0, 0, 0, 2, 2, 1))
    assert object_scores(truth, boxes(*rows)).ap == object_scores(truth, boxes(*rows[::-1])).ap == 0.5


def test_shifted_boxes_count_by_distance() -> None:
    scored = object_scores(boxes((0, 0, 0, 0, 1, 1, 1)), boxes((0, 0, 1.5, 0, 2.5, 1, 1)))
    assert scored.ap == 0
    assert scored.by_distance == {1.0: 0.0, 2.0: 1.0, 4.0: 1.0}


def test_components_have_the_scores_of_their_own_pixels() -> None:
    scores = np.zeros((8, 8), np.float32)
    scores[0, :4] = 5
    scores[4:6, 4], scores[6, 5], scores[7, 7] = (2, 3), 4, np.nan
    found, peaks = component_boxes(scores, 1.0)
    assert found.tolist() == [[0, 0, 4, 1], [4, 4, 6, 7]]
    assert peaks.tolist() == [5, 4]


def test_the_interval_holds_the_score() -> None:
    rng = np.random.default_rng(0)
    rows = [(i, 0, x, x, x + 2, x + 2, s) for i, (x, s) in enumerate(zip(rng.integers(0, 50, 40), rng.uniform(size=40), strict=True))]
    found = boxes(*rows[:30], *[(i, 0, 80, 80, 82, 82, 0.5) for i in range(40)])
    low, high = bootstrap_ap(boxes(*rows), found, resamples=50)
    assert low < object_scores(boxes(*rows), found).ap < high


def test_bad_objects_are_refused() -> None:
    with pytest.raises(LabelError, match="no true object"):
        object_scores(boxes(), TRUTH)
    with pytest.raises(LabelError, match="without extent"):
        boxes((0, 0, 5, 5, 5, 6, 1))
