"""Field spectra in the pixels around them, on a map grid and in a swath."""

from __future__ import annotations

import numpy as np
import pytest
from pyproj import Transformer

from hsikit.convert.matching import match
from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Grid
from hsikit.geo.swath import swath_of_arrays
from hsikit.library import Library
from tests.laws.scenes import TRANSFORM, as_source

NM = np.array([450.0, 550.0, 650.0])
SCENE = as_source(np.ones((3, 20, 30), np.int16), NM, TRANSFORM, "scene.tif")


def library(longitude: list[float], latitude: list[float]) -> Library:
    places = {"longitude": tuple("" if np.isnan(v) else repr(float(v)) for v in longitude), "latitude": tuple(str(v) for v in latitude)}
    n = len(longitude)
    return Library(np.full((n, 3), 0.2, np.float32), NM, np.full(3, 10.0), tuple(f"s{i}" for i in range(n)), places, "field")


def test_on_a_map_grid_it_is_the_pixel_around_the_place() -> None:
    rows, cols = np.array([0, 7, 19]), np.array([0, 11, 29])
    x, y = SCENE.info.grid.centres(rows + np.array([-0.4, 0.3, 0.4]), cols + np.array([0.4, -0.3, -0.4]))
    longitude, latitude = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform(x, y)
    found = match(library([*longitude, np.nan, 13.9], [*latitude, 0.0, 52.4]), SCENE)
    np.testing.assert_array_equal(found.pixels, np.column_stack([rows, cols]))
    np.testing.assert_array_equal(found.spectra, [0, 1, 2])
    assert (found.unplaced, found.outside, len(found)) == (1, 1, 3)


def test_in_a_swath_it_is_the_nearest_centre() -> None:
    row, col = np.mgrid[:20, :30].astype(float)
    longitude, latitude = 13 + 0.001 * col + 0.0002 * row, 52 - 0.001 * row + 0.0003 * col
    source = as_source(np.ones((3, 20, 30), np.int16), NM, TRANSFORM, "swath.nc")
    source.info = source.info.with_(grid=Grid((20, 30)), swath=swath_of_arrays(longitude, latitude))
    found = match(library([longitude[4, 5] + 0.0003, longitude[19, 29], 14.0], [latitude[4, 5] - 0.0002, latitude[19, 29], 52.0]), source)
    np.testing.assert_array_equal(found.pixels, [[4, 5], [19, 29]])
    assert found.outside == 1


def test_what_cannot_be_matched() -> None:
    with pytest.raises(OptionError, match="none of its spectra has a position"):
        match(library([np.nan], [1.0]), SCENE)
    with pytest.raises(GridError, match=r"none of its 1 spectra with a position lies in scene\.tif.*from 5 to 5 degrees east"):
        match(library([5.0], [1.0]), SCENE)
    bare = as_source(np.ones((3, 2, 2), np.int16), NM, TRANSFORM, "bare.npy")
    bare.info = bare.info.with_(grid=Grid((2, 2)))
    with pytest.raises(GridError, match="no georeference"):
        match(library([13.0], [52.0]), bare)
