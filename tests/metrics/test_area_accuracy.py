"""Area-adjusted accuracy: the published example, Olofsson's formulas written out, coverage of a simulation, laws, errors."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.errors import LabelError, OptionError
from hsikit.metrics.area_accuracy import allocate, area_accuracy, plan_sample

NAMES = ["deforestation", "forest gain", "stable forest", "stable non-forest"]
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])


def test_the_worked_example_to_the_printed_digits():
    found = area_accuracy(COUNTS, PIXELS, NAMES, unit_hectares=0.09)
    assert np.round(found.users.value, 3).tolist() == [0.880, 0.733, 0.927, 0.963]
    assert np.round(found.users.half_width, 3).tolist() == [0.074, 0.101, 0.040, 0.021]
    assert np.round(found.producers.value, 3).tolist() == [0.749, 0.847, 0.935, 0.962]
    assert np.round(found.producers.half_width, 3).tolist() == [0.213, 0.254, 0.034, 0.018]
    assert np.round(found.hectares.value).tolist() == [21158, 11686, 285770, 581386]
    assert np.round(found.hectares.half_width).tolist() == [6158, 3756, 15510, 16282]
    assert (round(float(found.overall.value), 3), round(float(found.overall.half_width), 3)) == (0.947, 0.018)
    np.testing.assert_allclose(found.mapped, PIXELS / PIXELS.sum())
    # A point of the largest stratum is 0.645 / 325 of the area; the two rare classes have 0.024 and 0.013 of it.
    assert len(found.notes) == 1 and "more than 5% of the area of deforestation, forest gain:" in found.notes[0]
    assert area_accuracy(COUNTS * 4, PIXELS, NAMES).notes == ()


@given(st.lists(st.integers(0, 40), min_size=9, max_size=9), st.lists(st.integers(1, 10**6), min_size=3, max_size=3))
def test_the_general_estimator_is_olofssons(numbers, sizes):
    n, size = np.array(numbers).reshape(3, 3) + 2 * np.eye(3, dtype=int), np.array(sizes, float)
    found = area_accuracy(n, size, "abc")
    points, w = n.sum(1), size / size.sum()
    q = n / points[:, None]
    u, p = np.diag(q), w[:, None] * q
    np.testing.assert_allclose(found.users.error**2, u * (1 - u) / (points - 1), atol=1e-12)
    np.testing.assert_allclose(float(found.overall.error) ** 2, (w**2 * u * (1 - u) / (points - 1)).sum(), atol=1e-12)
    np.testing.assert_allclose(found.share.error**2, ((w[:, None] * p - p**2) / (points - 1)[:, None]).sum(0), atol=1e-12)
    for j in range(3):
        total, right = (size * q[:, j]).sum(), p[j, j] / p[:, j].sum()
        others = sum(size[i] ** 2 * q[i, j] * (1 - q[i, j]) / (points[i] - 1) for i in range(3) if i != j)
        variance = (size[j] ** 2 * (1 - right) ** 2 * u[j] * (1 - u[j]) / (points[j] - 1) + right**2 * others) / total**2
        np.testing.assert_allclose([found.producers.value[j], found.producers.error[j] ** 2], [right, variance], rtol=1e-6, atol=1e-12)


def test_strata_of_an_older_map():
    # Two strata of sizes 3 and 1; the counts by map and reference class within each.
    found = area_accuracy([[[8, 2], [0, 10]], [[4, 0], [4, 12]]], [3, 1], ["a", "b"], strata=["old a", "old b"])
    np.testing.assert_allclose(found.confusion, [[0.75 * 0.4 + 0.25 * 0.2, 0.75 * 0.1], [0.25 * 0.2, 0.75 * 0.5 + 0.25 * 0.6]])
    np.testing.assert_allclose(found.users.value, [0.35 / 0.425, 0.525 / 0.575])
    residuals = np.array([1 - 0.35 / 0.425] * 8 + [-0.35 / 0.425] * 2 + [0] * 10), np.array([1 - 0.35 / 0.425] * 4 + [0] * 16)
    variance = sum(w**2 * r.var(ddof=1) / 20 for w, r in zip((0.75, 0.25), residuals, strict=True)) / 0.425**2
    assert float(found.users.error[0]) == pytest.approx(variance**0.5)


def test_the_example_of_stehman_2014():
    # Forty points in strata that are not the map's classes; the values that the R package mapac prints for them.
    strata, reference, mapped = np.repeat(range(4), 10), "AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB", "AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD"
    counts = np.zeros((4, 4, 4))
    for h, i, j in zip(strata, mapped, reference, strict=True):
        counts[h, "ABCD".index(i), "ABCD".index(j)] += 1
    found = area_accuracy(counts, [40_000, 30_000, 20_000, 10_000], "ABCD")
    np.testing.assert_allclose(found.users.value[:3], [0.7419355, 0.5744681, 0.5], atol=1e-7)
    np.testing.assert_allclose(found.users.error[:3], [0.1645627, 0.1248023, 0.2151657], atol=1e-7)
    np.testing.assert_allclose(found.producers.value[:2], [0.6571429, 0.7941176], atol=1e-7)
    np.testing.assert_allclose(found.producers.error[:2], [0.1477318, 0.1165671], atol=1e-7)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=6))
def test_a_perfect_map_has_the_mapped_areas_and_no_error(sizes):
    found = area_accuracy(np.diag(np.full(len(sizes), 5)), sizes, [str(i) for i in range(len(sizes))], unit_hectares=2)
    np.testing.assert_allclose(found.hectares.value, 2 * np.array(sizes))
    np.testing.assert_allclose([found.overall.value, *found.users.value, *found.producers.value], 1)
    np.testing.assert_allclose(found.share.error**2, 0, atol=1e-12)
    assert found.kappa == pytest.approx(1)
    assert "hide errors" in found.notes[0]


def test_300_simulated_samples_are_covered():
    rng = np.random.default_rng(5)
    w, q = np.array([0.2, 0.3, 0.5]), np.array([[0.8, 0.1, 0.1], [0.1, 0.75, 0.15], [0.05, 0.1, 0.85]])
    table = w[:, None] * q
    hits = []
    for _ in range(300):
        found = area_accuracy(rng.multinomial([200, 200, 200], q), w, "abc")
        pairs = ((found.overall, np.trace(table)), (found.users, np.diag(q)), (found.producers, np.diag(table) / table.sum(0)), (found.share, table.sum(0)))
        hits.append([np.mean(np.abs(of.value - truth) <= of.half_width) for of, truth in pairs])
    # 300 draws at 95 % have a standard deviation of 1.3 points.
    assert np.all((np.mean(hits, 0) > 0.91) & (np.mean(hits, 0) < 0.985))


def test_a_class_without_map_or_reference_is_none_in_json():
    found = area_accuracy([[5, 0, 2], [1, 0, 6], [0, 0, 0]], [10, 20, 0], ["a", "b", "c"])
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert record["users"]["value"][2] is None and record["producers"]["value"][1] is None and record["area_ha"] is None
    # Class c is never mapped, so none of its points is right; b is never right and has no reference point.
    assert record["producers"]["value"][2] == 0
    assert [note.split(" is ")[0][-1] for note in found.notes[:4]] == ["b", "c", "c", "b"]
    assert "of the area of a, c:" in found.notes[4]


@pytest.mark.parametrize("row, points", [([0, 0], "0"), ([1, 0], "1")])
def test_fewer_than_two_points_name_the_class(row, points):
    with pytest.raises(LabelError, match=f"'reed' .*fewer than two points .{points}."):
        area_accuracy([[5, 0], row], [10, 10], ["water", "reed"])


@pytest.mark.parametrize("counts, sizes", [([[5, 0]], [1, 1]), ([[5, 0], [0, -5]], [1, 1]), ([[5, 0], [0, 5]], [1, 0]), ([[5, 0], [0, 5]], [1, np.nan])])
def test_counts_that_do_not_fit(counts, sizes):
    with pytest.raises(LabelError):
        area_accuracy(counts, sizes, ["a", "b"])


def test_sample_size_by_hand():
    # (0.02 * 0.4583 + 0.015 * 0.4899 + 0.32 * 0.3 + 0.645 * 0.2179)^2 / 0.01^2 = 640.5
    assert plan_sample(PIXELS, [0.7, 0.6, 0.9, 0.95], 0.01) == 641
    assert plan_sample([1, 1], 0.5, 0.05) == 100


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8), st.integers(0, 2000), st.booleans())
def test_allocation_spends_the_total_and_keeps_the_minimum(sizes, extra, equal):
    total = 50 * len(sizes) + extra
    points = allocate(total, sizes, equal=equal)
    assert points.sum() == total and points.min() >= 50
    if equal:
        assert np.ptp(points) <= 1


def test_allocation_of_the_rest_is_proportional():
    assert allocate(1000, [1, 300, 600]).tolist() == [50, 317, 633]
    assert allocate(100, [0, 1, 1]).tolist() == [0, 50, 50]


def test_plans_out_of_range():
    for call in (lambda: plan_sample([1], 1.2, 0.1), lambda: plan_sample([1], 0.8, 0), lambda: allocate(99, [1, 1]), lambda: allocate(9, [1], 1)):
        with pytest.raises(OptionError):
            call()
