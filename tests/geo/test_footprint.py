"""Outlines of swaths; those of map grids are tested with the STAC items that carry them."""

from __future__ import annotations

import numpy as np
from shapely import Point, Polygon
from shapely.geometry import shape

from hsikit.geo.footprint import footprint
from hsikit.geo.grid import Grid
from hsikit.geo.swath import swath_of_arrays

from .swaths import tilted_positions, tilted_swath


def outline(lon, lat):
    swath = swath_of_arrays(lon, lat)
    return footprint(Grid(swath.shape), swath)


def test_an_outline_runs_through_the_outermost_pixels():
    lon, lat = tilted_positions((60, 45), bend=0.3)
    geometry, bbox = outline(lon, lat)
    polygon = shape(geometry)
    assert polygon.is_valid and geometry["type"] == "Polygon"
    inner = [Point(x, y) for x, y in zip(lon[1:-1:7, 1:-1:7].ravel(), lat[1:-1:7, 1:-1:7].ravel(), strict=True)]
    assert all(polygon.buffer(1e-5).contains(point) for point in inner)
    edge = [line for at in (lon, lat) for line in [np.concatenate([at[:, 0], at[-1, 1:], at[-2::-1, -1], at[0, -2::-1]])]]
    assert polygon.symmetric_difference(Polygon(np.column_stack(edge))).area < 0.005 * polygon.area
    np.testing.assert_allclose(bbox, [lon.min(), lat.min(), lon.max(), lat.max()], atol=2e-3)


def test_an_outline_across_the_date_line_is_two_polygons():
    geometry, bbox = outline(*tilted_positions((30, 30), lon=179.98, lat=10.0))
    assert geometry["type"] == "MultiPolygon" and bbox[0] > 0 > bbox[2]


def test_a_pole_within_has_no_outline():
    east, north = np.meshgrid(np.linspace(-1, 1, 20), np.linspace(1, -1, 20))
    assert outline(np.degrees(np.arctan2(east, -north)), 90 - np.hypot(east, north)) == (None, None)


def test_missing_positions_on_the_edge_are_left_out():
    lon, lat = tilted_positions((30, 20))
    lon[:3], lat[:3] = np.nan, np.nan
    geometry, bbox = outline(lon, lat)
    assert shape(geometry).is_valid and np.isfinite(bbox).all()
    assert outline(np.full((4, 4), np.nan), np.full((4, 4), np.nan)) == (None, None)


def test_a_swath_of_one_line_has_no_outline_that_encloses_anything():
    geometry, _ = footprint(Grid((1, 30)), tilted_swath(shape=(1, 30)))
    assert geometry is None or shape(geometry).area < 1e-9
