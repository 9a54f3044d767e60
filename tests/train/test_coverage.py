from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from hsikit.train.coverage import covered_pixels


def as_map(shape, size):
    rows, cols, share = covered_pixels(shape, size)
    out = np.zeros(size)
    assert len({*zip(rows.tolist(), cols.tolist(), strict=True)}) == len(rows)
    out[rows, cols] = share
    return out


@given(st.integers(0, 2**32 - 1))
def test_shares_add_up_to_the_area(seed):
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
    radius = rng.uniform(2, 40, 9)
    polygon = shapely.make_valid(shapely.polygons(np.column_stack([50 + radius * np.cos(angle), 45 + radius * np.sin(angle)])))
    assert as_map(polygon, (100, 110)).sum() == pytest.approx(polygon.area, rel=1e-9)


def test_shares_against_fine_sampling():
    polygon = shapely.Point(33.3, 31.7).buffer(20.4)
    step = (np.arange(8) + 0.5) / 8
    y, x = (g.ravel() for g in np.meshgrid((np.arange(64)[:, None] + step).ravel(), (np.arange(70)[:, None] + step).ravel(), indexing="ij"))
    inside = shapely.contains_xy(polygon, x, y).reshape(64, 8, 70, 8).mean(axis=(1, 3))
    assert abs(as_map(polygon, (64, 70)) - inside).max() < 0.1


def test_a_rectangle_by_hand_and_its_border_is_no_touch():
    share = as_map(shapely.box(1, 1, 3.25, 2), (4, 5))
    expected = np.zeros((4, 5))
    expected[1, 1:4] = 1, 1, 0.25
    np.testing.assert_allclose(share, expected)


def test_what_lies_outside_is_left_out():
    assert as_map(shapely.box(-5, -5, 2, 1), (3, 3)).sum() == 2
    assert len(covered_pixels(shapely.box(10, 10, 12, 12), (3, 3))[0]) == 0


def test_points_take_their_pixel_once():
    rows, cols, share = covered_pixels(shapely.MultiPoint([(0.5, 0.5), (0.9, 0.1), (2.0, 1.0), (9, 9)]), (3, 3))
    assert sorted(zip(rows.tolist(), cols.tolist(), share.tolist(), strict=True)) == [(0, 0, 1.0), (1, 2, 1.0)]
