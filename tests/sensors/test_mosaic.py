"""Tiles on one grid read as one scene, against one array painted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from hsikit.errors import GridError, OptionError, SceneError
from hsikit.geo.grid import Window
from hsikit.scene import read_window
from hsikit.sensors import mosaic, open_source
from tests.products.envi import write_envi
from tests.products.geotiff import write_geotiff

WHOLE = np.random.default_rng(4).integers(1, 9000, (3, 24, 20), dtype=np.int16)


def place(row: float, col: float, size: float = 30) -> rasterio.Affine:
    return from_origin(365000 + col * 30, 5808000 - row * 30, size, size)


def tile(folder: Path, name: str, row: int, col: int, rows: int, cols: int, cube: np.ndarray = WHOLE, **more: object) -> Path:
    return write_geotiff(folder / name, cube[:, row : row + rows, col : col + cols], **{"transform": place(row, col), **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("nodata", [None, -1])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_tiles_with_holes_are_one_scene(tmp_path: Path, nodata: int | None, dtype: str) -> None:
    cube, expected = WHOLE.astype(dtype), np.full(WHOLE.shape, np.nan, np.float32)
    for row, col in ((0, 0), (8, 10), (16, 0)):
        tile(tmp_path, f"t{row}_{col}.tif", row, col, 8, 10, cube, nodata=nodata)
        expected[:, row : row + 8, col : col + 10] = cube[:, row : row + 8, col : col + 10]
    source = open_source(tmp_path)
    assert source.info.grid.shape == (24, 20)
    assert source.info.grid.transform == (30, 0, 365000, 0, -30, 5808000)
    assert (source.info.driver, source.info.name, source.info.attrs["tiles"]) == ("mosaic", str(tmp_path), "3")
    assert sorted(Path(part[0]).name for part in source.info.identity) == ["reading", "t0_0.tif", "t16_0.tif", "t8_10.tif"]
    for window in (Window(0, 0, 24, 20), Window(5, 6, 9, 11), Window(0, 12, 5, 5), Window(9, 11, 3, 4)):
        np.testing.assert_array_equal(read_window(source, window), expected[(slice(None), *window.slices())])
    np.testing.assert_array_equal(read_window(source, Window(4, 4, 9, 9), np.array([2])), expected[2:, 4:13, 4:13])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(corners=st.lists(st.tuples(st.integers(0, 14), st.integers(0, 10)), min_size=1, max_size=5), nodata=st.sampled_from([None, -1]), seed=st.integers(0, 99))
def test_of_overlapping_tiles_the_first_with_a_value_wins(
    tmp_path_factory: pytest.TempPathFactory, corners: list[tuple[int, int]], nodata: int | None, seed: int
) -> None:
    folder, rng = tmp_path_factory.mktemp("tiles"), np.random.default_rng(seed)
    canvas = np.full((3, 24, 20), np.nan, np.float32)
    paths = []
    for i, (row, col) in enumerate(corners):
        part = rng.integers(1, 1000, (3, 10, 10), dtype=np.int16)
        if nodata is not None:
            part[rng.random(part.shape) < 0.3] = nodata
        paths.append(write_geotiff(folder / f"{i}.tif", part, transform=place(row, col), nodata=nodata))
        target = canvas[:, row : row + 10, col : col + 10]
        np.copyto(target, np.where(part == nodata, np.nan, part), where=np.isnan(target))
    rows, cols = zip(*corners, strict=True)
    canvas = canvas[:, min(rows) : max(rows) + 10, min(cols) : max(cols) + 10]
    source = open_source(paths)
    np.testing.assert_array_equal(read_window(source, source.info.grid.whole), canvas)


def test_envi_tiles_and_more_tiles_than_are_held_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic, "OPEN_TILES", 2)
    for row in range(0, 24, 4):
        info = ["UTM", 1, 1, 365000, 5808000 - row * 30, 30, 30, 33, "North", "WGS-84"]
        write_envi(tmp_path / f"r{row:02}.hdr", WHOLE[:, row : row + 4], "bip", map_info=info)
    source = open_source(tmp_path)
    for _ in range(2):
        np.testing.assert_array_equal(read_window(source, Window(0, 0, 24, 20)), WHOLE)
    assert source.info.dtype == "int16"


def test_tiles_that_do_not_agree_are_named(tmp_path: Path) -> None:
    first = tile(tmp_path, "a.tif", 0, 0, 8, 10)
    others = {
        "bands": write_geotiff(tmp_path / "bands.tif", WHOLE[:2, :8, :10], transform=place(8, 0)),
        "type": tile(tmp_path, "type.tif", 8, 0, 8, 10, WHOLE.astype(np.float32)),
        "scale": tile(tmp_path, "scale.tif", 8, 0, 8, 10, scale=1e-4),
        "fill": tile(tmp_path, "fill.tif", 8, 0, 8, 10, nodata=-5),
    }
    for name, path in others.items():
        with pytest.raises(SceneError, match=rf"{name}\.tif"):
            open_source([first, path])
    off = write_geotiff(tmp_path / "off.tif", WHOLE[:, :8, :10], transform=place(8, 0.01))
    coarse = write_geotiff(tmp_path / "coarse.tif", WHOLE[:, :8, :10], transform=place(8, 0, 30.01))
    zone = write_geotiff(tmp_path / "zone.tif", WHOLE[:, :8, :10], transform=place(8, 0), crs="EPSG:32632")
    for path in (off, coarse, zone):
        with pytest.raises(GridError, match=path.name):
            open_source([first, path])
    near = write_geotiff(tmp_path / "near.tif", WHOLE[:, :8, :10], transform=place(8, 0.0005))
    assert open_source([first, near]).info.grid.shape == (16, 10)


def test_folders_without_tiles_and_empty_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="without a raster"):
        open_source(tmp_path)
    with pytest.raises(OptionError, match="empty list"):
        open_source([])
    far = [write_geotiff(tmp_path / f"{i}.tif", WHOLE, transform=place(i * 90000, i * 90000)) for i in range(2)]
    with pytest.raises(SceneError, match="far apart"):
        open_source(far)


def test_a_damaged_tile_is_named_when_it_is_read(tmp_path: Path) -> None:
    paths = [tile(tmp_path, f"{row}.tif", row, 0, 12, 20) for row in (0, 12)]
    source = open_source(paths, inspect=False)
    paths[1].write_bytes(paths[1].read_bytes()[:-600])
    with pytest.raises(SceneError, match=r"12\.tif"):
        read_window(source, source.info.grid.whole)


def test_real_enmap_tiles(shared_data: Path) -> None:
    folder = shared_data / "classification/enmap_potsdam"
    source = open_source(folder / "images", wavelengths=folder / "enmap_potsdam_srf.csv")
    assert len(source.info.bands) == 224
    assert source.info.grid.crs == "EPSG:32633"
    path = sorted((folder / "images").glob("*.tif"))[7]
    with rasterio.open(path) as one:
        left, top = source.info.grid.transform[2], source.info.grid.transform[5]
        row, col = round((top - one.transform.f) / 30), round((one.transform.c - left) / 30)
        theirs = one.read(10) * np.float32(1e-4)
        theirs[one.read(10) == one.nodata] = np.nan
    index = np.array([int(np.argsort(np.loadtxt(folder / "enmap_potsdam_srf.csv", delimiter=",", skiprows=1)[:, 0]).tolist().index(9))])
    np.testing.assert_allclose(read_window(source, Window(row, col, 32, 32), index)[0], theirs, rtol=1e-6)
