"""The ROC curve by strips is the one of the whole map, however it is cut; and so are objects and intervals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from hsikit.errors import LabelError
from hsikit.metrics.detection import roc_area_interval, roc_curve
from hsikit.metrics.detection_strips import BACKGROUND, TARGET, UNKNOWN, Strips, rank_targets, touching


def cut(scores: np.ndarray, truth: np.ndarray, parts: int) -> Strips:
    def strips() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return zip(np.array_split(scores, parts), np.array_split(truth, parts), strict=True)

    return strips


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of few levels, holes among them, and truth of several objects with unknown pixels."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(4, 30, 2))
    scores = rng.integers(-3, 9, shape).astype(np.float32)
    truth = np.where(rng.random(shape) < 0.15, TARGET, BACKGROUND).astype(np.int8)
    scores[truth == TARGET] += rng.integers(0, 4)
    scores[rng.random(shape) < 0.1] = np.nan
    truth[rng.random(shape) < 0.1] = UNKNOWN
    truth[0, :2], scores[0, :2] = (TARGET, BACKGROUND), (3, 2)
    truth[-1, -1], scores[-1, -1] = TARGET, 1
    return scores, truth


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_it_is_the_curve_of_the_whole_map(seed: int, parts: int) -> None:
    scores, truth = drawn(seed)
    found = rank_targets(cut(scores, truth, parts))
    known = np.where(truth == UNKNOWN, np.float32(np.nan), scores)
    whole = roc_curve(known, truth == TARGET)
    assert (found.curve.targets, found.curve.background) == (whole.targets, whole.background)
    assert found.curve.area == pytest.approx(whole.area, abs=1e-12) and found.above.mean() == pytest.approx(whole.area, abs=1e-12)
    assert found.curve.average_precision == pytest.approx(whole.average_precision, abs=1e-12)
    for rate in (1e-3, 0.02, 0.1, 0.5, 1.0):
        assert found.curve.detection_at(rate) == whole.detection_at(rate)
        assert found.curve.partial_area(rate) == pytest.approx(whole.partial_area(rate), abs=1e-12)
    assert found.unscored == int(((truth == TARGET) & np.isnan(scores)).sum())


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_objects_and_their_interval_are_those_of_the_whole_map(seed: int, parts: int) -> None:
    scores, truth = drawn(seed)
    found = rank_targets(cut(scores, truth, parts))
    labels = ndimage.label(truth == TARGET, np.ones((3, 3)))[0]
    groups = labels[(truth == TARGET) & ~np.isnan(scores)]
    assert len({(int(a), int(b)) for a, b in zip(groups, found.objects, strict=True)}) == len(set(groups.tolist())) == found.count
    if found.count > 1:
        known = np.where(truth == UNKNOWN, np.float32(np.nan), scores)
        assert found.interval() == pytest.approx(roc_area_interval(known, truth == TARGET, groups=labels), abs=1e-12)
    else:
        assert found.interval() is None


def test_pixels_of_two_sides_of_the_map_do_not_touch() -> None:
    # The last pixel of a row and the first of the next follow one another, and lie far apart.
    assert len(set(touching(np.array([4, 5]), 5).tolist())) == 2
    assert len(set(touching(np.array([3, 7, 9]), 5).tolist())) == 1
    assert touching(np.zeros(0, np.int64), 5).shape == (0,)


@pytest.mark.parametrize(("code", "said"), [(BACKGROUND, "is a target"), (TARGET, "is background"), (UNKNOWN, "is a target")])
def test_truth_of_one_kind_is_refused(code: int, said: str) -> None:
    with pytest.raises(LabelError, match=said):
        rank_targets(cut(np.ones((3, 4), np.float32), np.full((3, 4), code, np.int8), 2))


def test_too_many_targets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from hsikit.metrics import detection_strips

    monkeypatch.setattr(detection_strips, "MOST_TARGETS", 3)
    with pytest.raises(LabelError, match="more than 3 of its pixels"):
        rank_targets(cut(np.ones((3, 4), np.float32), np.full((3, 4), TARGET, np.int8), 2))
