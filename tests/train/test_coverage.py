from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from hsikit.train import coverage
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


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_every_pixel_against_cutting_it_out(seed, snap):
    """Holes, several parts, borders along pixels' edges, and shapes that reach over the grid."""
    rng = np.random.default_rng(seed)
    angle, radius = np.sort(rng.uniform(0, 2 * np.pi, 8)), rng.uniform(0.3, 9, 8)
    centre = rng.uniform(-2, 14, 2)
    star = shapely.polygons(centre + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])).buffer(0)
    shape = star.difference(shapely.Point(centre).buffer(1.1)).union(shapely.box(*(centre + 5), *(centre + 7.25)))
    shape = shapely.make_valid(shapely.transform(shape, lambda xy: np.round(xy * 2) / 2)) if snap else shape
    rows, cols = np.mgrid[0:12, 0:13]
    areas = shapely.multipolygons([p for p in shapely.get_parts(shapely.get_parts(shape)) if shapely.get_dimensions(p) == 2 and not p.is_empty])
    expected = shapely.area(shapely.intersection(areas, shapely.box(cols, rows, cols + 1, rows + 1)))
    np.testing.assert_allclose(as_map(shape, (12, 13)), expected, atol=2e-9)


def test_lines_beside_a_polygon_cover_nothing_even_over_the_edge():
    mixed = shapely.GeometryCollection([shapely.box(1, 1, 6, 2), shapely.LineString([(0, 0), (9, 9)])])
    assert as_map(mixed, (4, 4)).sum() == 3


def test_a_large_shape_goes_by_strips(monkeypatch):
    disc = shapely.Point(30, 31).buffer(28)
    whole = as_map(disc, (60, 64))
    monkeypatch.setattr(coverage, "STRIP_PIXELS", 100)
    assert np.array_equal(as_map(disc, (60, 64)), whole)


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
