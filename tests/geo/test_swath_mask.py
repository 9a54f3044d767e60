"""Masks over swaths, masks that grow, and what lies outside an area."""

from concurrent.futures import ThreadPoolExecutor

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.geo.mask import Grown, Outside, open_mask, open_polygons
from hsikit.geo.swath import swath_of_arrays
from tests.geo.swaths import tilted_positions
from tests.geo.test_mask import blobs, tiled, write

SHAPE = (40, 30)
BARE = Grid(SHAPE)
LON, LAT = tilted_positions(SHAPE)
SWATH = swath_of_arrays(LON, LAT)


class Held:
    """A mask in memory."""

    def __init__(self, hidden):
        self.hidden, self.identity = hidden, ("held",)

    def read(self, window):
        return self.hidden[window.slices()]

    def close(self):
        pass


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32633", "EPSG:3035"])
def test_polygons_hide_the_centres_inside_in_their_own_crs(tmp_path, crs):
    middle = shapely.Point(*Transformer.from_crs(4326, crs, always_xy=True).transform(LON[20, 15], LAT[20, 15]))
    size = 0.008 if crs == "EPSG:4326" else 800.0
    ring = middle.buffer(size).difference(middle.buffer(size / 4))
    geopandas.GeoDataFrame(geometry=[ring, shapely.box(0, 0, 1, 1)], crs=crs).to_file(tmp_path / "m.gpkg")
    mask = open_mask(tmp_path / "m.gpkg", BARE, "--mask", SWATH)
    expected = shapely.contains_xy(ring, *Transformer.from_crs(4326, crs, always_xy=True).transform(LON, LAT))
    assert 50 < expected.sum() < 1000
    np.testing.assert_array_equal(tiled(mask, BARE, (7, 11)), expected)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(mask.read, [BARE.whole] * 8):
            np.testing.assert_array_equal(found, expected)


def test_polygons_across_the_date_line(tmp_path):
    lon, lat = tilted_positions(SHAPE, lon=179.978, lat=-17.0)
    assert lon.min() < -179 and lon.max() > 179
    x, y = Transformer.from_crs(4326, 32760, always_xy=True).transform(lon, lat)
    disc = shapely.Point(x[20, 15], y[20, 15]).buffer(900)
    geopandas.GeoDataFrame(geometry=[disc], crs=32760).to_file(tmp_path / "m.gpkg")
    got = open_mask(tmp_path / "m.gpkg", BARE, "--mask", swath_of_arrays(lon, lat)).read(BARE.whole)
    np.testing.assert_array_equal(got, shapely.contains_xy(disc, x, y))
    assert len(np.unique(np.sign(lon[got]))) == 2


def test_pixels_without_a_position_are_not_hidden(tmp_path):
    lon = LON.copy()
    lon[5] = np.nan
    geopandas.GeoDataFrame(geometry=[shapely.box(11, 51, 13, 53)], crs=4326).to_file(tmp_path / "m.gpkg")
    got = open_mask(tmp_path / "m.gpkg", BARE, "--mask", swath_of_arrays(lon, LAT)).read(BARE.whole)
    assert not got[5].any() and got[6:].all()


def test_a_raster_is_sampled_at_the_positions(tmp_path):
    grid = Grid((120, 140), (0.0005, 0.0, 11.9797, 0.0, -0.0005, 52.02), "EPSG:4326")
    values = blobs(grid.shape, 3)
    got = tiled(open_mask(write(tmp_path / "m.tif", values, grid), BARE, "--mask", SWATH), BARE, (9, 30))
    col, row = (LON - 11.9797) / 0.0005, (52.02 - LAT) / 0.0005
    inside = (row >= 0) & (row < 120) & (col >= 0) & (col < 140)
    expected = np.where(inside, values[row.clip(0, 119).astype(int), col.clip(0, 139).astype(int)], 0) != 0
    assert expected.any() and not expected.all()
    np.testing.assert_array_equal(got, expected)


def test_a_raster_without_crs_is_matched_pixel_by_pixel(tmp_path):
    values = blobs(SHAPE)
    got = open_mask(write(tmp_path / "m.tif", values, BARE), BARE, "--mask", SWATH)
    np.testing.assert_array_equal(got.read(Window(3, 4, 8, 9)), values[3:11, 4:13] != 0)


def test_what_lies_elsewhere_is_refused(tmp_path):
    geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)], crs=4326).to_file(tmp_path / "far.gpkg")
    with pytest.raises(GridError, match=r"far\.gpkg.*does not overlap"):
        open_mask(tmp_path / "far.gpkg", BARE, "--mask", SWATH)
    far = write(tmp_path / "far.tif", blobs((20, 20)), Grid((20, 20), (0.1, 0.0, 0.0, 0.0, -0.1, 2.0), "EPSG:4326"))
    with pytest.raises(GridError, match=r"far\.tif.*does not overlap"):
        open_mask(far, BARE, "--mask", SWATH)
    with pytest.raises(OptionError, match=r"far\.tif.*--aoi cannot be read as polygons"):
        open_polygons(far, BARE, "--aoi", SWATH)


@settings(max_examples=25)
@given(seed=st.integers(0, 999), reach=st.integers(0, 6), rows=st.integers(1, 20), cols=st.integers(1, 20), share=st.sampled_from([0.0, 0.02, 0.3, 1.0]))
def test_grown_masks_are_brute_force_discs_on_any_tiling(seed, reach, rows, cols, share):
    shape = (20, 17)
    hidden = np.random.default_rng(seed).random(shape) < share
    places = np.argwhere(hidden)
    row, col = np.mgrid[: shape[0], : shape[1]]
    expected = np.zeros(shape, bool)
    for r, c in places:
        expected |= (row - r) ** 2 + (col - c) ** 2 <= reach**2
    mask = Grown([Held(hidden), Held(np.zeros(shape, bool))], Window.whole(shape), reach)
    np.testing.assert_array_equal(tiled(mask, Grid(shape), (rows, cols)), expected)


def test_masks_are_joined_and_an_area_keeps_what_is_inside():
    one, other = blobs(SHAPE, 1) == 1, blobs(SHAPE, 2) == 2
    joined = Grown([Held(one), Outside(Held(other))], BARE.whole)
    np.testing.assert_array_equal(tiled(joined, BARE, (11, 13)), one | ~other)
    assert joined.identity == (("held",), ("outside", "held"), 0)
    for window in tile_windows(BARE.whole, (40, 15)):
        assert joined.read(window).shape == window.shape
