"""Paired differences against SciPy, and how rows are ranked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from hsikit.train.benchmark_plan import make_plan
from hsikit.train.benchmark_statistics import Standing, paired_difference, spread, standings
from tests.train.benchmark_toys import CELLS, PLAN

SHARES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=30)


@given(SHARES)
def test_the_interval_is_that_of_the_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    first, second = np.array(pairs).T
    assume(np.std(first - second) > 1e-6)
    found = paired_difference(first, second)
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.error, stats.sem(first - second), rtol=1e-9)
    assert found.pairs == len(pairs)


@given(SHARES, st.data())
def test_what_a_draw_does_to_both_falls_out(pairs: list[tuple[float, float]], data: st.DataObject) -> None:
    first, second = np.array(pairs).T
    shift = np.array(data.draw(st.lists(st.floats(-1, 1), min_size=len(first), max_size=len(first))))
    plain, shifted, turned = paired_difference(first, second), paired_difference(first + shift, second + shift), paired_difference(second, first)
    np.testing.assert_allclose([shifted.mean, shifted.low, shifted.high], [plain.mean, plain.low, plain.high], atol=1e-9)
    np.testing.assert_allclose([-turned.mean, -turned.high, -turned.low], [plain.mean, plain.low, plain.high], atol=1e-12)


def test_too_few_seeds_have_no_interval() -> None:
    none, one = paired_difference([], []), paired_difference([0.7], [0.5])
    assert none.pairs == 0 and np.isnan([none.mean, none.error, none.low, none.high]).all()
    assert one.mean == pytest.approx(0.2) and np.isnan([one.error, one.low, one.high]).all()
    assert np.isnan(spread([0.4]).deviation) and spread([0.4, float("nan")]).mean == 0.4 and np.isnan(spread([]).mean)


def table(plan: object = PLAN) -> dict[tuple[str, str], Standing]:
    return {(row.split, row.row): row for row in standings(plan, CELLS)}  # type: ignore[arg-type]


def test_rows_are_ranked_within_their_split() -> None:
    order = [(row.split, row.rank, row.row) for row in standings(PLAN, CELLS)]
    assert order[:3] == [("blocks", 1, "mnf-lda"), ("blocks", 2, "svm"), ("blocks", 3, "nearest-label")]
    assert order[3:] == [("random", 1, "nearest-label"), ("random", 2, "svm"), ("random", 0, "mnf-lda")]


def test_a_row_holds_means_over_the_seeds_that_have_a_score() -> None:
    row = table()["blocks", "mnf-lda"]
    assert (row.seeds, row.failed, row.floor) == (2, 1, False)
    assert row.measures["overall"].mean == pytest.approx(0.78) and row.measures["overall"].deviation == pytest.approx(np.std([0.8, 0.76], ddof=1))
    assert row.measures["ece"].mean == pytest.approx(0.1) and np.isnan(table()["blocks", "svm"].measures["ece"].mean)
    assert row.seconds["train_seconds"] == 5.0 and np.isnan(table()["random", "mnf-lda"].seconds["train_seconds"])


def test_differences_are_to_the_best_floor_over_the_seeds_that_both_have() -> None:
    row, floor = table()["blocks", "mnf-lda"], table()["blocks", "svm"]
    assert row.reference == floor.reference == "svm" and floor.overall_difference is None and row.overall_difference is not None
    assert row.overall_difference.pairs == 2 and row.overall_difference.mean == pytest.approx((0.10 + 0.14) / 2)
    assert table()["random", "svm"].reference == "nearest-label"
    failed = table()["random", "mnf-lda"].overall_difference
    assert failed is not None and failed.pairs == 0


def test_differences_are_to_the_row_asked_for() -> None:
    plan = make_plan(["mnf-lda"], ["blocks", "random"], range(3), against="mnf-lda")
    found = table(plan)
    assert found["blocks", "svm"].reference == "mnf-lda" and found["blocks", "mnf-lda"].overall_difference is None
    difference = found["blocks", "svm"].overall_difference
    assert difference is not None and difference.mean == pytest.approx(-0.12)
    assert found["random", "svm"].reference == "" and found["random", "svm"].overall_difference is None
