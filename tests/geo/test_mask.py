"""Masks: rasters and polygons on any grid and CRS, by windows, and what they refuse."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.warp import reproject

import hsikit.geo.mask_rasters as mask_module
from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.geo.mask import open_mask

SCENE = Grid((60, 50), (30.0, 0.0, 300_000.0, 0.0, -30.0, 5_800_000.0), "EPSG:32633")
ROTATED = Grid((60, 50), (25.0, 8.0, 300_000.0, 8.0, -25.0, 5_799_000.0), "EPSG:32633")


def write(path, values, grid, nodata=None):
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1, dtype=values.dtype, nodata=nodata,
        crs=grid.crs, transform=grid.affine if grid.crs else None,
    ) as out:  # fmt: skip
        out.write(values, 1)
    return path


def blobs(shape, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 3, (shape[0] // 5 + 1, shape[1] // 5 + 1))
    return np.kron(coarse, np.ones((5, 5), int))[: shape[0], : shape[1]].astype(np.uint8)


def tiled(mask, grid, tile):
    out = np.zeros(grid.shape, bool)
    for window in tile_windows(grid.whole, tile):
        out[window.slices()] = mask.read(window)
    return out


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 60), cols=st.integers(1, 50))
def test_same_grid_any_tile(tmp_path_factory, rows, cols):
    values = blobs(SCENE.shape)
    values[10:20] = 200
    path = write(tmp_path_factory.mktemp("m") / "m.tif", values, SCENE, nodata=200)
    np.testing.assert_array_equal(tiled(open_mask(path, SCENE), SCENE, (rows, cols)), (values != 0) & (values != 200))


@pytest.mark.parametrize("scene", [SCENE, ROTATED])
@pytest.mark.parametrize("limit", [1 << 22, 50])
def test_other_crs_equals_gdal_nearest(tmp_path, monkeypatch, scene, limit):
    monkeypatch.setattr(mask_module, "RASTER_SAMPLES", limit)
    degrees = Grid((150, 160), (0.0002, 0.0, 12.055, 0.0, -0.0002, 52.315), "EPSG:4326")
    values = (blobs(degrees.shape, 2) > 0).astype(np.uint8)
    got = tiled(open_mask(write(tmp_path / "m.tif", values, degrees), scene), scene, (17, 23))
    expected = np.zeros(scene.shape, np.uint8)
    reproject(
        values,
        expected,
        src_transform=degrees.affine,
        src_crs=degrees.crs,
        dst_transform=scene.affine,
        dst_crs=scene.crs,
        resampling=Resampling.nearest,
        tolerance=0,
    )
    assert expected.any() and (got != expected.astype(bool)).mean() < 0.002


def test_outside_the_masks_extent_nothing_is_hidden(tmp_path):
    part = SCENE.crop(Window(10, 10, 20, 20))
    got = open_mask(write(tmp_path / "m.tif", np.ones(part.shape, np.uint8), part), SCENE).read(SCENE.whole)
    assert got[10:30, 10:30].all() and got.sum() == 400


def test_small_mask_between_the_lattice_is_found(tmp_path):
    large = Grid((3000, 3000), SCENE.transform, SCENE.crs)
    part = large.crop(Window(1001, 1001, 3, 3))
    assert open_mask(write(tmp_path / "m.tif", np.ones((3, 3), np.uint8), part), large).read(Window(1000, 1000, 5, 5)).sum() == 9


def test_float_mask_with_nan(tmp_path):
    values = np.array([[0.0, 0.4], [np.nan, -1.0]], np.float32)
    grid = SCENE.crop(Window(0, 0, 2, 2))
    assert open_mask(write(tmp_path / "m.tif", values, grid), grid).read(grid.whole).tolist() == [[False, True], [False, True]]


def test_scene_and_mask_without_georeference_are_matched_pixel_by_pixel(tmp_path):
    values = blobs((12, 9))
    path = write(tmp_path / "m.tif", values, Grid((12, 9)))
    np.testing.assert_array_equal(open_mask(path, Grid((12, 9))).read(Window(3, 2, 5, 4)), values[3:8, 2:6] != 0)
    with pytest.raises(GridError, match=r"m\.tif.*sizes differ"):
        open_mask(path, Grid((12, 10)))
    with pytest.raises(GridError, match=r"m\.tif.*no coordinate reference"):
        open_mask(path, Grid((12, 9), SCENE.transform, SCENE.crs))
    with pytest.raises(GridError, match=r"n\.tif.*scene is not"):
        open_mask(write(tmp_path / "n.tif", values, Grid((12, 9), SCENE.transform, SCENE.crs)), Grid((12, 9)))


def test_threads_read_the_same(tmp_path):
    values = blobs(SCENE.shape)
    mask = open_mask(write(tmp_path / "m.tif", values, SCENE), SCENE)
    windows = list(tile_windows(SCENE.whole, (7, 11))) * 3
    with ThreadPoolExecutor(4) as pool:
        for window, got in zip(windows, pool.map(mask.read, windows), strict=True):
            np.testing.assert_array_equal(got, values[window.slices()] != 0)
    mask.close()
    assert mask.read(SCENE.whole).any()


def centres(grid):
    col, row = np.meshgrid(np.arange(grid.shape[1]) + 0.5, np.arange(grid.shape[0]) + 0.5)
    a, b, c, d, e, f = grid.transform
    return a * col + b * row + c, d * col + e * row + f


@pytest.mark.parametrize("scene", [SCENE, ROTATED])
@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_polygons_hide_the_centres_inside(tmp_path, scene, suffix):
    x, y = scene.affine @ (25.3, 30.7) if hasattr(scene.affine, "__matmul__") else scene.affine * (25.3, 30.7)
    polygon = shapely.Point(x, y).buffer(317.0).difference(shapely.Point(x, y).buffer(111.0))
    far = shapely.Point(x + 1e5, y).buffer(50.0)
    frame = geopandas.GeoDataFrame({"kind": [1, 2]}, geometry=[polygon, far], crs=scene.crs).to_crs("EPSG:4326")
    frame.to_file(tmp_path / f"m{suffix}")
    got = tiled(open_mask(tmp_path / f"m{suffix}", scene), scene, (13, 50))
    expected = shapely.contains_xy(polygon, *centres(scene))
    assert expected.sum() > 200 and (got != expected).mean() < 0.001


def test_polygons_far_away_are_not_held(tmp_path):
    near, far = shapely.box(300_100, 5_799_000, 300_400, 5_799_400), shapely.box(0, 0, 10, 10)
    geopandas.GeoDataFrame(geometry=[far] * 50 + [near], crs="EPSG:32633").to_file(tmp_path / "m.gpkg")
    mask = open_mask(tmp_path / "m.gpkg", SCENE)
    assert len(mask._polygons) == 1
    facts = (tmp_path / "m.gpkg").stat()
    assert mask.identity == (str(tmp_path / "m.gpkg"), facts.st_size, facts.st_mtime_ns)


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_polygons_refused(tmp_path):
    def file(name, shape, crs: str | None = "EPSG:32633"):
        geopandas.GeoDataFrame(geometry=[shape], crs=crs).to_file(tmp_path / name)
        return tmp_path / name

    inside = shapely.Point(300_500, 5_799_500)
    with pytest.raises(GridError, match=r"far\.gpkg.*overlap"):
        open_mask(file("far.gpkg", shapely.box(0, 0, 10, 10)), SCENE)
    with pytest.raises(OptionError, match=r"points\.gpkg.*no polygon"):
        open_mask(file("points.gpkg", inside), SCENE)
    with pytest.raises(GridError, match=r"nocrs\.gpkg.*coordinate reference"):
        open_mask(file("nocrs.gpkg", inside.buffer(50), None), SCENE)
    with pytest.raises(GridError, match=r"good\.gpkg.*georeference"):
        open_mask(file("good.gpkg", inside.buffer(50)), Grid((3, 3)))


def test_files_refused(tmp_path):
    with pytest.raises(OptionError, match=r"none\.tif.*--mask does not exist"):
        open_mask(tmp_path / "none.tif", SCENE)
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(OptionError, match=r"text\.tif"):
        open_mask(tmp_path / "text.tif", SCENE)
    (tmp_path / "text.gpkg").write_text("no vector")
    with pytest.raises(OptionError, match=r"text\.gpkg"):
        open_mask(tmp_path / "text.gpkg", SCENE)
    away = Grid(SCENE.shape, (30.0, 0.0, 900_000.0, 0.0, -30.0, 5_800_000.0), SCENE.crs)
    with pytest.raises(GridError, match=r"away\.tif.*overlap"):
        open_mask(write(tmp_path / "away.tif", blobs(SCENE.shape), away), SCENE)


def test_truncated_raster_is_an_error_not_nothing(tmp_path):
    path = write(tmp_path / "m.tif", np.random.default_rng(0).integers(0, 255, SCENE.shape, dtype=np.uint8), SCENE)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(OptionError, match=r"m\.tif"):
        open_mask(path, SCENE).read(SCENE.whole)


def test_handles_stay_few_over_many_threads_and_close(tmp_path):
    def handles():
        return sum(fd.resolve() == path for fd in Path("/proc/self/fd").iterdir())

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not list the open files of a process")
    path = (write(tmp_path / "m.tif", blobs(SCENE.shape), SCENE)).resolve()
    mask = open_mask(path, SCENE)
    expected = mask.read(SCENE.whole)
    for _ in range(6):  # every stage of a run has threads of its own
        with ThreadPoolExecutor(2) as pool:
            assert all((found == expected).all() for found in pool.map(mask.read, [SCENE.whole] * 4))
    assert 1 <= handles() <= 2
    mask.close()
    assert handles() == 0
    assert (mask.read(SCENE.whole) == expected).all()
    mask.close()
