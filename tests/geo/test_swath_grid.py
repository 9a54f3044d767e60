"""The map grid around a swath."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from hsikit.errors import GridError, OptionError
from hsikit.geo.swath_grid import map_grid, suitable_crs

from .swaths import tilted_positions


@pytest.mark.parametrize(
    ("lon", "lat", "crs"),
    [(12.0, 52.0, "EPSG:32633"), (-70.0, -33.0, "EPSG:32719"), (179.9, 10.0, "EPSG:32660"), (0.0, 86.0, "EPSG:3413"), (100.0, -88.0, "EPSG:3031")],
)
def test_a_small_swath_gets_the_crs_of_its_part_of_the_world(lon, lat, crs):
    assert suitable_crs(*tilted_positions((5, 4), lon, lat)) == crs


def test_a_wide_swath_gets_an_equal_area_map_about_its_centre():
    lon, lat = np.meshgrid(np.linspace(-20, 20, 30), np.linspace(20, 40, 20))
    system = CRS.from_user_input(suitable_crs(lon, lat))
    conversion = system.coordinate_operation
    assert "Equal Area" in conversion.method_name and [conversion.params[i].value for i in (0, 1)] == [round(conversion.params[0].value), 0]


@settings(max_examples=40)
@given(st.floats(-180, 180), st.floats(-85, 85), st.floats(0, 360), st.sampled_from([None, "EPSG:4326"]), st.sampled_from([None, "fine"]))
def test_every_pixel_lies_on_the_grid_and_the_grid_holds_no_more(lon, lat, angle, crs, fine):
    lons, lats = tilted_positions((9, 7), lon, lat, angle=angle)
    resolution = None if fine is None else (0.0007 if crs else 70.0)
    grid = map_grid(lons, lats, 110.0, resolution=resolution, crs=crs)
    x, y = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True).transform(lons, lats)
    width, height = grid.pixel_size
    if crs:
        x = grid.bounds[0] + (x - grid.bounds[0]) % 360
    cols, rows = (x - grid.transform[2]) / width, (grid.transform[5] - y) / height
    assert cols.min() >= 0.49 and rows.min() >= 0.49 and cols.max() <= grid.shape[1] - 0.49 and rows.max() <= grid.shape[0] - 0.49
    assert cols.min() <= 1.51 and rows.min() <= 1.51 and cols.max() >= grid.shape[1] - 1.51 and rows.max() >= grid.shape[0] - 1.51
    assert grid.transform[2] / width == pytest.approx(round(grid.transform[2] / width), abs=1e-4)


def test_a_grid_across_the_date_line_goes_on_beyond_it():
    lon, lat = tilted_positions((20, 20), 179.995, 0.0)
    left, _, right, _ = map_grid(lon, lat, 110.0, crs="EPSG:4326").bounds
    assert left < 180 < right and right - left < 1


def test_a_geographic_grid_around_a_pole_holds_all_longitudes():
    lon, lat = np.meshgrid(np.linspace(-180, 170, 36), np.linspace(88, 89.9, 5))
    left, _, right, top = map_grid(lon, lat, 5000.0, crs="EPSG:4326").bounds
    assert left <= -180 and right >= 180 and top >= 90


def test_feet_are_no_metres():
    lon, lat = tilted_positions((9, 7), -74.0, 40.7)
    metres, feet = map_grid(lon, lat, 100.0, crs="EPSG:32618"), map_grid(lon, lat, 100.0, crs="EPSG:2263")
    assert feet.pixel_size[0] * 0.3048 == pytest.approx(metres.pixel_size[0], rel=2e-3)


@pytest.mark.parametrize("crs", ["EPSG:999999", "nonsense", "EPSG:4978"])
def test_a_crs_that_is_none_of_maps_is_refused(crs):
    with pytest.raises(GridError, match=crs):
        map_grid(*tilted_positions((3, 3)), 100.0, crs=crs)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), 1e-3])
def test_a_resolution_that_is_none_is_refused(bad):
    with pytest.raises(OptionError, match="res"):
        map_grid(*tilted_positions((40, 30)), 100.0, resolution=bad, crs="EPSG:32633")
