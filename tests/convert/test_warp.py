"""Scenes on other grids: places beside PROJ's own, means beside NumPy's, windows beside the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from hsikit.convert.warp import grid_for, warped
from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Grid, Window
from hsikit.scene import Bands, Quality, SceneInfo, read_window
from hsikit.sensors.array import ArraySource

from .scenes import scene
from .swaths import MAP, gathered, stored, swath_scene

UTM = Grid((70, 60), (30.0, 0.0, 400_000.0, 0.0, -30.0, 5_800_000.0), "EPSG:32633")
MIXING = ("bilinear", "cubic", "average")


def source_of(values, grid=UTM, **facts):
    values = np.asarray(values, np.float32)
    count = len(values)
    bands = Bands(np.linspace(450, 2400, count), np.full(count, 10.0), np.ones(count, bool), tuple(f"b{i}" for i in range(count)))
    return ArraySource(values, SceneInfo("scene.tif", grid, bands, "float32", "array", quantity="surface_reflectance", **facts))


def numbered(grid=UTM):
    """Band 0 has the row of each pixel's centre, band 1 its column."""
    rows, cols = np.mgrid[: grid.shape[0], : grid.shape[1]] + 0.5
    return source_of([rows, cols], grid)


def places(grid, other):
    """Rows and columns of the other grid at the centres of a grid, by PROJ and a matrix."""
    cols, rows = np.meshgrid(np.arange(grid.shape[1]) + 0.5, np.arange(grid.shape[0]) + 0.5)
    x, y = Transformer.from_crs(grid.crs, other.crs, always_xy=True).transform(*(grid.affine @ (cols.ravel(), rows.ravel())))
    col, row = ~other.affine @ (np.asarray(x), np.asarray(y))
    return row.reshape(grid.shape), col.reshape(grid.shape)


GRIDS = [("EPSG:32633", 75.0), ("EPSG:3035", None), ("EPSG:4326", 0.0004), ("EPSG:32632", 20.0)]


@pytest.mark.parametrize(("crs", "resolution"), GRIDS)
def test_nearest_takes_the_pixel_that_holds_the_centre(crs, resolution):
    source = numbered()
    grid = grid_for(source, crs=crs, resolution=resolution)
    row, col = places(grid, UTM)
    inside = (row > 0) & (row < 70) & (col > 0) & (col < 60)
    found = read_window(warped(source, grid), grid.whole)
    clear = (np.abs(row - np.round(row)) > 1e-5) & (np.abs(col - np.round(col)) > 1e-5)
    assert (np.isfinite(found[0]) == inside)[clear].all()
    np.testing.assert_array_equal(found[:, inside & clear], np.floor([row, col])[:, inside & clear] + 0.5)


@pytest.mark.parametrize("resampling", ["bilinear", "cubic"])
@pytest.mark.parametrize(("crs", "resolution"), GRIDS[1:])
def test_interpolated_values_lie_where_proj_says(resampling, crs, resolution):
    source = numbered()
    grid = grid_for(source, crs=crs, resolution=resolution)
    row, col = places(grid, UTM)
    well = (row > 5) & (row < 65) & (col > 5) & (col < 55)
    found = read_window(warped(source, grid, resampling), grid.whole)
    assert well.any()
    # A stretched kernel of uneven size is right to a few hundredths of a pixel.
    np.testing.assert_allclose(found[:, well], np.stack([row, col])[:, well], atol=0.03 if resolution == 0.0004 else 2e-4)


@settings(max_examples=20)
@given(st.integers(0, 69), st.integers(0, 59), st.floats(0.02, 0.98), st.floats(0.02, 0.98), st.sampled_from(["EPSG:32632", "EPSG:4326", "EPSG:3857"]))
def test_a_known_place_on_the_ground_is_in_the_pixel_that_holds_it(row, col, down, right, crs):
    values = np.zeros((1, 70, 60))
    values[0, row, col] = 1.0
    x, y = Transformer.from_crs("EPSG:32633", crs, always_xy=True).transform(400_000 + 30 * (col + right), 5_800_000 - 30 * (row + down))
    size = 1e-4 if crs == "EPSG:4326" else 1.0
    around = Grid((3, 3), (size * 1e-2, 0.0, x - size * 1.5e-2, 0.0, -size * 1e-2, y + size * 1.5e-2), crs)
    assert read_window(warped(source_of(values), around), around.whole)[0, 1, 1] == 1.0


def test_average_is_the_mean_of_the_pixels_below():
    values = np.random.default_rng(0).random((3, 70, 60)).astype(np.float32)
    grid = grid_for(source_of(values), resolution=60.0)
    found = read_window(warped(source_of(values), grid, "average"), grid.whole)
    np.testing.assert_allclose(found, values.reshape(3, 35, 2, 30, 2).mean(axis=(2, 4)), rtol=1e-5)


def test_missing_pixels_take_no_part_and_each_band_has_its_own():
    values = np.random.default_rng(0).random((2, 70, 60)).astype(np.float32)
    values[0, 10, 10] = np.nan
    values[:, 20:24, 30:34] = np.nan
    grid = grid_for(source_of(values), resolution=60.0)
    found = read_window(warped(source_of(values), grid, "average"), grid.whole)
    with np.errstate(invalid="ignore"):
        wanted = np.nansum(values.reshape(2, 35, 2, 30, 2), axis=(2, 4)) / np.isfinite(values.reshape(2, 35, 2, 30, 2)).sum(axis=(2, 4))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert np.isfinite(found[:, 5, 5]).all() and np.isnan(found[:, 10, 15]).all()


@pytest.mark.parametrize("resampling", MIXING)
def test_the_same_grid_gives_the_same_values(resampling):
    values = np.random.default_rng(1).random((2, 70, 60)).astype(np.float32)
    np.testing.assert_allclose(read_window(warped(source_of(values), UTM, resampling), UTM.whole), values, rtol=1e-6)


@pytest.mark.parametrize("resampling", ["nearest", *MIXING])
@pytest.mark.parametrize(("crs", "resolution", "many"), [("EPSG:3035", None, True), ("EPSG:4326", 0.0009, True), ("EPSG:32632", 11.0, False)])
def test_a_window_equals_the_same_part_of_the_whole(resampling, crs, resolution, many, monkeypatch):
    row, col = np.mgrid[:70, :60]
    smooth = [np.sin(row / 9) + np.cos(col / 7), np.where((row - 35) ** 2 + (col - 30) ** 2 < 90, np.nan, row * col / 4200)]
    source = source_of(smooth)
    scene_ = warped(source, grid_for(source, crs=crs, resolution=resolution), resampling)
    if many:
        monkeypatch.setattr("hsikit.convert.warp.READ_PIXELS", 400)
        monkeypatch.setattr("hsikit.convert.interpolate.AT_ONCE", 100)
    whole = read_window(scene_, scene_.info.grid.whole)
    assert np.isfinite(whole).any()
    rng = np.random.default_rng(0)
    rows, cols = scene_.info.grid.shape
    for _ in range(8):
        window = Window(*(int(rng.integers(0, size)) for size in (rows, cols)), int(rng.integers(1, 30)), int(rng.integers(1, 30))).intersect(
            scene_.info.grid.whole
        )
        np.testing.assert_array_equal(read_window(scene_, window), whole[(slice(None), *window.slices())])
        np.testing.assert_array_equal(read_window(scene_, window, np.array([1])), whole[(slice(1, 2), *window.slices())])


def test_a_window_reads_only_the_part_of_the_scene_that_it_needs():
    source, reads = numbered(), []
    original = source.read
    source.read = lambda window, bands: (reads.append(window), original(window, bands))[1]
    scene_ = warped(source, grid_for(source, crs="EPSG:3035"), "cubic")
    read_window(scene_, Window(30, 30, 4, 4))
    assert sum(window.size for window in reads) < 20 * 20


def test_nearest_keeps_stored_numbers_scale_and_fill():
    source = scene(70, 60)
    found = warped(source, grid_for(source, crs="EPSG:3035"))
    assert found.info.dtype == "int16" and found.info.nodata == -9999
    assert set(np.unique(stored(found))) <= set(np.unique(stored(source))) | {-9999}
    raw = found.read(Window(0, 0, 3, 3), np.arange(7))
    assert raw.decoding.scale == pytest.approx(1e-4)


def test_a_grid_elsewhere_is_refused_and_outside_of_the_scene_is_missing():
    far = Grid((4, 4), (30.0, 0.0, 500_000.0, 0.0, -30.0, 5_900_000.0), "EPSG:32633")
    own = numbered().info.grid
    a, _, c, _, e, f = own.transform
    half = Grid((4, 4), (a, 0.0, c - 2 * a, 0.0, e, f - 2 * e), own.crs)
    for resampling in ("nearest", *MIXING):
        with pytest.raises(GridError, match="does not overlap"):
            warped(numbered(), far, resampling)
        found = read_window(warped(numbered(), half, resampling), half.whole)
        assert np.isnan(found[:, :2]).all() and np.isnan(found[:, :, :2]).all() and np.isfinite(found[:, 2:, 2:]).all()
    with pytest.raises(OptionError, match="larger than the whole scene"):
        grid_for(numbered(), crs="EPSG:4326", resolution=30.0)


@pytest.mark.parametrize("resampling", ["nearest", "average"])
def test_quality_is_that_of_the_nearest_pixel(resampling):
    flags = np.random.default_rng(0).choice([0, 1, 2], (70, 60)).astype(np.uint8)
    source = source_of(np.zeros((1, 70, 60)), quality=Quality(("cloud", "shadow"), lambda window: flags[window.slices()]))
    grid = Grid((35, 60), (30.0, 0.0, 400_000.0, 0.0, -60.0, 5_800_000.0 + 15), "EPSG:32633")
    found = warped(source, grid, resampling).info.quality.read(grid.whole)
    assert (found == flags[::2]).all() and set(warped(source, grid, resampling).info.quality.flags) == {"cloud", "shadow", "no-data"}


# ---- grids


def test_a_grid_of_the_scenes_own_crs_is_the_scenes_own():
    assert grid_for(numbered()) == UTM


@pytest.mark.parametrize("place", ["utm", "rotated", "geographic"])
@pytest.mark.parametrize("crs", ["EPSG:3035", "EPSG:4326", "EPSG:32633"])
def test_a_grid_holds_the_whole_scene_and_keeps_its_resolution(place, crs):
    source = scene(70, 60, place=place)
    own, grid = source.info.grid, grid_for(source, crs=crs)
    x, y = Transformer.from_crs(own.crs, crs, always_xy=True).transform(*own.centres(*np.mgrid[:70, :60].astype(float)))
    left, bottom, right, top = grid.bounds
    assert (x > left).all() and (x < right).all() and (y > bottom).all() and (y < top).all()
    assert 0.5 < (70 * 60) / np.isfinite(read_window(warped(source_of(np.zeros((1, 70, 60)), own), grid), grid.whole)).sum() < 2


def test_bounds_and_resolution_are_the_users():
    grid = grid_for(numbered(), crs="EPSG:32633", resolution=50.0, bounds=(400_010, 5_799_000, 400_999, 5_799_990))
    assert grid == Grid((20, 20), (50.0, 0.0, 400_010.0, 0.0, -50.0, 5_799_990.0), "EPSG:32633")


def test_a_scene_across_the_date_line_gets_a_narrow_grid():
    grid = Grid((40, 40), (3000.0, 0.0, 780_000.0, 0.0, -3000.0, 200_000.0), "EPSG:32660")
    found = grid_for(numbered(grid), crs="EPSG:4326")
    left, _, right, _ = found.bounds
    assert left < 180 < right and right - left < 3
    assert np.isfinite(read_window(warped(numbered(grid), found), found.whole)).mean() > 0.8


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"crs": "EPSG:999999"}, GridError, "EPSG:999999"),
        ({"resolution": 0.0}, OptionError, "res"),
        ({"resolution": 1e-4}, OptionError, "pixels"),
        ({"bounds": (1.0, 2.0, 1.0, 3.0)}, OptionError, "no box"),
    ],
)
def test_grids_that_make_no_sense_are_refused(options, kind, words):
    with pytest.raises(kind, match=words):
        grid_for(numbered(), **options)


def test_what_cannot_be_warped_is_refused():
    with pytest.raises(GridError, match="orthorectify"):
        grid_for(swath_scene())
    with pytest.raises(GridError, match="no map grid"):
        warped(scene(place="nowhere"), UTM)
    with pytest.raises(GridError, match="no georeference"):
        warped(numbered(), Grid((3, 3)))
    with pytest.raises(OptionError, match=r"lanczos.*nearest, bilinear"):
        warped(numbered(), UTM, "lanczos")
    with pytest.raises(OptionError, match="not mixed"):
        warped(swath_scene(), UTM, "bilinear")


def test_a_swath_is_put_on_the_grid_by_its_positions():
    source = swath_scene()
    own = warped(source, Grid((80, 60), (110.0, 0.0, 499_000.0, 0.0, -110.0, 3_985_500.0), "EPSG:32633"))
    found = read_window(own, own.info.grid.whole)
    assert own.info.swath is None and np.isfinite(found[0]).sum() > 1000
    assert not np.array_equal(found.shape, gathered(source, np.nan, "float32").shape) and own.info.grid != MAP
