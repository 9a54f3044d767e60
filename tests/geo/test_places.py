"""Where pixel centres lie, on map grids and in swaths, and which pixel a point falls in."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

import hsikit.geo.places as places_module
from hsikit.errors import GridError, OptionError
from hsikit.geo.bbox import window_of
from hsikit.geo.grid import Grid, Window
from hsikit.geo.inside import points_inside
from hsikit.geo.pixels_at import OUTSIDE, pixels_at
from hsikit.geo.places import CentresIn, places_of
from hsikit.geo.swath import swath_of_arrays
from tests.geo.swaths import tilted_positions, tilted_swath

MAP = Grid((60, 50), (30.0, 2.0, 300_000.0, 1.0, -30.0, 5_800_000.0), "EPSG:32633")


def known(places):
    assert places is not None
    return places


def test_a_scene_without_georeference_has_no_places():
    assert places_of(Grid((3, 4)), None) is None


@settings(max_examples=20)
@given(row=st.integers(0, 39), col=st.integers(0, 29), rows=st.integers(1, 40), cols=st.integers(1, 30), on_map=st.booleans())
def test_any_window_is_a_part_of_the_whole_and_of_single_pixels(row, col, rows, cols, on_map):
    grid = Grid((40, 30), MAP.transform, MAP.crs)
    places = known(places_of(grid, None) if on_map else places_of(Grid((40, 30)), tilted_swath()))
    window = Window(row, col, rows, cols).intersect(Window.whole((40, 30)))
    whole, part = places.centres(Window.whole((40, 30))), places.centres(window)
    at = places.at(*(index.ravel() for index in np.mgrid[window.row : window.row_end, window.col : window.col_end]))
    for axis in (0, 1):
        np.testing.assert_array_equal(part[axis], whole[axis][window.slices()])
        np.testing.assert_array_equal(at[axis], part[axis].ravel())


def test_single_pixels_of_a_swath_come_strip_by_strip(monkeypatch):
    monkeypatch.setattr(places_module, "STRIP_PIXELS", 90)
    lon, lat = tilted_positions()
    rows, cols = np.random.default_rng(0).integers(0, (40, 30), (50, 2)).T
    x, y = known(places_of(Grid((40, 30)), swath_of_arrays(lon, lat))).at(rows, cols)
    np.testing.assert_array_equal(x, lon[rows, cols])
    np.testing.assert_array_equal(y, lat[rows, cols])


def test_the_bounds_of_a_swath_hold_all_its_pixels():
    lon, lat = tilted_positions(shape=(300, 20), bend=0.5)
    left, bottom, right, top = known(places_of(Grid((300, 20)), swath_of_arrays(lon, lat))).bounds
    assert left <= lon.min() and right >= lon.max() and bottom <= lat.min() and top >= lat.max()
    assert right - left < 1.2 * np.ptp(lon) and top - bottom < 1.2 * np.ptp(lat)


def test_a_swath_without_any_position_is_refused():
    nowhere = np.full((4, 5), np.nan)
    with pytest.raises(GridError, match="positions of its pixels are missing"):
        _ = known(places_of(Grid((4, 5)), swath_of_arrays(nowhere, nowhere))).bounds


def test_centres_in_another_crs_are_pyprojs():
    lon, lat = tilted_positions()
    x, y = CentresIn(known(places_of(Grid((40, 30)), swath_of_arrays(lon, lat))), "EPSG:32633").centres(Window(3, 4, 5, 6))
    expected = Transformer.from_crs(4326, 32633, always_xy=True).transform(lon[3:8, 4:10], lat[3:8, 4:10])
    np.testing.assert_allclose((x, y), expected, atol=1e-6)
    with pytest.raises(GridError, match="cannot be related"):
        CentresIn(known(places_of(MAP, None)), "EPSG:99999999")


def test_points_on_a_map_fall_in_the_pixel_around_them():
    rng = np.random.default_rng(1)
    rows, cols = rng.integers(0, 60, 200), rng.integers(0, 50, 200)
    a, b, c, d, e, f = MAP.transform
    col, row = cols + rng.uniform(0.01, 0.99, 200), rows + rng.uniform(0.01, 0.99, 200)
    x, y = a * col + b * row + c, d * col + e * row + f
    places = known(places_of(MAP, None))
    got = pixels_at(places, x, y, MAP.crs)
    np.testing.assert_array_equal(got, (rows, cols))
    lonlat = Transformer.from_crs(MAP.crs, 4326, always_xy=True).transform(x, y)
    np.testing.assert_array_equal(pixels_at(places, *lonlat, "EPSG:4326"), (rows, cols))
    assert pixels_at(places, np.array([0.0]), np.array([0.0]), MAP.crs)[0].tolist() == [OUTSIDE]
    with pytest.raises(GridError, match="EPSG:1: is no CRS"):
        pixels_at(places, x, y, "EPSG:1")


@pytest.mark.parametrize(("lon", "lat"), [(12.0, 52.0), (179.99, 10.0), (0.0, 89.96)])
def test_points_in_a_swath_fall_in_the_nearest_pixel(monkeypatch, lon, lat):
    monkeypatch.setattr(places_module, "STRIP_PIXELS", 200)
    positions = tilted_positions(lon=lon, lat=lat)
    places = known(places_of(Grid((40, 30)), swath_of_arrays(*positions)))
    rng = np.random.default_rng(2)
    rows, cols = rng.integers(0, 40, 60), rng.integers(0, 30, 60)
    x = positions[0][rows, cols] + rng.uniform(-2e-4, 2e-4, 60) / np.cos(np.radians(lat))
    y = positions[1][rows, cols] + rng.uniform(-2e-4, 2e-4, 60)
    np.testing.assert_array_equal(pixels_at(places, x, y, "EPSG:4326"), (rows, cols))


def test_points_beside_a_swath_fall_nowhere():
    lon, lat = tilted_positions(angle=0.0, bend=0.0)
    lon[10, 10] = np.nan
    places = known(places_of(Grid((40, 30)), swath_of_arrays(lon, lat)))
    step = lon[0, 1] - lon[0, 0]
    x = np.array([lon[0, 0] - 0.45 * step, lon[0, 0] - 0.9 * step, lon[5, 29] + step, np.nan, 12.0])
    y = np.array([lat[0, 0], lat[0, 0], lat[5, 29], 52.0, -52.0])
    assert pixels_at(places, x, y, "EPSG:4326")[0].tolist() == [0, OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE]


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_points_inside_are_shapelys(seed):
    rng = np.random.default_rng(seed)
    polygon = shapely.Point(*rng.uniform(3, 7, 2)).buffer(rng.uniform(1, 3)).difference(shapely.box(4, 4, 5, 5))
    x, y = rng.uniform(0, 10, (2, 7, 9))
    x[0, 0], y[1, 1] = np.nan, np.inf
    expected = [[shapely.Point(a, b).within(polygon) if np.isfinite(a + b) else False for a, b in zip(*rows, strict=True)] for rows in zip(x, y, strict=True)]
    np.testing.assert_array_equal(points_inside(polygon, x, y), expected)


def test_a_box_in_a_swath_is_the_smallest_window_of_the_centres_in_it():
    lon, lat = tilted_positions()
    swath, grid = swath_of_arrays(lon, lat), Grid((40, 30))
    box = (float(lon[20, 15]) - 0.004, float(lat[20, 15]) - 0.003, float(lon[20, 15]) + 0.004, float(lat[20, 15]) + 0.003)
    inside = (lon >= box[0]) & (lon <= box[2]) & (lat >= box[1]) & (lat <= box[3])
    rows, cols = np.nonzero(inside)
    window = window_of(grid, box, None, "granule", swath)
    assert window == Window(rows.min(), cols.min(), np.ptp(rows) + 1, np.ptp(cols) + 1)
    utm = Transformer.from_crs(4326, 32633, always_xy=True).transform_bounds(*box)
    assert window_of(grid, utm, "EPSG:32633", "granule", swath).intersect(window).size == window.size
    with pytest.raises(GridError, match=r"granule: --bbox lies outside it; it reaches from 1[12]"):
        window_of(grid, (0, 0, 1, 1), None, "granule", swath)
    with pytest.raises(OptionError, match=r"--bbox-crs: 'EPSG:1' cannot be used"):
        window_of(grid, box, "EPSG:1", "granule", swath)
