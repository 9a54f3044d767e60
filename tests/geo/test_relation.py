from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.errors import GridError
from hsikit.geo.grid import IDENTITY, Grid, Window, tile_windows
from hsikit.geo.relation import Relation, relate

UTM = "EPSG:32633"
ratios = st.sampled_from([F(1), F(1, 2), F(1, 3), F(1, 6), F(2, 5), F(3, 7), F(5, 2), F(12, 5)])
shifts = st.fractions(min_value=-40, max_value=40, max_denominator=12)


def grid(shape, pixel, left, top, crs=UTM):
    return Grid(shape, (pixel, 0.0, left, 0.0, -pixel, top), crs)


def pair(zoom, phase, shape=(300, 260)):
    """A reference grid of 5 m pixels and another whose relation to it is known."""
    pixel = 5.0 / float(zoom)
    left, top = 400_000.0 - float(phase[1]) * pixel, 5_800_000.0 + float(phase[0]) * pixel
    return grid(shape, 5.0, 400_000.0, 5_800_000.0), grid((2000, 2000), pixel, left, top)


def apply(place, border):
    a, b, c, d, e, f = place.transform
    return a * border + b * border + c, d * border + e * border + f


def solve(place, x, y):
    a, b, c, d, e, f = place.transform
    return np.linalg.solve([[a, b], [d, e]], [x - c, y - f])


@given(ratios, shifts.filter(lambda p: p > -0.0), shifts.filter(lambda p: p > -0.0))
def test_the_ratio_and_the_shift_of_two_transforms_are_found_exactly(zoom, row, col):
    found = relate(*pair(zoom, (row, col)))
    assert found == Relation((zoom, zoom), (row, col))


@given(st.floats(0.05, 20), st.floats(0, 30), st.floats(0, 30))
def test_any_ratio_agrees_with_the_transforms_to_a_hundred_thousandth_of_a_pixel(zoom, row, col):
    reference, other = pair(zoom, (row, col))
    found = relate(reference, other)
    for axis, size in enumerate(reference.shape):
        for border in (0, size // 2, size):
            x, y = apply(reference, border)
            exact = solve(other, x, y)[1 - axis]
            assert abs(float(found.border(border, axis)) - exact) <= 1e-5 + 1e-8


@given(ratios, shifts, shifts, st.integers(1, 60), st.integers(1, 60))
def test_windows_of_tiles_cover_the_other_grid_once(zoom, row, col, high, wide):
    relation = Relation((zoom, zoom), (row, col))
    area = Window(-7, 3, 83, 61)
    whole = relation.window(area)
    count = np.zeros(whole.shape, int)
    for tile in tile_windows(area, (high, wide)):
        count[relation.window(tile).slices((whole.row, whole.col))] += 1
    assert (count == 1).all()


@given(ratios, shifts, st.integers(-500, 10**6), st.integers(1, 30))
def test_positions_are_pixel_centres(zoom, phase, start, count):
    relation = Relation((F(1), zoom), (F(0), phase))
    whole, rest = relation.positions(start, count, 1)
    exact = [(start + i + F(1, 2)) * zoom + phase - F(1, 2) for i in range(count)]
    assert [int(w) for w in whole] == [p.__floor__() for p in exact]
    np.testing.assert_allclose(rest, [float(p - p.__floor__()) for p in exact], rtol=0, atol=1e-15)
    borders, part = relation.borders(start, count, 1)
    np.testing.assert_allclose(borders + part, [float((start + i) * zoom + phase) for i in range(count)], rtol=1e-15)


@given(ratios, shifts, shifts, st.integers(-50, 50))
def test_the_inverse_leads_back(zoom, row, col, border):
    relation = Relation((zoom, 1 / zoom), (row, col))
    assert relation.inverse.inverse == relation
    for axis in (0, 1):
        there = relation.border(border, axis)
        assert there * relation.inverse.zoom[axis] + relation.inverse.phase[axis] == border


def test_a_small_window_of_a_coarser_grid_may_be_empty():
    assert Relation((F(1, 6), F(1, 6))).window(Window(0, 0, 2, 2)) == Window(0, 0, 0, 0)


def test_the_same_rotation_on_both_is_no_rotation():
    c, s = np.cos(0.3), np.sin(0.3)
    fine, coarse = (Grid((60, 60), (p * c, p * s, 5e5, p * s, -p * c, 4e6), UTM) for p in (10, 30))
    assert relate(fine, coarse) == Relation((F(1, 3), F(1, 3)))


def test_the_same_crs_in_other_words_is_the_same():
    from pyproj import CRS

    fine, coarse = pair(F(1, 3), (F(0), F(0)))
    assert relate(fine, Grid(coarse.shape, coarse.transform, CRS(UTM).to_wkt())).zoom[0] == F(1, 3)


PLACED = grid((90, 60), 5.0, 400_000.0, 5_800_000.0)
BAD = {
    "their CRS differ: WGS 84 / UTM zone 33N and WGS 84 / UTM zone 32N": grid((30, 20), 15.0, 400_000.0, 5_800_000.0, "EPSG:32632"),
    "rotated against each other": Grid((30, 20), (15.0, 0.4, 400_000.0, 0.4, -15.0, 5_800_000.0), UTM),
    "mirrored": Grid((30, 20), (15.0, 0.0, 400_000.0, 0.0, 15.0, 5_799_000.0), UTM),
    "do not overlap": grid((30, 20), 15.0, 500_000.0, 5_800_000.0),
    "no georeference": Grid((30, 20)),
    "CRS cannot be read": grid((30, 20), 15.0, 400_000.0, 5_800_000.0, "EPSG:nonsense"),
}


@pytest.mark.parametrize("wrong", BAD)
def test_grids_that_do_not_fit_are_refused_by_name(wrong):
    with pytest.raises(GridError, match=wrong) as caught:
        relate(PLACED, BAD[wrong], ("pan.tif", "hs.tif"))
    assert "hs.tif" in str(caught.value)


def test_grids_without_crs_cover_the_same_ground():
    assert relate(Grid((216, 174)), Grid((72, 58))) == Relation((F(1, 3), F(1, 3)))
    assert relate(Grid((50, 40)), Grid((20, 40))).zoom == (F(2, 5), F(1))
    fine, coarse = grid((90, 60), 5.0, 10.0, 50.0, None), grid((30, 20), 15.0, 10.0, 50.0, None)
    assert relate(fine, coarse).zoom == (F(1, 3), F(1, 3))
    with pytest.raises(GridError, match="neither has a CRS, and their extents differ"):
        relate(fine, grid((30, 20), 15.0, 40.0, 50.0, None))
    assert relate(Grid((90, 60), IDENTITY, UTM), Grid((30, 20))).zoom == (F(1, 3), F(1, 3))
