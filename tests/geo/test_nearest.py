"""Lookup tables from positions: the nearest measurement, as brute force finds it, anywhere on the globe."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.nearest import EARTH_RADIUS, Positions, make_table, on_sphere
from hsikit.geo.swath import NOTHING, swath_of_arrays
from hsikit.geo.swath_grid import to_longitude_latitude

from .swaths import tilted_positions, tilted_swath


def brute_force(lon, lat, at_lon, at_lat, radius):
    """Number of the nearest pixel by all distances, NOTHING beyond the radius."""
    away = EARTH_RADIUS * np.linalg.norm(on_sphere(at_lon, at_lat)[:, None] - on_sphere(lon.ravel(), lat.ravel())[None], axis=-1)
    away = np.where(np.isnan(away), np.inf, away)
    return np.where(away.min(axis=1) <= radius, away.argmin(axis=1), NOTHING), away.min(axis=1)


@settings(max_examples=30)
@given(st.floats(-180, 180), st.floats(-89.9, 89.9), st.floats(0, 360), st.integers(0, 1000))
def test_the_nearest_pixel_is_found_anywhere_on_the_globe(lon, lat, angle, seed):
    rng = np.random.default_rng(seed)
    lons, lats = tilted_positions((7, 9), lon, min(max(lat, -89.5), 89.5), angle=angle)
    lats = np.clip(lats, -90, 90)
    lons[2, 3] = lats[2, 3] = np.nan
    at_lon, at_lat = rng.choice(lons[0], 20) + rng.normal(0, 0.003, 20), np.clip(rng.choice(lats[0], 20) + rng.normal(0, 0.003, 20), -90, 90)
    found, distance = Positions(lons, lats).nearest(at_lon + 360 * rng.integers(-1, 2, 20), at_lat, 300.0)
    wanted, away = brute_force(lons, lats, at_lon, at_lat, 300.0)
    assert ((found >= 0) == (wanted >= 0)).all()
    near = found >= 0
    np.testing.assert_allclose(distance[near], away[near], atol=1e-3)
    assert np.isinf(distance[~near]).all()


def test_distances_are_those_on_the_ground():
    lon, lat = tilted_positions((3, 3), 12.0, 52.0)
    down, across = Positions(lon, lat).steps
    _, _, truth = Geod(ellps="WGS84").inv(lon[0, 0], lat[0, 0], lon[1, 0], lat[1, 0])
    assert down[0, 0] == pytest.approx(truth, rel=5e-3)
    _, _, truth = Geod(ellps="WGS84").inv(lon[0, 0], lat[0, 0], lon[0, 1], lat[0, 1])
    assert across[0, 0] == pytest.approx(truth, rel=5e-3)


@settings(max_examples=30)
@given(st.integers(0, 5), st.integers(0, 7), st.floats(-0.49, 0.49), st.floats(-0.49, 0.49))
def test_a_known_place_on_the_ground_lands_in_the_map_pixel_that_holds_it(row, col, down, right):
    """Corners and centres are not mixed up: from centre to just inside each edge it is the same pixel."""
    grid = Grid((6, 8), (60.0, 0.0, 500_000.0, 0.0, -60.0, 5_000_000.0), "EPSG:32633")
    x, y = 500_000 + 60 * (col + 0.5 + right), 5_000_000 - 60 * (row + 0.5 + down)
    far = 10_000
    lon, lat = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform([x, x + far], [y, y])
    table = make_table(swath_of_arrays(np.array([lon]), np.array([lat])), grid, radius=50.0).read(grid.whole)
    assert np.argwhere(table.filled & ~table.infill).tolist() == [[row, col]]
    assert table.rows[row, col] == 0 and table.cols[row, col] == 0


@pytest.mark.parametrize(("lon", "lat"), [(12.0, 52.0), (179.99, -16.0), (-75.0, 0.0), (40.0, 89.95), (0.0, -89.9)])
def test_tables_equal_brute_force(lon, lat):
    lons, lats = tilted_positions((12, 10), lon, lat, angle=33)
    lats = np.clip(lats, -90, 90)
    table = make_table(swath_of_arrays(lons, lats), radius=90.0)
    found = table.read(table.grid.whole)
    at = to_longitude_latitude(table.grid, table.grid.whole)
    wanted, away = brute_force(lons, lats, *at, 90.0)
    numbers = np.where(found.filled, found.rows * 10 + found.cols, NOTHING).ravel()
    chosen = EARTH_RADIUS * np.linalg.norm(on_sphere(*at) - on_sphere(lons, lats).reshape(-1, 3)[numbers], axis=-1)
    assert ((numbers >= 0) == (wanted >= 0)).all() and found.filled.any()
    np.testing.assert_allclose(chosen[numbers >= 0], away[numbers >= 0], atol=1e-3)


def test_infill_is_every_use_of_a_measurement_but_the_nearest():
    table = make_table(tilted_swath(shape=(30, 25)), resolution=40.0)
    found = table.read(table.grid.whole)
    numbers = (found.rows * 25 + found.cols)[found.filled]
    own = (found.rows * 25 + found.cols)[found.filled & ~found.infill]
    assert len(np.unique(own)) == len(own) and set(own) == set(numbers)
    assert not found.infill[~found.filled].any()
    at = on_sphere(*to_longitude_latitude(table.grid, table.grid.whole)).reshape(*table.grid.shape, 3)
    away = np.linalg.norm(at - on_sphere(*tilted_positions((30, 25)))[found.rows, found.cols], axis=-1)
    for number in np.unique(numbers)[::7]:
        uses = found.filled & (found.rows * 25 + found.cols == number)
        assert away[uses & ~found.infill].item() == pytest.approx(away[uses].min(), abs=1e-9)


def test_strips_of_the_map_do_not_show(monkeypatch):
    whole = make_table(tilted_swath(), resolution=50.0)
    monkeypatch.setattr("hsikit.geo.nearest.STRIP_PIXELS", 100)
    monkeypatch.setattr("hsikit.geo.nearest.READ_PIXELS", 100)
    strips = make_table(tilted_swath(), resolution=50.0)
    a, b = (table.read(table.grid.whole) for table in (whole, strips))
    assert (a.rows == b.rows).all() and (a.cols == b.cols).all() and (a.infill == b.infill).all()


def test_a_window_of_a_table_is_a_part_of_the_whole():
    table = make_table(tilted_swath())
    part = table.read(Window(3, 5, 7, 4))
    assert (part.rows == table.read(table.grid.whole).rows[3:10, 5:9]).all()


def test_the_default_radius_leaves_no_gap_inside_a_swath():
    lon, lat = tilted_positions((60, 50), bend=0.2)
    table = make_table(swath_of_arrays(lon, lat))
    found = table.read(table.grid.whole)
    assert 0.8 < found.filled.sum() / (60 * 50) < 1.4
    from scipy.ndimage import binary_fill_holes

    assert (binary_fill_holes(found.filled) == found.filled).all()


@pytest.mark.parametrize("bad", [0.0, -5.0, float("nan"), float("inf")])
def test_a_radius_that_is_none_is_refused(bad):
    with pytest.raises(OptionError, match="radius"):
        make_table(tilted_swath(), radius=bad)


def test_positions_that_are_missing_are_refused():
    nowhere = np.full((3, 4), np.nan)
    with pytest.raises(GridError, match=r"emit\.nc.*position"):
        make_table(swath_of_arrays(nowhere, nowhere), name="emit.nc")


def test_a_grid_and_a_resolution_are_one_too_many():
    with pytest.raises(OptionError, match="either"):
        make_table(tilted_swath(), Grid((2, 2), (1.0, 0, 0, 0, -1.0, 0), "EPSG:32633"), resolution=3.0)


def test_a_grid_without_a_place_is_refused():
    with pytest.raises(GridError, match="no georeference"):
        make_table(tilted_swath(), Grid((2, 2)))
