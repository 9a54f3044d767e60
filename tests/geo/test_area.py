"""Ground areas, held against geodesic polygons of whole blocks of pixels and against the ellipsoid's own area."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from hsikit.errors import GridError
from hsikit.geo.area import TOLERANCE, class_areas, pixel_areas
from hsikit.geo.grid import Grid, Window, tile_windows

UTM = Grid((400, 300), (30.0, 0.0, 300_000.0, 0.0, -30.0, 5_800_000.0), "EPSG:32633")
ROTATED = Grid((200, 250), (20.0, 12.0, 600_000.0, 12.0, -20.0, 5_800_000.0), "EPSG:32633")
DEGREES = Grid((300, 200), (0.01, 0.0, 13.0, 0.0, -0.01, 60.0), "EPSG:4326")
MERCATOR = Grid((200, 200), (500.0, 0.0, 1_400_000.0, 0.0, -500.0, 8_400_000.0), "EPSG:3857")


def outline_area(grid: Grid, window: Window, per_edge: int = 50) -> float:
    """Hectares of a window as one geodesic polygon with a densified outline."""
    t = np.linspace(0, 1, per_edge, endpoint=False)
    col = window.col + window.cols * np.concatenate([t, np.ones_like(t), 1 - t, np.zeros_like(t)])
    row = window.row + window.rows * np.concatenate([np.zeros_like(t), t, np.ones_like(t), 1 - t])
    a, b, c, d, e, f = grid.transform
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(a * col + b * row + c, d * col + e * row + f)
    return abs(Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)[0]) / 1e4


@pytest.mark.parametrize("grid", [UTM, ROTATED, DEGREES, MERCATOR])
def test_sums_equal_the_polygon_around(grid):
    areas = pixel_areas(grid)
    window = Window(37, 11, 130, 170)
    assert areas.read(window).sum() == pytest.approx(outline_area(grid, window), rel=5e-6)


@settings(max_examples=40, deadline=None)
@given(grid=st.sampled_from([UTM, ROTATED, DEGREES, MERCATOR]), row=st.integers(0, 199), col=st.integers(0, 199))
def test_each_pixel_is_within_the_tolerance(grid, row, col):
    window = Window(row, col, 1, 1)
    assert pixel_areas(grid).read(window)[0, 0] == pytest.approx(outline_area(grid, window, 1), rel=2 * TOLERANCE)


def test_whole_earth():
    grid = Grid((180, 360), (1.0, 0.0, -180.0, 0.0, -1.0, 90.0), "EPSG:4326")
    assert pixel_areas(grid).read(grid.whole).sum() == pytest.approx(510_065_621.724e2, rel=1e-4)


def test_mercator_is_not_what_its_pixels_say():
    area = pixel_areas(MERCATOR).read(Window(100, 100, 1, 1))[0, 0]
    assert area == pytest.approx(25.0 * np.cos(np.deg2rad(60.0)) ** 2, rel=0.05)


def test_where_the_projection_ends_there_is_no_area():
    grid = Grid((40, 40), (500_000.0, 0.0, -10_000_000.0, 0.0, -500_000.0, 10_000_000.0), "+proj=ortho +lat_0=50 +lon_0=10 +ellps=WGS84")
    areas = pixel_areas(grid).read(grid.whole)
    assert areas[0, 0] == 0.0 and areas[20, 20] == pytest.approx(25e6, rel=0.01) and np.isfinite(areas).all()


def test_single_pixel_and_single_row():
    assert pixel_areas(UTM.crop(Window(5, 5, 1, 1))).read(Window(0, 0, 1, 1))[0, 0] == pytest.approx(0.09, rel=2e-3)
    assert pixel_areas(UTM.crop(Window(5, 5, 1, 40))).read(Window(0, 0, 1, 40)).shape == (1, 40)


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 90), cols=st.integers(1, 90))
def test_class_areas_by_any_strips(rows, cols):
    grid = UTM.crop(Window(0, 0, 90, 80))
    codes = np.random.default_rng(1).choice([0, 1, 7, 254, 255], size=grid.shape).astype(np.uint8)
    got = class_areas(((w, codes[w.slices()][None]) for w in tile_windows(grid.whole, (rows, cols))), grid)
    ground = pixel_areas(grid).read(grid.whole)
    assert list(got) == [0, 1, 7, 254, 255]
    for code, (pixels, hectares) in got.items():
        assert pixels == (codes == code).sum()
        assert hectares == pytest.approx(ground[codes == code].sum(), rel=1e-12)


@pytest.mark.parametrize("choice", [[-3, 0, 120], [-32768, 5, 32767], [7], [0, 2**31 - 1], [254, 255]])
def test_class_areas_of_any_integers(choice):
    kind = np.min_scalar_type(-max(np.abs(choice)) - 1)
    codes = np.random.default_rng(2).choice(choice, size=(30, 40)).astype(kind)
    got = class_areas([(Window(0, 0, 30, 40), codes)], UTM.crop(Window(0, 0, 30, 40)))
    assert {code: pixels for code, (pixels, _) in got.items()} == {code: int((codes == code).sum()) for code in sorted(choice)}
    assert sum(hectares for _, hectares in got.values()) == pytest.approx(1200 * 0.09, rel=2e-3)


def test_without_georeference_pixels_are_counted_only():
    assert pixel_areas(Grid((2, 3))) is None
    assert class_areas([(Window(0, 0, 2, 3), np.array([[1, 1, 2], [2, 2, 2]], np.uint8))], Grid((2, 3))) == {1: (2, None), 2: (4, None)}


def test_crs_that_is_not_understood():
    with pytest.raises(GridError, match="nonsense"):
        pixel_areas(Grid((2, 3), UTM.transform, "nonsense"))
